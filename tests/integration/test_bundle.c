/* Bundles against a real Postgres: one failure is found out alone and costs its neighbours nothing
 * but time, and whatever happens to the transaction, each operation takes effect once. */
#include "load.h"

#include "base/digest.h"
#include "base/text.h"
#include "engine/userlock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OF_BOB "75f8796b-bf15-4028-a476-630218bd7b90"
#define ARCHIVED "75f8796b-bf15-4028-a476-630218bd7b91"
#define MISSING "75f8796b-bf15-4028-a476-630218bd7b92"
#define SAY(text) "{\"role\": \"user\", \"content\": \"" text "\"}"

static char entered[LOAD_LANES_MAX * 8]; /* lanes whose critical sections were */

struct userlock *__real_userlock_acquire(struct userlock_table *table, struct heddle_text lane);
struct userlock *__wrap_userlock_acquire(struct userlock_table *table, struct heddle_text lane);

struct userlock *__wrap_userlock_acquire(struct userlock_table *table, struct heddle_text lane)
{
    size_t used = strlen(entered);

    snprintf(entered + used, sizeof entered - used, "%s ", lane.data);
    return __real_userlock_acquire(table, lane);
}

static void assert_nobody_was_charged(void)
{
    assert_string_equal(ask("select count(*) from heddle.attempts"), "0");
    assert_string_equal(ask("select count(*) from heddle.operations where attempt <> 1"), "0");
}

static void assert_ledger(const char *id, const char *expected)
{
    assert_string_equal(load_ledger(id), expected);
}

static void lanes_and_their_operations_are_one_transaction(void **state)
{
    static const char *const users[] = {"cid", "ann", "dan", "bob"};

    (void)state;
    load_warm_up();
    for (int i = 0; i < 4; i++) {
        struct claim *claim = load_lane(users[i]);
        load_add(claim, "set", "ok");
        load_add(claim, "set", "slow");
        load_add(claim, "set", "refuse");
        load_add(claim, "set", "ok");
    }
    load_run();
    assert_int_equal(load_seen.set, 1);
    assert_int_equal(load_seen.largest, 16);
    assert_int_equal(load_seen.executions, 1);
    assert_string_equal(load_transactions(), "1");
    for (int i = 0; i < 4; i++)
        assert_string_equal(load_effects(users[i]), "ok slow ok");
    assert_string_equal(ask("select string_agg(distinct state || ' ' || n, ',') from (select state,"
                            " count(*) as n from heddle.operations group by 1) as s"),
                        "done 12,failed 4");
    assert_nobody_was_charged();
}

/* Two workers with the same lanes, which they got in another order, would wait for each other. */
static void lanes_are_entered_in_the_order_of_their_names(void **state)
{
    static const char *const users[] = {"cid", "ann", "dan", "bob"};

    (void)state;
    load_warm_up();
    for (int i = 0; i < 4; i++)
        load_add(load_lane(users[i]), "set", "ok");
    entered[0] = '\0';
    load_run();
    assert_string_equal(entered, "ann bob cid dan ");
}

/* Two kinds in lanes that don't stand in step: each lane keeps its order. */
static void kinds_of_operations_mix_in_a_bundle(void **state)
{
    (void)state;
    load_warm_up();
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
    load_add(ann, "set", "ok");
    load_add(ann, "single", "slow");
    const char *look = load_add(ann, "look", "ok");
    load_add(ann, "set", "slow");
    load_add(bob, "single", "ok");
    load_add(bob, "single", "refuse");
    load_add(bob, "set", "slow");
    load_add(bob, "single", "ok");
    load_run();
    assert_string_equal(load_transactions(), "1");
    assert_string_equal(load_effects("ann"), "ok slow slow");
    assert_string_equal(load_effects("bob"), "ok slow ok");
    assert_string_equal(load_end(look), "done");
    assert_ledger(look, "");
    assert_string_equal(ask("select count(*) from heddle.operations where state = 'failed'"), "1");
}

