/* COMMIT's special cases and duplicates, with a real Postgres: whatever becomes of the
 * connection, an operation's effects and its ledger row are there once, together, or not at all. */
#include "scene.h"

#include "base/clock.h"
#include "base/text.h"
#include "base/thread.h"
#include "ledger/ledger.h"
#include "link/pg.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ID SCENE_ID(1)
#define SAY_HELLO "{\"role\":\"user\",\"content\":\"hello\"}"

enum { COMMITS_MAX = 100 };

static const struct heddle_operation operation = {.id = ID,
                                                  .user = TEXT("ann"),
                                                  .op = TEXT("update_thread"),
                                                  .thread = TEXT(SCENE_THREAD),
                                                  .payload = TEXT("{}"),
                                                  .attempt = 1};

static void assert_messages(const char *count)
{
    assert_string_equal(ask("select count(*) from chat.messages"), count);
}

/* From now on each COMMIT is durable here and then waits for a standby that never comes, so that
 * its connection can be lost between the two. */
static void let_commits_wait(void)
{
    bool waits = false;

    tell_as_superuser("alter system set synchronous_standby_names = 'nobody'");
    tell_as_superuser("select pg_reload_conf()");
    for (int i = 0; !waits && i < 100; i++) {
        struct pg_options options = fixture_pg_options("prober");
        options.deadline_ms = 100;
        struct pg_link *prober = fixture_pg(&options);
        waits = scene_update(prober) == HEDDLE_UNKNOWN;
        pg_free(prober);
    }
    assert_true(waits);
    ask("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'prober'");
    ask_until("0", "select count(*) from pg_stat_activity where application_name = 'prober'");
    tell("update chat.threads set title = 'before'");
}

static bool is_any_commit_waiting(void)
{
    return strcmp(ask("select count(*) from pg_stat_activity where wait_event = 'SyncRep'"), "0") !=
           0;
}

static int let_commits_go(void **state)
{
    tell_as_superuser("alter system reset synchronous_standby_names");
    tell_as_superuser("select pg_reload_conf()");
    return scene_tear_down(state);
}

/* Ends the backend of the next COMMIT that waits, from a process of its own. */
static pid_t start_terminator(void)
{
    static const struct heddle_statement terminate = {
        "terminate",
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'", 0};
    pid_t child = fork();

    if (child == 0) {
        const struct pg_options options = fixture_pg_options("terminator");
        struct pg_link *link = fixture_pg(&options);
        struct heddle_rows *rows = NULL;
        struct heddle_error err;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(FIXTURE_PATIENCE_MS / 1000);
        do {
            pg_rows_free(rows);
            rows = NULL;
            if (pg_query(link, &terminate, NULL, &rows, &err) != HEDDLE_OK)
                _exit(1);
        } while (heddle_rows_count(rows) == 0);
        _exit(0);
    }
    return child;
}

static void await_child(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_commit_that_happened_and_was_not_answered_is_unknown(void **state)
{
    (void)state;
    let_commits_wait();
    pid_t child = start_terminator();
    assert_int_equal(scene_update(scene.a), HEDDLE_UNKNOWN);
    await_child(child);
    assert_false(pg_is_connected(scene.a));
    scene_assert_title("after");
}

static void the_runner_looks_an_unknown_commit_up_and_tells_the_recorded_result(void **state)
{
    enum disposition disposition;

    (void)state;
    let_commits_wait();
    pid_t child = start_terminator();
    struct claim *claim = scene_run(ID, "send_message", SCENE_THREAD, SAY_HELLO, &disposition);
    await_child(child);
    assert_int_equal(disposition, LANE_RELEASE);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_DONE);
    assert_non_null(strstr(claim->operations[0].result.data, "hello"));
    assert_messages("2");
    scene_assert_ledger(ID, "done");
    claim_free(claim);
}

/* The client's patience ends first: its backend still holds the lane when the ledger is asked. */
static void a_zombie_that_commits_later_keeps_the_lane_until_its_fate_is_known(void **state)
{
    enum disposition disposition;

    (void)state;
    let_commits_wait();
    scene.runs.options.commit_deadline_ms = 200;
    runs_done(&scene.runs);
    runs_start(&scene.runs);
    struct claim *claim = scene_run(ID, "send_message", SCENE_THREAD, SAY_HELLO, &disposition);
    /* Where patience ended before COMMIT was sent, nothing has happened: once more. */
    for (int i = 0; i < COMMITS_MAX && !is_any_commit_waiting(); i++)
        assert_int_equal(disposition = runs_execute(&scene.runs, claim), LANE_PAUSE);
    assert_int_equal(disposition, LANE_PAUSE);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_NONE);
    assert_messages("1");
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_PAUSE);
    ask("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
    ask_until("0", "select count(*) from pg_stat_activity where wait_event = 'SyncRep'");
    assert_messages("2");
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_RELEASE);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_DONE);
    assert_messages("2");
    claim_free(claim);
}

