/* Bundles whose transaction, or whose time, ends early, and operations that may not be in one. */
#include "load.h"

#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SAY_HELLO "{\"role\": \"user\", \"content\": \"hello\"}"

static void assert_all(const char *state, const char *count)
{
    assert_string_equal(ask("select count(*) from heddle.operations where state = '%s'"
                            " and attempt = 1",
                            state),
                        count);
    assert_string_equal(ask("select count(*) from heddle.attempts"), "0");
}

/* COMMIT takes longer than the client's patience: the transaction commits behind its back, or its
 * backend ends. Each operation is looked up, and the zombie's locks keep the lanes until then. */
static void a_commit_whose_fate_is_unknown_is_looked_up_for_each(void **state)
{
    static const char *const fates[] = {"0.6", "terminate"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        scene.runs.options.commit_deadline_ms = 200;
        load_configure(128, 10000000);
        scene_break("commit", fates[i]);
        struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
        load_add_as(ann, SCENE_ID(1), "send_message", SCENE_THREAD, SAY_HELLO);
        load_add(ann, "set", "ok");
        load_add_as(ann, SCENE_ID(2), "send_message", SCENE_THREAD, SAY_HELLO);
        load_add(bob, "set", "ok");
        load_step();
        ask_until("0", "select count(*) from pg_locks where locktype = 'advisory'");
        scene_mend();
        load_run();
        load_resume();
        assert_all("done", "4");
        assert_string_equal(load_end(SCENE_ID(1)), "done");
        assert_string_equal(load_end(SCENE_ID(2)), "done");
        assert_string_equal(ask("select string_agg(seq || right(id::text, 1), ' ' order by seq)"
                                " from chat.messages"),
                            "10 21 32");
        assert_string_equal(load_effects("ann"), "ok");
        assert_string_equal(load_effects("bob"), "ok");
        tell("truncate works.effects, heddle.operations;"
             "delete from chat.messages where seq > 1; update chat.threads set last_seq = 1");
    }
}

static void a_commit_that_fails_is_the_fault_of_one(void **state)
{
    (void)state;
    scene_break("commit", "23514");
    load_add(load_lane("bob"), "set", "ok");
    struct claim *ann = load_lane("ann");
    load_add(ann, "set", "ok");
    load_add_as(ann, SCENE_ID(1), "send_message", SCENE_THREAD, SAY_HELLO);
    load_add(ann, "set", "slow");
    load_run();
    assert_string_equal(load_end(SCENE_ID(1)), "failed");
    assert_string_equal(load_effects("ann"), "ok slow");
    assert_string_equal(load_effects("bob"), "ok");
    assert_all("done", "3");
}

static void a_session_that_ends_in_the_middle_takes_nobody_with_it(void **state)
{
    static const char *const ops[] = {"set", "single"};

    (void)state;
    load_warm_up();
    for (int i = 0; i < 2; i++) {
        struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
        load_add(ann, ops[i], "ok");
        load_add(ann, ops[i], "terminate");
        load_add(ann, ops[i], "slow");
        load_add(bob, ops[i], "ok");
        load_run();
        load_resume();
        assert_string_equal(load_effects("ann"), "ok terminate slow");
        assert_string_equal(load_effects("bob"), "ok");
        assert_all("done", "4");
        tell("truncate works.effects, heddle.operations; alter sequence works.terminated restart");
    }
}

static void what_is_poisoned_or_cancelled_ends_alone_in_its_place(void **state)
{
    (void)state;
    load_warm_up();
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
    load_add(ann, "set", "ok");
    const char *poisoned = load_add(ann, "set", "ok"), *behind = load_add(ann, "set", "slow");
    load_add(bob, "set", "ok");
    const char *cancelled = load_add(bob, "set", "ok");
    load_add(bob, "set", "slow");
    load_operation(poisoned)->is_poisoned = true;
    claimed_cancel(load_operation(cancelled), CANCEL_ASKED);
    load_run();
    assert_string_equal(load_end(poisoned), "dead");
    assert_string_equal(load_end(behind), "done");
    assert_string_equal(load_end(cancelled), "cancelled");
    assert_string_equal(load_effects("ann"), "ok slow");
    assert_string_equal(load_effects("bob"), "ok slow");
}