static void what_must_not_be_bundled_is_alone_in_its_place(void **state)
{
    (void)state;
    load_warm_up();
    struct claim *ann = load_lane("ann");
    load_add(ann, "set", "ok");
    load_add(ann, "set", "slow");
    load_add(ann, "never", "ok");
    load_add(ann, "set", "ok");
    load_add(ann, "set", "slow");
    load_run();
    assert_string_equal(load_effects("ann"), "ok slow ok ok slow");
    assert_string_equal(load_transactions(), "3");
    assert_string_equal(ask("select count(*) from works.effects where tx = "
                            "(select tx from works.effects where op = 'never')"),
                        "1");
}

static void messages_that_are_refused_fail_alone_in_the_transaction_of_the_others(void **state)
{
    static const char *const threads[] = {SCENE_THREAD, OF_BOB,  SCENE_THREAD,
                                          ARCHIVED,     MISSING, SCENE_THREAD};
    char id[HEDDLE_ID_SIZE + 1];

    (void)state;
    tell("insert into chat.threads (id, user_id, title, status, archived_at)"
         " values ('" OF_BOB "', 'bob', 'b', 'active', null),"
         " ('" ARCHIVED "', 'ann', 'a', 'archived', now())");
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
    for (int i = 0; i < 6; i++) {
        snprintf(id, sizeof id, SCENE_ID(1));
        id[HEDDLE_ID_SIZE - 1] = (char)('1' + i);
        load_add_as(ann, id, "send_message", threads[i], SAY("hello"));
    }
    load_add_as(bob, SCENE_ID(8), "send_message", OF_BOB, SAY("from bob"));
    load_run();
    assert_int_equal(load_seen.executions, 1);
    assert_string_equal(ask("select string_agg(coalesce(error ->> 'kind', state::text), ' '"
                            " order by id) from heddle.operations"),
                        "done not_found done conflict not_found done done");
    assert_string_equal(ask("select count(distinct xmin::text) from heddle.operations"), "1");
    assert_string_equal(ask("select string_agg(seq::text, ' ' order by seq) from chat.messages"
                            " where thread_id = '" SCENE_THREAD "'"),
                        "1 2 3 4");
    assert_string_equal(
        ask("select string_agg(right(id::text, 1), '' order by seq) from chat.messages"
            " where thread_id = '" SCENE_THREAD "'"),
        "0136");
    assert_non_null(strstr(load_result(SCENE_ID(2)), "\"code\":404"));
    assert_nobody_was_charged();
}

/* Whatever fails of a set, it is found out in savepoints, and alone. */
static void a_set_that_fails_costs_only_the_one_at_fault(void **state)
{
    static const struct {
        const char *op, *how, *ledger;
        int charged;
    } cases[] = {
        {"set", "many", "done 1", 0},       {"set", "fault", "failed 1", 0},
        {"set", "late", "failed 1", 0},     {"set", "flaky", "done 2", 1},
        {"single", "fault", "failed 1", 0}, {"single", "late", "failed 1", 0},
        {"single", "flaky", "done 2", 1},
    };

    (void)state;
    load_warm_up();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char user[3][8];
        for (int k = 0; k < 3; k++)
            snprintf(user[k], sizeof user[k], "%c%d", 'a' + k, (int)i);
        struct claim *a = load_lane(user[0]), *b = load_lane(user[1]), *c = load_lane(user[2]);
        load_add(a, cases[i].op, "ok");
        load_add(a, cases[i].op, "slow");
        load_add(b, cases[i].op, "ok");
        const char *bad = load_add(b, cases[i].op, cases[i].how);
        load_add(b, cases[i].op, "slow");
        load_add(c, cases[i].op, "ok");
        load_run();
        assert_ledger(bad, cases[i].ledger);
        assert_string_equal(load_effects(user[0]), "ok slow");
        assert_string_equal(load_effects(user[2]), "ok");
        assert_string_equal(ask("select string_agg(how, ' ' order by seq) from works.effects"
                                " where lane = '%s' and id <> '%s'",
                                user[1], bad),
                            "ok slow");
        assert_string_equal(ask("select count(*) from heddle.operations"
                                " where id <> '%s' and (state <> 'done' or attempt <> 1)",
                                bad),
                            "0");
        assert_string_equal(ask("select count(*) from heddle.attempts"),
                            cases[i].charged ? "1" : "0");
        assert_string_equal(ask("select count(*) from heddle.attempts where id = '%s'", bad),
                            cases[i].charged ? "1" : "0");
        tell("truncate heddle.attempts, heddle.operations");
    }
}

