/* The session-safety scenarios of the unit of work, with a real Postgres and real faults, judged
 * from a second connection. unit/test_uow_faults.c has the same ones with libpq's faults injected.
 * All of them run with prepared statements and, as behind a pooler, without. */
#include "scene.h"

#include "engine/task.h"
#include "link/pg.h"
#include "workers/messages.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ID SCENE_ID(1)

/* The session's last words, as the server has them. */
static void assert_last_statement(const struct pg_link *link, const char *statement)
{
    assert_string_equal(ask("select state || ' ' || query from pg_stat_activity where pid = %d",
                            pg_backend_pid(link)),
                        statement);
}

static void s01_update_commit_fails_error_kept_one_rollback_row_unchanged(void **state)
{
    (void)state;
    scene_break("commit", "23514");
    assert_int_equal(scene_update(scene.a), HEDDLE_PERMANENT);
    assert_string_equal(scene.err.sqlstate, "23514");
    assert_string_equal(scene.err.where, "heddle_commit");
    assert_string_equal(scene.err.text, "as ordered");
    scene_assert_title("before");
    assert_last_statement(scene.a, "idle rollback");
    scene_mend();
    assert_int_equal(scene_update(scene.a), HEDDLE_OK);
    scene_assert_title("after");
}

static void s01_update_commit_fails_in_the_runner_and_the_refusal_is_recorded(void **state)
{
    enum disposition disposition;

    (void)state;
    scene_break("commit", "23514");
    struct claim *claim =
        scene_run(ID, "update_thread", SCENE_THREAD, "{\"title\":\"after\"}", &disposition);
    assert_int_equal(disposition, LANE_RELEASE);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_FAILED);
    scene_assert_title("before");
    scene_assert_ledger(ID, "failed");
    claim_free(claim);
}

static void s01_update_backend_ended_at_commit_is_unknown_and_row_unchanged(void **state)
{
    (void)state;
    scene_break("commit", "terminate");
    assert_int_equal(scene_update(scene.a), HEDDLE_UNKNOWN);
    assert_false(pg_is_connected(scene.a));
    scene_assert_title("before");
    scene_mend();
    assert_int_equal(scene_update(scene.a), HEDDLE_OK);
    scene_assert_title("after");
}

static void s02_create_insert_fails_nothing_is_created(void **state)
{
    enum disposition disposition;

    (void)state;
    scene_break("statement", "22001");
    struct claim *claim =
        scene_run(ID, "create_thread", "", "{\"title\":\"new\",\"metadata\":{}}", &disposition);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_FAILED);
    assert_non_null(strstr(claim->operations[0].result.data, "\"kind\":\"invalid\""));
    assert_string_equal(ask("select count(*) from chat.threads"), "1");
    scene_assert_ledger(ID, "failed");
    claim_free(claim);
}

static void s02_create_with_an_id_in_use_is_a_conflict_and_changes_nothing(void **state)
{
    enum disposition disposition;

    (void)state;
    struct claim *claim = scene_run(
        ID, "create_thread", "", "{\"id\":\"" SCENE_THREAD "\",\"title\":\"mine\"}", &disposition);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_FAILED);
    assert_non_null(strstr(claim->operations[0].result.data, "\"code\":409"));
    scene_assert_title("before");
    scene_assert_ledger(ID, "failed");
    claim_free(claim);
}

static void s03_get_validation_fails_no_transaction_is_left_open(void **state)
{
    enum disposition disposition;

    (void)state;
    struct claim *claim = scene_run(ID, "get_thread", "no uuid", "{}", &disposition);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_FAILED);
    scene_assert_none_in_transaction();
    assert_string_equal(
        ask("select count(*) from pg_stat_activity where application_name = 'heddle worker'"), "0");
    claim_free(claim);
    /* Refused in the middle of its transaction. */
    claim = scene_run(ID, "get_thread", SCENE_ID(9), "{}", &disposition);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_FAILED);
    assert_non_null(strstr(claim->operations[0].result.data, "\"kind\":\"not_found\""));
    scene_assert_none_in_transaction();
    claim_free(claim);
}

static int own_pid(struct heddle_uow *uow)
{
    static const struct heddle_statement pid = {"own_pid", "select pg_backend_pid()", 0};
    const struct heddle_rows *rows;

    assert_int_equal(heddle_uow_query(uow, &pid, NULL, &rows, &scene.err), HEDDLE_OK);
    return (int)strtol(heddle_rows_text(rows, 0, 0), NULL, 10);
}