/* A deferred trigger holds COMMIT up beyond the client's patience; then it commits, or not. */
static void a_slow_commit_takes_effect_once_however_it_ends(void **state)
{
    static const char *const delays[] = {"0.6", "4"};

    (void)state;
    scene.runs.options.commit_deadline_ms = 200;
    runs_done(&scene.runs);
    runs_start(&scene.runs);
    for (size_t i = 0; i < 2; i++) {
        enum disposition disposition;
        tell("truncate heddle.operations; delete from chat.messages where seq > 1;"
             "update chat.threads set last_seq = 1");
        scene_break("commit", delays[i]);
        struct claim *claim = scene_run(ID, "send_message", SCENE_THREAD, SAY_HELLO, &disposition);
        assert_int_equal(disposition, LANE_PAUSE);
        scene_mend();
        int64_t deadline_ms = clock_now_ms() + FIXTURE_PATIENCE_MS;
        while (disposition == LANE_PAUSE && clock_now_ms() < deadline_ms) {
            clock_sleep_ms(10);
            disposition = runs_execute(&scene.runs, claim);
            assert_true(claim->operations[0].end == HEDDLE_END_NONE || disposition == LANE_RELEASE);
        }
        assert_int_equal(claim->operations[0].end, HEDDLE_END_DONE);
        assert_messages("2");
        assert_string_equal(ask("select max(seq) from chat.messages"), "2");
        scene_assert_ledger(ID, "done");
        claim_free(claim);
    }
}

static void a_commit_that_answers_rollback_is_no_success(void **state)
{
    static const struct heddle_statement wrong = {"wrong", "select 1 / 0", 0};
    struct heddle_uow uow;

    (void)state;
    assert_int_equal(scene_begin_update(&uow, scene.a), HEDDLE_OK);
    assert_int_equal(heddle_uow_query(&uow, &wrong, NULL, NULL, &scene.err), HEDDLE_PERMANENT);
    assert_string_equal(scene.err.sqlstate, "22012");
    /* As if nobody had noticed: then only the tag of COMMIT's answer tells. */
    uow.failed = HEDDLE_OK;
    assert_int_equal(uow_commit(&uow, &scene.err), HEDDLE_RETRY);
    assert_non_null(strstr(scene.err.text, "ROLLBACK"));
    scene_assert_title("before");
    assert_true(pg_is_idle(scene.a));
}

/* Everything in one pipeline: the ledger's row, an effect, its completion, COMMIT. */
static heddle_status send_all(struct pg_link *link, int64_t lane, struct heddle_error *err)
{
    static const struct heddle_statement rename = {
        "rename", "update chat.threads set title = 'of the second' where id = $1::uuid", 1};
    const char *const params[] = {SCENE_THREAD};
    const struct outcome outcome = outcome_done("{}");
    struct heddle_uow uow;

    heddle_status status = uow_begin(&uow, link, false, err);
    if (status == HEDDLE_OK)
        status = uow_lock_lane(&uow, lane, err);
    if (status == HEDDLE_OK)
        status = ledger_enter(&uow, &operation, err);
    if (status == HEDDLE_OK)
        status = heddle_uow_send(&uow, &rename, params, err);
    if (status == HEDDLE_OK)
        status = ledger_finish(&uow, &operation, &outcome, err);
    assert_int_equal(status, HEDDLE_OK);
    return uow_commit(&uow, err);
}

static void a_committed_duplicate_fails_everything_behind_it(void **state)
{
    (void)state;
    assert_int_equal(send_all(scene.a, 1, &scene.err), HEDDLE_OK);
    scene_assert_title("of the second");
    tell("update chat.threads set title = 'later'");
    assert_int_equal(send_all(scene.b, 1, &scene.err), HEDDLE_PERMANENT);
    assert_int_equal(ledger_reason_for(&scene.err), LEDGER_IS_ENDED);
    scene_assert_title("later");
    assert_string_equal(ask("select count(*) from heddle.operations"), "1");
}

struct second {
    heddle_status status;
    struct heddle_error err;
};

static void *run_second(void *argument)
{
    struct second *second = argument;

    second->status = send_all(scene.b, 2, &second->err);
    return NULL;
}

/* Another session has entered the row and not committed it (in another lane, so that only the
 * ledger is in the way). `end` ends it; returns what became of the second. */
static struct second meet_in_flight(void (*end)(struct heddle_uow *uow))
{
    struct second second = {0};
    struct heddle_uow first;
    pthread_t thread;

