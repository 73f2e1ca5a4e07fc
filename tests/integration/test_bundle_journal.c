/* Bundles of durable operations: they take their places, all of them, in their order, or none. */
#include "load.h"

#include "engine/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char rebuilt[64]; /* lanes that were asked to be rebuilt */

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane);

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane)
{
    (void)relay;
    size_t used = strlen(rebuilt);
    snprintf(rebuilt + used, sizeof rebuilt - used, "%s.", lane.data);
}

static int set_up(void **state)
{
    rebuilt[0] = '\0';
    load_set_up(state);
    load_warm_up();
    return 0;
}

/* The lane's head stands behind its operation. */
static void assert_head(const char *user, const char *id)
{
    assert_string_equal(ask("select h.seq = o.seq from heddle.lane_heads h, heddle.operations o"
                            " where h.lane = '%s' and o.id = '%s'",
                            user, id),
                        "t");
}

/* Another operation, of a neighbour: it is done in its first attempt, whatever happens here. */
static const char *add_neighbour(const char *op)
{
    return load_add_journaled(load_lane("neighbour"), op, "ok");
}

static void assert_done(const char *id)
{
    assert_string_equal(load_end(id), "done");
    assert_string_equal(load_ledger(id), "done 1");
}

static const char *const ops[] = {"set", "single"};

static void lanes_advance_by_all_of_their_operations(void **state)
{
    const char *last = NULL, *others = NULL;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
        for (int k = 0; k < 5; k++) {
            last = load_add_journaled(ann, ops[i], k % 2 ? "slow" : "ok");
            others = load_add_journaled(bob, ops[k % 2], k == 2 ? "refuse" : "ok");
        }
        load_run();
        assert_head("ann", last);
        assert_head("bob", others);
        assert_string_equal(load_transactions(), i ? "2" : "1");
    }
    assert_string_equal(load_effects("ann"), "ok slow ok slow ok ok slow ok slow ok");
    assert_string_equal(ask("select count(*) from heddle.operations where state = 'failed'"), "2");
    assert_string_equal(ask("select count(*) from heddle.operations"
                            " where state = 'done' and payload is not null"),
                        "0");
    assert_string_equal(rebuilt, "");
}

/* Redis has lost the third. */
static void a_gap_is_found_and_what_is_before_it_is_done(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *user = i ? "bob" : "ann";
        struct claim *claim = load_lane(user);
        const char *first = load_add_journaled(claim, ops[i], "ok");
        const char *second = load_add_journaled(claim, ops[i], "slow");
        ask("select heddle.submit('%s', 'set', '{}')", user);
        const char *behind = load_add_journaled(claim, ops[i], "ok");
        load_add_journaled(claim, ops[i], "ok");
        const char *neighbour = add_neighbour(ops[i]);
        load_run();
        assert_done(first);
        assert_done(second);
        assert_done(neighbour);
        assert_string_equal(load_end(behind), "waits");
        assert_string_equal(load_ledger(behind), "queued 0");
        assert_int_equal(load_disposition(claim), LANE_GAP);
        assert_string_equal(load_effects(user), "ok slow");
        assert_head(user, second);
    }
    assert_string_equal(rebuilt, "ann.bob.");
}

/* And here the one before its first. */
static void what_stands_behind_a_gap_is_not_begun(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *user = i ? "bob" : "ann";
        load_add_journaled(load_lane(user), ops[i], "slow");
        load_run();
        ask("select heddle.submit('%s', 'set', '{}')", user);
        struct claim *claim = load_lane(user);
        const char *first = load_add_journaled(claim, ops[i], "ok");
        load_add_journaled(claim, ops[i], "ok");
        const char *neighbour = add_neighbour(ops[i]);
        load_run();
        assert_done(neighbour);
        assert_string_equal(load_ledger(first), "queued 0");
        assert_int_equal(load_disposition(claim), LANE_GAP);
        assert_string_equal(load_effects(user), "slow");
    }
    assert_string_equal(rebuilt, "ann.bob.");
}