static void s04_repositories_share_one_backend_and_one_transaction(void **state)
{
    const struct new_message message = {
        .thread = scene_key, .id = ID, .role = "user", .content = "hello"};
    struct arena arena = {0};
    struct heddle_task task = {.arena = &arena};
    struct heddle_uow uow;
    const char *json;

    (void)state;
    assert_int_equal(uow_begin(&uow, scene.a, false, &scene.err), HEDDLE_OK);
    assert_int_equal(own_pid(&uow), pg_backend_pid(scene.a));
    assert_int_equal(messages_append(&uow, &task, &message, &json, &scene.err), HEDDLE_OK);
    assert_int_equal(own_pid(&uow), pg_backend_pid(scene.a));
    /* What one repository wrote, the other sees, and nobody else. */
    assert_int_equal(threads_get(&uow, scene_key, &json, &scene.err), HEDDLE_OK);
    assert_non_null(strstr(json, "\"message_count\" : 2"));
    assert_string_equal(ask("select count(*) from chat.messages"), "1");
    assert_string_equal(ask("select count(*) from pg_stat_activity"
                            " where application_name = 'unit of work' and xact_start is not null"),
                        "1");
    assert_int_equal(uow_commit(&uow, &scene.err), HEDDLE_OK);
    assert_string_equal(ask("select count(*) from chat.messages"), "2");
    arena_done(&arena);
}

static void s05_delete_archive_fails_status_unchanged(void **state)
{
    enum disposition disposition;

    (void)state;
    scene_break("statement", "40P01");
    struct claim *claim = scene_run(ID, "delete_thread", SCENE_THREAD, "{}", &disposition);
    assert_int_equal(disposition, LANE_WAIT);
    assert_string_equal(ask("select status from chat.threads"), "active");
    scene_assert_ledger(ID, "retrying");
    scene_mend();
    runs_rewind(claim);
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_RELEASE);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_DONE);
    assert_string_equal(ask("select status from chat.threads"), "archived");
    scene_assert_ledger(ID, "done");
    claim_free(claim);
}

static void s06_auto_rename_title_update_fails_title_unchanged_and_no_event(void **state)
{
    static const char *const places[] = {"statement", "commit"};
    static const char *const faults[] = {"40001", "23514", "terminate"};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        enum disposition disposition;
        scene_break(places[i % 2], faults[i / 2]);
        struct claim *claim = scene_run(ID, "auto_rename", SCENE_THREAD, "{}", &disposition);
        assert_null(claim->events);
        assert_int_not_equal(claim->operations[0].end, HEDDLE_END_DONE);
        scene_assert_title("before");
        claim_free(claim);
        tell("truncate heddle.operations");
        scene_mend();
    }
    enum disposition disposition;
    struct claim *claim = scene_run(ID, "auto_rename", SCENE_THREAD, "{}", &disposition);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_DONE);
    assert_non_null(claim->events);
    scene_assert_title("Book a room");
    claim_free(claim);
}

static void s07_list_query_fails_by_a_lock_it_comes_again(void **state)
{
    enum disposition disposition;

    (void)state;
    scene_hold("lock table chat.threads in access exclusive mode");
    struct claim *claim = scene_run(ID, "list_threads", "", "{}", &disposition);
    assert_int_equal(disposition, LANE_WAIT);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_NONE);
    scene_let_go();
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_RELEASE);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_DONE);
    claim_free(claim);
}