    assert_int_equal(uow_begin(&first, scene.a, false, &scene.err), HEDDLE_OK);
    assert_int_equal(ledger_enter(&first, &operation, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_lock_lane(&first, 1, &scene.err), HEDDLE_OK);
    const char *json;
    assert_int_equal(threads_get(&first, scene_key, &json, &scene.err), HEDDLE_OK);
    thread_start(&thread, "second", run_second, &second);
    ask_until("1", "select count(*) from pg_stat_activity"
                   " where wait_event_type = 'Lock' and wait_event = 'transactionid'");
    end(&first);
    thread_join(thread);
    return second;
}

static void commit_first(struct heddle_uow *uow)
{
    assert_int_equal(uow_commit(uow, &scene.err), HEDDLE_OK);
}

static void a_duplicate_in_flight_fails_everything_behind_it_when_the_first_commits(void **state)
{
    (void)state;
    struct second second = meet_in_flight(commit_first);
    assert_int_equal(second.status, HEDDLE_PERMANENT);
    assert_int_equal(ledger_reason_for(&second.err), LEDGER_IS_ENDED);
    scene_assert_title("before");
}

static void a_duplicate_in_flight_takes_over_when_the_first_rolls_back(void **state)
{
    (void)state;
    struct second second = meet_in_flight(uow_rollback);
    assert_int_equal(second.status, HEDDLE_OK);
    scene_assert_title("of the second");
    scene_assert_ledger(ID, "done");
}

static void wait_for_its_timeout(struct heddle_uow *uow)
{
    ask_until("0", "select count(*) from pg_stat_activity where wait_event = 'transactionid'");
    uow_rollback(uow);
}

static void a_duplicate_in_flight_is_not_waited_for_beyond_the_lock_timeout(void **state)
{
    (void)state;
    struct second second = meet_in_flight(wait_for_its_timeout);
    assert_int_equal(second.status, HEDDLE_RETRY);
    assert_string_equal(second.err.sqlstate, "55P03");
    scene_assert_title("before");
    scene_assert_ledger(ID, "");
}

static void the_same_operation_again_gets_the_recorded_result(void **state)
{
    enum disposition disposition;

    (void)state;
    struct claim *first = scene_run(ID, "send_message", SCENE_THREAD, SAY_HELLO, &disposition);
    struct claim *again = scene_run(ID, "send_message", SCENE_THREAD, SAY_HELLO, &disposition);
    assert_int_equal(again->operations[0].end, HEDDLE_END_DONE);
    assert_string_equal(again->operations[0].result.data, first->operations[0].result.data);
    assert_messages("2");
    claim_free(first);
    claim_free(again);
}

static void the_id_of_another_operation_is_a_conflict_and_tells_nothing_of_it(void **state)
{
    enum disposition disposition;

    (void)state;
    claim_free(scene_run(ID, "send_message", SCENE_THREAD, SAY_HELLO, &disposition));
    struct claim *other = runs_claim(ID, "bob", "send_message", SCENE_THREAD, SAY_HELLO);
    assert_int_equal(runs_execute(&scene.runs, other), LANE_RELEASE);
    assert_int_equal(other->operations[0].end, HEDDLE_END_FAILED);
    assert_non_null(strstr(other->operations[0].result.data, "\"code\":409"));
    assert_null(strstr(other->operations[0].result.data, "hello"));
    scene_assert_ledger(ID, "done");
    assert_string_equal(ask("select user_id from heddle.operations"), "ann");
    claim_free(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)
#define WAITING(name) cmocka_unit_test_setup_teardown(name, scene_set_up, let_commits_go)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAITING(a_commit_that_happened_and_was_not_answered_is_unknown),
        WAITING(the_runner_looks_an_unknown_commit_up_and_tells_the_recorded_result),
        WAITING(a_zombie_that_commits_later_keeps_the_lane_until_its_fate_is_known),
        TEST(a_slow_commit_takes_effect_once_however_it_ends),
        TEST(a_commit_that_answers_rollback_is_no_success),
        TEST(a_committed_duplicate_fails_everything_behind_it),
        TEST(a_duplicate_in_flight_fails_everything_behind_it_when_the_first_commits),
        TEST(a_duplicate_in_flight_takes_over_when_the_first_rolls_back),
        TEST(a_duplicate_in_flight_is_not_waited_for_beyond_the_lock_timeout),
        TEST(the_same_operation_again_gets_the_recorded_result),
        TEST(the_id_of_another_operation_is_a_conflict_and_tells_nothing_of_it),
    };
    int failed = cmocka_run_group_tests_name("with prepared statements", tests, scene_open_prepared,
                                             scene_close);
    return failed +
           cmocka_run_group_tests_name("without", tests, scene_open_unprepared, scene_close);
}