/* One of op `kind`, in the middle of a lane of `op`. */
static void assert_cancelled_in_its_place(const char *user, const char *op, const char *kind)
{
    struct claim *claim = load_lane(user);
    const char *first = load_add_journaled(claim, op, "ok");
    const char *cancelled = load_add_journaled(claim, kind, "ok");
    const char *behind = load_add_journaled(claim, op, "slow");
    const char *neighbour = add_neighbour(op);

    ask("select heddle.cancel('%s')", cancelled);
    load_run();
    assert_done(first);
    assert_done(behind);
    assert_done(neighbour);
    assert_string_equal(load_end(cancelled), "cancelled");
    assert_string_equal(load_effects(user), "ok slow");
    assert_head(user, behind);
}

static void what_is_cancelled_in_the_ledger_takes_its_place_and_no_effect(void **state)
{
    (void)state;
    assert_cancelled_in_its_place("ann", "set", "set");
    assert_cancelled_in_its_place("bob", "single", "single");
}

/* Its check says no, the ledger says that it is not to end so. */
static void what_is_unfit_and_cancelled_in_the_ledger_is_cancelled(void **state)
{
    (void)state;
    assert_cancelled_in_its_place("ann", "set", "send_message");
    assert_cancelled_in_its_place("bob", "single", "delete_thread");
}

/* That a set of nothing but refusals has not got its places is heard behind it, when others have
 * had their effects. */
static void places_that_are_not_to_be_had_cost_no_effects(void **state)
{
    (void)state;
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
    const char *first = load_add_journaled(ann, "single", "ok");
    const char *cancelled = load_add_journaled(ann, "set", "invalid");
    const char *behind = load_add_journaled(ann, "single", "slow");
    const char *other = load_add_journaled(bob, "single", "ok");
    const char *refused = load_add_journaled(bob, "single", "refuse");
    ask("select heddle.cancel('%s')", cancelled);
    load_run();
    assert_done(first);
    assert_done(behind);
    assert_done(other);
    assert_string_equal(load_end(cancelled), "cancelled");
    assert_string_equal(load_end(refused), "failed");
    assert_string_equal(load_effects("ann"), "ok slow");
    assert_string_equal(load_effects("bob"), "ok");
    assert_head("ann", behind);
    assert_head("bob", refused);
}

/* Their settlement was lost: Redis has them still, with one that is new. */
static void what_has_ended_is_recalled_and_the_next_goes_on(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *user = i ? "bob" : "ann";
        struct claim *claim = load_lane(user);
        load_add_journaled(claim, ops[i], "ok");
        load_add_journaled(claim, ops[i], "refuse");
        load_run();
        struct claim *again = load_lane(user);
        for (size_t k = 0; k < 2; k++) {
            const struct heddle_operation *old = &claim->operations[k].operation;
            load_add_as(again, old->id, old->op.data, "", old->payload.data);
            again->operations[k].is_journaled = true;
        }
        const char *fresh = load_add_journaled(again, ops[i], "slow");
        const char *neighbour = add_neighbour(ops[i]);
        load_run();
        assert_done(fresh);
        assert_done(neighbour);
        for (size_t k = 0; k < 2; k++)
            assert_string_equal(again->operations[k].result.data, claim->operations[k].result.data);
        assert_string_equal(load_effects(user), "ok slow");
        assert_head(user, fresh);
    }
}

static void what_is_parked_leaves_its_place_to_the_next(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *user = i ? "bob" : "ann";
        struct claim *claim = load_lane(user);
        const char *first = load_add_journaled(claim, ops[i], "ok");
        const char *parked = load_add_journaled(claim, ops[i], "flaky");
        const char *behind = load_add_journaled(claim, ops[i], "slow");
        const char *neighbour = add_neighbour(ops[i]);
        load_operation(parked)->operation.policy.on_failure = HEDDLE_ON_FAILURE_PARK;
        load_run();
        assert_done(first);
        assert_done(behind);
        assert_done(neighbour);
        assert_string_equal(load_ledger(parked), "parked 1");
        assert_string_equal(load_end(parked), "waits");
        assert_string_equal(load_effects(user), "ok slow");
        /* Redis has it still, for its settlement was lost. */
        struct claim *again = load_lane(user);
        load_add_as(again, parked, ops[i], "", "{\"how\": \"flaky\"}");
        again->operations[0].is_journaled = true;
        const char *fresh = load_add_journaled(again, ops[i], "ok");
        load_run();
        assert_done(fresh);
        assert_string_equal(load_ledger(parked), "parked 1");
        assert_string_equal(load_effects(user), "ok slow ok");
    }
}