/* An error of each kind; what the session is afterwards. */
static void s08_after_any_error_the_session_is_usable_or_discarded(void **state)
{
    static const struct {
        const char *where, *what;
        heddle_status status;
        const char *sqlstate;
        bool is_discarded;
    } errors[] = {
        {"statement", "23505", HEDDLE_PERMANENT, "23505", false},
        {"statement", "40001", HEDDLE_RETRY, "40001", false},
        {"statement", "57014", HEDDLE_RETRY, "57014", false},
        {"statement", "terminate", HEDDLE_RETRY, "57P01", true},
        {"statement", "2.5", HEDDLE_RETRY, "57014", false}, /* the statement's timeout is 2 s */
        {"commit", "23503", HEDDLE_PERMANENT, "23503", false},
        {"commit", "40001", HEDDLE_RETRY, "40001", false},
        {"commit", "terminate", HEDDLE_UNKNOWN, "57P01", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        scene_break(errors[i].where, errors[i].what);
        heddle_status status = scene_update(scene.a);
        if (status != errors[i].status || strcmp(scene.err.sqlstate, errors[i].sqlstate) != 0)
            fail_msg("%s at %s: %s, SQLSTATE '%s', %s", errors[i].what, errors[i].where,
                     heddle_status_name(status), scene.err.sqlstate, scene.err.text);
        assert_int_equal(pg_is_connected(scene.a), !errors[i].is_discarded);
        assert_int_equal(pg_is_idle(scene.a), !errors[i].is_discarded);
        scene_assert_title("before");
        scene_mend();
        assert_int_equal(scene_update(scene.a), HEDDLE_OK);
        scene_assert_title("after");
        tell("update chat.threads set title = 'before'");
    }
}

static void s09_two_sessions_at_once_only_the_one_that_commits_has_effects(void **state)
{
    struct heddle_uow a, b;
    const char *json;

    (void)state;
    assert_int_equal(scene_begin_update(&a, scene.a), HEDDLE_OK);
    assert_int_equal(uow_begin(&b, scene.b, false, &scene.err), HEDDLE_OK);
    assert_int_equal(threads_insert(&b, (struct thread_key){SCENE_ID(8), "bob"},
                                    "{\"title\":\"of bob\"}", &json, &scene.err),
                     HEDDLE_OK);
    /* A fails for a null where none may be. */
    assert_int_equal(
        threads_insert(&a, (struct thread_key){SCENE_ID(7), NULL}, "{}", &json, &scene.err),
        HEDDLE_PERMANENT);
    assert_string_equal(scene.err.sqlstate, "23502");
    uow_rollback(&a);
    assert_int_equal(uow_commit(&b, &scene.err), HEDDLE_OK);
    scene_assert_title("before");
    assert_string_equal(ask("select string_agg(title, ',' order by title) from chat.threads"),
                        "before,of bob");
}

static void s10_connections_are_back_at_the_baseline(void **state)
{
    static const char *const faults[] = {"23505", "40001", "terminate"};

    (void)state;
    assert_int_equal(scene_update(scene.a), HEDDLE_OK);
    for (int i = 0; i < 30; i++) {
        scene_break(i % 2 ? "statement" : "commit", faults[i % 3]);
        assert_int_not_equal(scene_update(scene.a), HEDDLE_OK);
        scene_mend();
        assert_int_equal(scene_update(scene.a), HEDDLE_OK);
        ask_until("1", "select count(*) from pg_stat_activity"
                       " where application_name = 'unit of work'");
    }
}

/* A worker in the middle of its transaction: with a changed row, and its lane's lock. */
static pid_t start_worker(void)
{
    pid_t child = fork();

    if (child == 0) {
        struct pg_options options = fixture_pg_options("victim");
        struct heddle_uow uow;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        options.idle_transaction_timeout_ms = 300;
        options.with_prepared_statements = scene.with_prepared_statements;
        if (scene_begin_update(&uow, fixture_pg(&options)) == HEDDLE_OK)
            pause();
        _exit(1);
    }
    ask_until("1", "select count(*) from pg_stat_activity where application_name = 'victim'"
                   " and state = 'idle in transaction'");
    return child;
}

static void s11_a_worker_that_is_killed_leaves_no_transaction(void **state)
{
    (void)state;
    pid_t child = start_worker();
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    ask_until("0", "select count(*) from pg_stat_activity where application_name = 'victim'");
    assert_int_equal(scene_update(scene.a), HEDDLE_OK);
}

static void s11_a_worker_that_hangs_in_its_transaction_is_ended_by_the_server(void **state)
{
    (void)state;
    pid_t child = start_worker();
    ask_until("0", "select count(*) from pg_stat_activity where application_name = 'victim'");
    assert_int_equal(scene_update(scene.a), HEDDLE_OK);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(s01_update_commit_fails_error_kept_one_rollback_row_unchanged),
        TEST(s01_update_commit_fails_in_the_runner_and_the_refusal_is_recorded),
        TEST(s01_update_backend_ended_at_commit_is_unknown_and_row_unchanged),
        TEST(s02_create_insert_fails_nothing_is_created),
        TEST(s02_create_with_an_id_in_use_is_a_conflict_and_changes_nothing),
        TEST(s03_get_validation_fails_no_transaction_is_left_open),
        TEST(s04_repositories_share_one_backend_and_one_transaction),
        TEST(s05_delete_archive_fails_status_unchanged),
        TEST(s06_auto_rename_title_update_fails_title_unchanged_and_no_event),
        TEST(s07_list_query_fails_by_a_lock_it_comes_again),
        TEST(s08_after_any_error_the_session_is_usable_or_discarded),
        TEST(s09_two_sessions_at_once_only_the_one_that_commits_has_effects),
        TEST(s10_connections_are_back_at_the_baseline),
        TEST(s11_a_worker_that_is_killed_leaves_no_transaction),
        TEST(s11_a_worker_that_hangs_in_its_transaction_is_ended_by_the_server),
    };
    int failed = cmocka_run_group_tests_name("with prepared statements", tests, scene_open_prepared,
                                             scene_close);
    return failed +
           cmocka_run_group_tests_name("without", tests, scene_open_unprepared, scene_close);
}
