/* What concurrent sessions do to a unit of work: lanes, conflicts, deadlocks. Real Postgres. */
#include "scene.h"

#include "base/digest.h"
#include "base/text.h"
#include "base/thread.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID SCENE_ID(1)
#define SAY_HELLO "{\"role\":\"user\",\"content\":\"hello\"}"
#define OF_BOB SCENE_ID(8)

static void assert_messages(const char *count)
{
    assert_string_equal(ask("select count(*) from chat.messages"), count);
}

static void a_lane_that_another_session_holds_is_left_alone(void **state)
{
    enum disposition disposition;
    char sql[100];

    (void)state;
    snprintf(sql, sizeof sql, "select pg_advisory_xact_lock(%lld)",
             (long long)digest_lane_key(TEXT("ann")));
    scene_hold(sql);
    struct claim *claim = scene_run(ID, "send_message", SCENE_THREAD, SAY_HELLO, &disposition);
    assert_int_equal(disposition, LANE_PAUSE);
    assert_messages("1");
    scene_assert_ledger(ID, "");
    /* Of the session's own words. */
    struct heddle_uow uow;
    assert_int_equal(uow_begin(&uow, scene.a, false, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_lock_lane(&uow, digest_lane_key(TEXT("ann")), &scene.err), HEDDLE_OK);
    assert_int_equal(uow_commit(&uow, &scene.err), HEDDLE_RETRY);
    assert_string_equal(scene.err.sqlstate, "55P03");
    scene_let_go();
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_RELEASE);
    assert_messages("2");
    claim_free(claim);
}

static void a_fault_that_passes_is_tried_again_in_place_a_few_times(void **state)
{
    enum disposition disposition;

    (void)state;
    scene_break("statement", "twice");
    tell("alter sequence faults.happened restart");
    scene.runs.options.retry_attempts = 1;
    struct claim *claim = scene_run(ID, "send_message", SCENE_THREAD, SAY_HELLO, &disposition);
    assert_int_equal(disposition, LANE_WAIT);
    tell("alter sequence faults.happened restart");
    scene.runs.options.retry_attempts = 2;
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_RELEASE);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_DONE);
    assert_messages("2");
    claim_free(claim);
}

static void another_lane_is_not_held_up(void **state)
{
    struct heddle_uow a, b;

    (void)state;
    assert_int_equal(scene_begin_update(&a, scene.a), HEDDLE_OK);
    assert_int_equal(uow_begin(&b, scene.b, false, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_lock_lane(&b, -1, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_commit(&b, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_commit(&a, &scene.err), HEDDLE_OK);
}

/* A session whose snapshot is older than another's change of the same row. */
static void a_serialization_failure_is_a_retry_and_changes_nothing(void **state)
{
    struct pg_options options = fixture_pg_options("unit of work");
    char conninfo[500];
    struct heddle_uow uow;
    const char *json;

    (void)state;
    snprintf(conninfo, sizeof conninfo,
             "%s options='-c default_transaction_isolation=repeatable\\\\ read'",
             fixture_postgres());
    options.conninfo = conninfo;
    options.with_prepared_statements = scene.with_prepared_statements;
    struct pg_link *link = fixture_pg(&options);
    assert_int_equal(uow_begin(&uow, link, false, &scene.err), HEDDLE_OK);
    assert_int_equal(threads_get(&uow, scene_key, &json, &scene.err), HEDDLE_OK);
    tell("update chat.threads set title = 'of another'");
    assert_int_equal(threads_rename(&uow, scene_key, "mine", &json, &scene.err), HEDDLE_RETRY);
    assert_string_equal(scene.err.sqlstate, "40001");
    uow_rollback(&uow);
    assert_true(pg_is_idle(link));
    scene_assert_title("of another");
    assert_int_equal(scene_update(link), HEDDLE_OK);
    scene_assert_title("after");
    pg_free(link);
}

struct rival {
    struct heddle_uow uow;
    heddle_status status;
    struct heddle_error err;
};

static void *rename_the_other(void *argument)
{
    struct rival *rival = argument;
    const char *json;

    rival->status = threads_rename(&rival->uow, scene_key, "of b", &json, &rival->err);
    if (rival->status == HEDDLE_OK)
        rival->status = uow_commit(&rival->uow, &rival->err);
    else
        uow_rollback(&rival->uow);
    return NULL;
}

static struct pg_link *new_patient_link(void)
{
    struct pg_options options = fixture_pg_options("unit of work");

    options.lock_timeout_ms = options.statement_timeout_ms = 10000;
    options.deadline_ms = 15000;
    options.with_prepared_statements = scene.with_prepared_statements;
    return fixture_pg(&options);
}

/* A holds ann's row and wants bob's, B holds bob's and wants ann's. */
static void of_two_in_a_deadlock_one_retries_and_one_commits(void **state)
{
    static const struct thread_key bob = {.id = OF_BOB, .user = "bob"};
    struct pg_link *link_a = new_patient_link(), *link_b = new_patient_link();
    struct rival b = {.status = HEDDLE_OK};
    struct heddle_uow a;
    const char *json;
    pthread_t thread;

    (void)state;
    tell("insert into chat.threads (id, user_id, title) values ('" OF_BOB "', 'bob', 'before')");
    assert_int_equal(uow_begin(&a, link_a, false, &scene.err), HEDDLE_OK);
    assert_int_equal(threads_rename(&a, scene_key, "of a", &json, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_begin(&b.uow, link_b, false, &scene.err), HEDDLE_OK);
    assert_int_equal(threads_rename(&b.uow, bob, "of b", &json, &scene.err), HEDDLE_OK);
    thread_start(&thread, "rival", rename_the_other, &b);
    ask_until("1", "select count(*) from pg_stat_activity where wait_event_type = 'Lock'");
    heddle_status status = threads_rename(&a, bob, "of a", &json, &scene.err);
    if (status == HEDDLE_OK)
        status = uow_commit(&a, &scene.err);
    else
        uow_rollback(&a);
    thread_join(thread);

    assert_int_equal((status == HEDDLE_OK) + (b.status == HEDDLE_OK), 1);
    assert_int_equal((status == HEDDLE_RETRY) + (b.status == HEDDLE_RETRY), 1);
    assert_string_equal(status == HEDDLE_RETRY ? scene.err.sqlstate : b.err.sqlstate, "40P01");
    assert_string_equal(ask("select string_agg(distinct title, ',') from chat.threads"),
                        status == HEDDLE_OK ? "of a" : "of b");
    pg_free(link_a);
    pg_free(link_b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lane_that_another_session_holds_is_left_alone),
        TEST(another_lane_is_not_held_up),
        TEST(a_serialization_failure_is_a_retry_and_changes_nothing),
        TEST(of_two_in_a_deadlock_one_retries_and_one_commits),
        TEST(a_fault_that_passes_is_tried_again_in_place_a_few_times),
    };
    int failed = cmocka_run_group_tests_name("with prepared statements", tests, scene_open_prepared,
                                             scene_close);
    return failed +
           cmocka_run_group_tests_name("without", tests, scene_open_unprepared, scene_close);
}