static void what_halts_its_lane_halts_it_for_nobody_else(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *user = i ? "bob" : "ann";
        struct claim *claim = load_lane(user);
        const char *first = load_add_journaled(claim, ops[i], "ok");
        const char *halting = load_add_journaled(claim, ops[i], "flaky");
        const char *behind = load_add_journaled(claim, ops[i], "slow");
        const char *neighbour = add_neighbour(ops[i]);
        load_operation(halting)->operation.policy =
            (struct heddle_policy){.attempts = 1, .on_failure = HEDDLE_ON_FAILURE_HALT};
        load_run();
        assert_done(first);
        assert_done(neighbour);
        assert_int_equal(load_disposition(claim), LANE_HALT);
        assert_string_equal(load_ledger(halting), "halted 1");
        assert_string_equal(load_ledger(behind), "queued 0");
        /* Whoever asks again is told the same. */
        load_resume();
        assert_int_equal(load_disposition(claim), LANE_HALT);
        assert_string_equal(load_ledger(halting), "halted 1");
        assert_string_equal(load_effects(user), "ok");
    }
}

/* Redis has lost the count of attempts that failed. */
static void an_attempt_that_only_the_ledger_remembers_counts(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *user = i ? "bob" : "ann";
        struct claim *claim = load_lane(user);
        const char *tried = load_add_journaled(claim, ops[i], "flaky");
        for (int step = 0; step < 3; step++)
            load_step();
        assert_string_equal(load_ledger(tried), "retrying 1");
        load_operation(tried)->operation.attempt = 1;
        const char *behind = load_add_journaled(claim, ops[i], "slow");
        const char *neighbour = add_neighbour(ops[i]);
        load_resume();
        assert_string_equal(load_ledger(tried), "done 2");
        assert_done(behind);
        assert_done(neighbour);
        assert_string_equal(load_effects(user), "flaky slow");
        assert_string_equal(ask("select count(*) from heddle.attempts where id = '%s'", tried),
                            "1");
    }
}

static void durable_and_direct_ones_of_a_lane_go_together(void **state)
{
    (void)state;
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
    const char *last = NULL;
    for (int i = 0; i < 4; i++) {
        load_add(ann, "set", "ok");
        last = load_add_journaled(ann, i % 2 ? "set" : "single", "slow");
        load_add_journaled(bob, "set", "ok");
        load_add(bob, "set", i == 2 ? "refuse" : "slow");
    }
    load_run();
    assert_string_equal(load_transactions(), "1");
    assert_string_equal(load_effects("ann"), "ok slow ok slow ok slow ok slow");
    assert_string_equal(load_effects("bob"), "ok slow ok slow ok ok slow");
    assert_head("ann", last);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, load_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lanes_advance_by_all_of_their_operations),
        TEST(a_gap_is_found_and_what_is_before_it_is_done),
        TEST(what_stands_behind_a_gap_is_not_begun),
        TEST(what_is_cancelled_in_the_ledger_takes_its_place_and_no_effect),
        TEST(what_is_unfit_and_cancelled_in_the_ledger_is_cancelled),
        TEST(places_that_are_not_to_be_had_cost_no_effects),
        TEST(what_has_ended_is_recalled_and_the_next_goes_on),
        TEST(what_is_parked_leaves_its_place_to_the_next),
        TEST(what_halts_its_lane_halts_it_for_nobody_else),
        TEST(an_attempt_that_only_the_ledger_remembers_counts),
        TEST(durable_and_direct_ones_of_a_lane_go_together),
    };
    return cmocka_run_group_tests(tests, load_open, load_close);
}