static void a_failed_set_goes_on_in_savepoints_of_one_transaction(void **state)
{
    (void)state;
    load_warm_up();
    for (int i = 0; i < 3; i++) {
        char user[] = {(char)('a' + i), '\0'};
        struct claim *claim = load_lane(user);
        for (int k = 0; k < 4; k++)
            load_add(claim, "set", i == 1 && k == 2 ? "many" : "ok");
    }
    load_run();
    assert_int_equal(load_seen.set, 1);
    assert_int_equal(load_seen.single, 12);
    assert_string_equal(load_transactions(), "1");
}

static void never_more_than_64_savepoints(void **state)
{
    (void)state;
    load_warm_up();
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
    for (int i = 0; i < LOAD_DEPTH_MAX; i++) {
        load_add(ann, "single", i % 7 == 3 ? "refuse" : "ok");
        load_add(bob, i % 2 ? "single" : "set", "ok");
    }
    load_run();
    assert_string_equal(ask("select max(n) <= 64 from (select count(*) as n from works.effects"
                            " where op = 'single' group by tx) as t"),
                        "t");
    assert_true(atoi(load_deepest()) > 32);
    assert_string_equal(ask("select count(*) from heddle.operations where finished_at is not null"),
                        "200");
    assert_string_equal(ask("select count(*) || ' ' || count(distinct id) from works.effects"),
                        "186 186");
}

static void a_reader_in_a_bundle_cannot_write_and_those_behind_it_can(void **state)
{
    (void)state;
    load_warm_up();
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
    load_add(ann, "single", "ok");
    const char *liar = load_add(ann, "look", "write");
    load_add(ann, "single", "slow");
    const char *honest = load_add(bob, "look", "ok");
    load_add(bob, "single", "ok");
    load_add(bob, "set", "slow");
    load_run();
    assert_string_equal(load_end(liar), "dead");
    assert_string_equal(load_end(honest), "done");
    assert_string_equal(load_effects("ann"), "ok slow");
    assert_string_equal(load_effects("bob"), "ok slow");
    assert_string_equal(ask("select count(*) from works.effects where op = 'look'"), "0");
}

/* Redis has them again, because their settlement was lost, with others that are new. */
static void what_the_ledger_has_is_recalled_and_not_repeated(void **state)
{
    static const char *const ops[] = {"set", "single"};

    (void)state;
    load_warm_up();
    for (int i = 0; i < 2; i++) {
        const char *lane = ops[i];
        struct claim *first = load_lane(lane), *again;
        const char *old = load_add(first, ops[i], "ok"),
                   *refused = load_add(first, ops[i], "refuse");
        load_run();
        again = load_lane(lane);
        load_add(again, ops[i], "slow");
        load_add_as(again, old, ops[i], "", "{\"how\": \"ok\"}");
        load_add_as(again, refused, ops[i], "", "{\"how\": \"refuse\"}");
        load_add(again, ops[i], "slow");
        const char *other = load_add(load_lane("other"), ops[i], "ok");
        load_run();
        assert_string_equal(load_effects(lane), "ok slow slow");
        for (size_t k = 0; k < 2; k++)
            assert_string_equal(again->operations[k + 1].result.data,
                                first->operations[k].result.data);
        assert_string_equal(load_end(other), "done");
        assert_nobody_was_charged();
        tell("truncate works.effects, heddle.operations");
    }
}

