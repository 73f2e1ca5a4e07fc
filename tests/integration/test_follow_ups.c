/* What operations enqueue exists exactly if their effects do, alone and in bundles; and a result
 * that is too large is none. */
#include "load.h"

#include "engine/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane);

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane)
{
    (void)relay;
    fail_msg("nothing is lost, and %s is to be rebuilt", lane.data);
}

static const char *const ops[] = {"never", "single", "set"};
enum { OPS = sizeof ops / sizeof *ops };

static int set_up(void **state)
{
    load_set_up(state);
    load_warm_up();
    return 0;
}

static const char *followers(const char *user)
{
    return ask("select count(*) from heddle.operations where user_id = 'next-%s'", user);
}

/* Each of them among neighbours, whose own must not be lost with it. */
static void they_are_as_many_as_effects(void **state)
{
    static const char *const hows[] = {"refuse", "fault", "late", "flaky", "many", "terminate"};

    (void)state;
    load_follows = true;
    for (size_t op = 0; op < OPS; op++)
        for (size_t h = 0; h < sizeof hows / sizeof *hows; h++) {
            char user[16];
            for (int i = 0; i < 3; i++) {
                snprintf(user, sizeof user, "u%zu%zu%d", op, h, i);
                struct claim *claim = load_lane(user);
                load_add(claim, ops[op], "ok");
                load_add_journaled(claim, ops[op], i == 1 ? hows[h] : "ok");
                load_add(claim, ops[op], "slow");
            }
        }
    load_run();
    /* Whose session was lost. */
    for (int tries = 0; load_left() > 0 && tries < OPS; tries++)
        load_resume();
    assert_int_equal(load_left(), 0);
    load_assert_followed();
    assert_string_equal(ask("select count(*) from works.effects where op = 'set' and how = 'ok'"),
                        "30");
    assert_string_equal(ask("select count(*) > 100 from heddle.operations where op = 'next'"), "t");
}

static void those_of_one_stand_in_their_order_and_are_heard_of(void **state)
{
    (void)state;
    load_follows = true;
    for (size_t op = 0; op < OPS; op++) {
        struct claim *claim = load_lane(ops[op]);
        load_add(claim, ops[op], "follow");
        load_add(claim, ops[op], "ok");
    }
    load_run();
    for (size_t op = 0; op < OPS; op++)
        assert_string_equal(followers(ops[op]), "5");
    assert_string_equal(
        ask("select count(*) from heddle.operations o left join heddle.outbox b using (id, seq)"
            " where o.op = 'next' and (b.id is null or o.state <> 'queued')"),
        "0");
    /* Numbers rise without a gap: each knows the one before it. */
    assert_string_equal(ask("select count(*) from (select prev <> coalesce(lag(seq) over (partition"
                            " by user_id order by seq), 0) as is_off from heddle.operations"
                            " where op = 'next') as o where is_off"),
                        "0");
}

static void assert_failed(const char *id, const char *kind, const char *text)
{
    assert_string_equal(load_end(id), "failed");
    assert_non_null(strstr(load_result(id), kind));
    assert_non_null(strstr(load_result(id), text));
}

static void one_that_is_refused_fails_its_operation_and_no_other(void **state)
{
    static const struct {
        const char *how, *kind, *text;
    } cases[] = {
        {"follow_badly", "\"invalid\"", "follow-up: op must be 1 to 64 characters of a-z0-9_."},
        {"follow_conflict", "\"conflict\"", "follow-up: the id is in use"},
        {"follow_id", "\"invalid\"", "follow-up: id must be a UUID"},
        {"follow_too_many", "\"too_large\"", "at most 1000"},
    };

    (void)state;
    for (size_t op = 0; op < OPS; op++)
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            char user[3][24];
            for (int i = 0; i < 3; i++)
                snprintf(user[i], sizeof user[i], "u%zu%zu%d", op, c, i);
            struct claim *ann = load_lane(user[0]), *bob = load_lane(user[1]);
            const char *first = load_add(ann, ops[op], "follow");
            const char *refused = load_add_journaled(ann, ops[op], cases[c].how);
            const char *last = load_add(bob, ops[op], "follow");
            load_run();
            assert_failed(refused, cases[c].kind, cases[c].text);
            assert_string_equal(load_end(first), "done");
            assert_string_equal(load_end(last), "done");
            assert_string_equal(load_effects(user[0]), "follow");
            assert_string_equal(followers(user[0]), "3");
            assert_string_equal(followers(user[1]), "3");
        }
}

static void who_only_reads_enqueues_nothing(void **state)
{
    (void)state;
    const char *direct = load_add(load_lane("ann"), "look", "follow");
    const char *durable = load_add_journaled(load_lane("bob"), "look", "follow");
    load_run();
    assert_string_equal(load_end(direct), "dead");
    assert_string_equal(load_end(durable), "dead");
    assert_non_null(strstr(load_result(direct), "a handler that only reads"));
    assert_string_equal(ask("select count(*) from heddle.operations where op = 'next'"), "0");
}

/* So many that one statement does not take them. */
static void a_bundle_has_room_for_all_of_its_own(void **state)
{
    (void)state;
    load_follows = true;
    for (int i = 0; i < 12; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        struct claim *claim = load_lane(user);
        for (int n = 0; n < 40; n++)
            load_add(claim, "set", "follow");
    }
    load_run();
    assert_string_equal(ask("select count(*) from heddle.operations where op = 'next'"), "1920");
    assert_string_equal(ask("select count(*) from (select prev <> coalesce(lag(seq) over (partition"
                            " by user_id order by seq), 0) as is_off from heddle.operations"
                            " where op = 'next') as o where is_off"),
                        "0");
}

static void a_result_that_is_too_large_fails_its_operation(void **state)
{
    static const char *const all[] = {"never", "single", "set", "look", "pure"};

    (void)state;
    scene.runs.options.result_bytes_max = 1024;
    for (size_t op = 0; op < sizeof all / sizeof *all; op++) {
        struct claim *claim = load_lane(all[op]);
        const char *before = load_add(claim, all[op], "ok");
        const char *big = load_add(claim, all[op], "big");
        const char *durable = load_add_journaled(claim, all[op], "big");
        const char *behind = load_add(claim, all[op], "ok");
        load_run();
        assert_string_equal(load_end(before), "done");
        assert_string_equal(load_end(behind), "done");
        assert_failed(big, "\"code\":413", "result_max allows 1024");
        assert_failed(durable, "\"too_large\"", "result_max allows 1024");
        assert_string_equal(load_effects(all[op]), op < 3 ? "ok ok" : "");
    }
    scene.runs.options.result_bytes_max = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, load_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(they_are_as_many_as_effects),
        TEST(those_of_one_stand_in_their_order_and_are_heard_of),
        TEST(one_that_is_refused_fails_its_operation_and_no_other),
        TEST(who_only_reads_enqueues_nothing),
        TEST(a_bundle_has_room_for_all_of_its_own),
        TEST(a_result_that_is_too_large_fails_its_operation),
    };
    return cmocka_run_group_tests(tests, load_open, load_close);
}