/* It was bundled when the run queue looked; the lane is the first by its name, and drops out. */
static void a_lane_that_is_cancelled_on_its_way_leaves_the_bundle_to_the_others(void **state)
{
    static const char *const ops[] = {"set", "single"};

    (void)state;
    load_warm_up();
    for (int i = 0; i < 2; i++) {
        struct claim *cid = load_lane("cid"), *ann = load_lane("ann"), *bob = load_lane("bob");
        load_add(cid, ops[i], "ok");
        load_add(cid, ops[i], "slow");
        const char *cancelled = load_add(ann, ops[i], "ok");
        load_add(ann, ops[i], "slow");
        load_add(bob, ops[i], "ok");
        load_push();
        claimed_cancel(load_operation(cancelled), CANCEL_ASKED);
        load_run();
        assert_string_equal(load_end(cancelled), "cancelled");
        assert_string_equal(load_effects("cid"), "ok slow");
        assert_string_equal(load_effects("ann"), "slow");
        assert_string_equal(load_effects("bob"), "ok");
        tell("truncate works.effects, heddle.operations");
    }
}

static void a_bundle_of_which_nothing_is_left_does_nothing(void **state)
{
    (void)state;
    load_warm_up();
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
    const char *first = load_add(ann, "single", "ok"), *other = load_add(bob, "single", "ok");
    load_push();
    claimed_cancel(load_operation(first), CANCEL_ASKED);
    claimed_cancel(load_operation(other), CANCEL_ASKED);
    load_run();
    assert_string_equal(load_end(first), "cancelled");
    assert_string_equal(load_end(other), "cancelled");
    assert_int_equal(load_seen.single, 0);
}

static void what_takes_longer_than_the_latency_bound_is_cut(void **state)
{
    (void)state;
    load_configure(128, 5000);
    for (int i = 0; i < 3; i++) {
        char user[] = {(char)('a' + i), '\0'};
        struct claim *claim = load_lane(user);
        load_add(claim, "single", "slow");
        load_add(claim, "single", "slow");
    }
    load_run();
    assert_string_equal(load_deepest(), "1");
    assert_all("done", "6");
}

static void operations_without_effects_need_no_transaction(void **state)
{
    (void)state;
    load_warm_up();
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
    const char *first = load_add(ann, "pure", "ok"), *refused = load_add(ann, "pure", "refuse");
    const char *flaky = load_add(ann, "pure", "flaky"), *last = load_add(ann, "pure", "ok");
    load_add(bob, "pure", "ok");
    load_run();
    assert_string_equal(load_end(first), "done");
    assert_string_equal(load_end(refused), "failed");
    assert_string_equal(load_end(flaky), "done");
    assert_string_equal(load_end(last), "done");
    assert_non_null(strstr(load_result(first), "\"state\":\"done\""));
    assert_true(load_operation(first)->sends_result && load_operation(last)->sends_result);
    assert_int_equal(load_operation(flaky)->operation.attempt, 2);
    assert_int_equal(load_operation(last)->operation.attempt, 1);
    assert_string_equal(ask("select count(*) from heddle.operations"), "0");
    assert_false(scene.runs.runner && runner_is_connected(scene.runs.runner));
}

static void a_stop_in_the_middle_lets_end_what_is_done_and_begins_nothing_more(void **state)
{
    (void)state;
    load_warm_up();
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob"), *cid = load_lane("cid");
    load_add(ann, "set", "ok");
    load_add(ann, "single", "ok");
    load_add(ann, "single", "stop");
    const char *left = load_add(ann, "single", "slow");
    load_add(bob, "single", "slow");
    load_add(cid, "set", "slow");
    load_add(cid, "set", "ok");
    load_run();
    assert_string_equal(load_end(left), "waits");
    assert_string_equal(load_effects("bob"), "");
    const char *done = ask("select count(*) from heddle.operations where state = 'done'");
    assert_string_equal(ask("select count(*) from works.effects"), done);
    load_resume();
    assert_string_equal(load_effects("ann"), "ok ok stop slow");
    assert_string_equal(load_effects("bob"), "slow");
    assert_string_equal(load_effects("cid"), "slow ok");
    assert_all("done", "7");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, load_set_up, load_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_whose_fate_is_unknown_is_looked_up_for_each),
        TEST(a_commit_that_fails_is_the_fault_of_one),
        TEST(a_session_that_ends_in_the_middle_takes_nobody_with_it),
        TEST(what_is_poisoned_or_cancelled_ends_alone_in_its_place),
        TEST(a_lane_that_is_cancelled_on_its_way_leaves_the_bundle_to_the_others),
        TEST(a_bundle_of_which_nothing_is_left_does_nothing),
        TEST(what_takes_longer_than_the_latency_bound_is_cut),
        TEST(operations_without_effects_need_no_transaction),
        TEST(a_stop_in_the_middle_lets_end_what_is_done_and_begins_nothing_more),
    };
    return cmocka_run_group_tests(tests, load_open, load_close);
}