static void an_id_of_two_users_is_a_conflict_for_the_second_alone(void **state)
{
    static const char *const ops[] = {"set", "single"};

    (void)state;
    load_warm_up();
    for (int i = 0; i < 2; i++) {
        struct claim *ann = load_lane("ann"), *bob = load_lane("bob");
        load_add_as(ann, SCENE_ID(5), ops[i], "", "{\"how\": \"ok\"}");
        load_add_as(bob, SCENE_ID(5), ops[i], "", "{\"how\": \"ok\"}");
        load_add(bob, ops[i], "slow");
        load_run();
        assert_int_equal(ann->operations[0].end, HEDDLE_END_DONE);
        assert_int_equal(bob->operations[0].end, HEDDLE_END_FAILED);
        assert_non_null(strstr(bob->operations[0].result.data, "\"code\":409"));
        assert_string_equal(load_effects("ann"), "ok");
        assert_string_equal(load_effects("bob"), "slow");
        tell("truncate works.effects, heddle.operations");
    }
}

static void a_lane_that_comes_twice_is_executed_once(void **state)
{
    (void)state;
    load_warm_up();
    for (int i = 0; i < 2; i++) {
        struct claim *claim = load_lane("ann");
        load_add_as(claim, SCENE_ID(1), "set", "", "{\"how\": \"ok\"}");
        load_add_as(claim, SCENE_ID(2), "set", "", "{\"how\": \"slow\"}");
        load_add(load_lane(i ? "bob" : "aaa"), "set", "ok");
    }
    load_run();
    assert_string_equal(load_effects("ann"), "ok slow");
    assert_string_equal(load_effects("bob"), "ok");
    assert_string_equal(load_effects("aaa"), "ok");
}

static void a_lane_that_a_zombie_holds_waits_and_the_others_don_t(void **state)
{
    static const char *const ops[] = {"set", "single"};
    char lock[80];

    (void)state;
    snprintf(lock, sizeof lock, "select pg_advisory_xact_lock(%lld)",
             (long long)digest_lane_key(text_of("bob")));
    load_warm_up();
    for (int i = 0; i < 2; i++) {
        scene_hold(lock);
        struct claim *ann = load_lane("ann"), *bob = load_lane("bob"), *cid = load_lane("cid");
        load_add(ann, ops[i], "ok");
        const char *held = load_add(bob, ops[i], "ok");
        load_add(bob, ops[i], "slow");
        load_add(cid, ops[i], "ok");
        load_run();
        assert_string_equal(load_effects("ann"), "ok");
        assert_string_equal(load_effects("cid"), "ok");
        assert_string_equal(load_effects("bob"), "");
        assert_string_equal(load_end(held), "waits");
        assert_int_equal(load_disposition(bob), LANE_PAUSE);
        scene_let_go();
        load_resume();
        assert_string_equal(load_effects("bob"), "ok slow");
        assert_nobody_was_charged();
        tell("truncate works.effects, heddle.operations");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, load_set_up, load_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lanes_and_their_operations_are_one_transaction),
        TEST(lanes_are_entered_in_the_order_of_their_names),
        TEST(kinds_of_operations_mix_in_a_bundle),
        TEST(what_must_not_be_bundled_is_alone_in_its_place),
        TEST(messages_that_are_refused_fail_alone_in_the_transaction_of_the_others),
        TEST(a_set_that_fails_costs_only_the_one_at_fault),
        TEST(a_failed_set_goes_on_in_savepoints_of_one_transaction),
        TEST(never_more_than_64_savepoints),
        TEST(a_reader_in_a_bundle_cannot_write_and_those_behind_it_can),
        TEST(what_the_ledger_has_is_recalled_and_not_repeated),
        TEST(an_id_of_two_users_is_a_conflict_for_the_second_alone),
        TEST(a_lane_that_comes_twice_is_executed_once),
        TEST(a_lane_that_a_zombie_holds_waits_and_the_others_don_t),
    };
    int failed =
        cmocka_run_group_tests_name("with prepared statements", tests, load_open, load_close);
    return failed + cmocka_run_group_tests_name("without", tests, load_open_unprepared, load_close);
}
