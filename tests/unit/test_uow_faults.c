/* The session-safety scenarios of the unit of work, with libpq's faults injected. The same
 * scenarios stand in integration/test_uow_scenarios.c, with a real Postgres. */
#include "work.h"

#include "engine/task.h"
#include "link/pg.h"
#include "workers/messages.h"
#include "workers/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void canary_the_wrapped_calls_are_the_ones_that_run(void **state)
{
    static const enum fake_call used[] = {
        FAKE_CONNECT_START, FAKE_CONNECT_POLL,        FAKE_SET_NONBLOCKING, FAKE_ENTER_PIPELINE,
        FAKE_SEND_PREPARE,  FAKE_SEND_QUERY_PREPARED, FAKE_PIPELINE_SYNC,   FAKE_FLUSH,
        FAKE_CONSUME_INPUT, FAKE_GET_RESULT,
    };

    (void)state;
    assert_int_equal(work_run(work_link_a, work_update), HEDDLE_OK);
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        if (fake.calls_of[used[i]] == 0)
            fail_msg("fallible call %d was not seen", used[i]);
    assert_int_equal(fake.commits, 1);
    assert_int_equal(fake.effects, 1);
    assert_int_equal(fake.rollbacks, 0);
}

static void s01_update_commit_fails_error_kept_one_rollback_row_unchanged(void **state)
{
    (void)state;
    work_fail_at("commit", "40001");
    assert_int_equal(work_run(work_link_a, work_update), HEDDLE_RETRY);
    assert_string_equal(work_err.sqlstate, "40001");
    assert_string_equal(work_err.where, "heddle_commit");
    assert_int_equal(fake.rollbacks, 1);
    assert_int_equal(fake.effects, 0);
    work_goes_on(work_link_a);
}

static void s01_update_commit_fails_and_the_rollback_fails_too_the_first_error_is_kept(void **state)
{
    (void)state;
    assert_int_equal(work_run(work_link_a, work_update), HEDDLE_OK);
    for (int sends = 1; sends < 3; sends++) {
        work_fail_at("threads_update", "40P01");
        struct heddle_uow uow;
        assert_int_equal(uow_begin(&uow, work_link_a, false, &work_err), HEDDLE_OK);
        assert_int_equal(work_update(&uow, &work_err), HEDDLE_RETRY);
        fake_set_fault((struct fake_fault){.kind = FAKE_CALL_FAILS_UNSENT, .at = sends});
        uow_rollback(&uow);
        assert_string_equal(work_err.sqlstate, "40P01");
        assert_int_equal(fake.effects, sends);
        /* A session whose rollback failed is not used again. */
        assert_false(pg_is_connected(work_link_a));
        work_goes_on(work_link_a);
    }
}

static void s02_create_insert_fails_nothing_is_created(void **state)
{
    (void)state;
    work_fail_at("threads_insert", "23514");
    assert_int_equal(work_run(work_link_a, work_create), HEDDLE_PERMANENT);
    assert_string_equal(work_err.sqlstate, "23514");
    assert_string_equal(work_err.where, "threads_insert");
    assert_int_equal(fake.rollbacks, 1);
    assert_int_equal(fake.commits, 0);
    assert_int_equal(fake.effects, 0);
    work_goes_on(work_link_a);
}

static void s03_get_validation_fails_no_transaction_is_begun(void **state)
{
    enum disposition disposition;

    (void)state;
    struct claim *claim = work_execute("get_thread", "no uuid", "{}", &disposition);
    assert_int_equal(disposition, LANE_RELEASE);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_FAILED);
    assert_non_null(strstr(claim->operations[0].result.data, "\"kind\":\"invalid\""));
    assert_int_equal(fake.begins, 0);
    assert_int_equal(fake.connections, 0);
    claim_free(claim);
}

static void s04_repositories_share_the_connection_and_the_transaction(void **state)
{
    struct heddle_uow uow;
    const char *thread, *messages;
    struct arena arena = {0};
    struct heddle_task task = {.arena = &arena};
    struct new_message message = {
        .thread = work_key, .id = WORK_ID, .role = "user", .content = "hello"};

    (void)state;
    assert_int_equal(uow_begin(&uow, work_link_a, false, &work_err), HEDDLE_OK);
    assert_int_equal(threads_get(&uow, work_key, &thread, &work_err), HEDDLE_OK);
    assert_int_equal(messages_append(&uow, &task, &message, &messages, &work_err), HEDDLE_OK);
    assert_int_equal(threads_update(&uow, work_key, "{}", &thread, &work_err), HEDDLE_OK);
    assert_int_equal(messages_list(&uow, work_key, 0, 50, &messages, &work_err), HEDDLE_OK);
    arena_done(&arena);
    assert_int_equal(uow_commit(&uow, &work_err), HEDDLE_OK);
    assert_int_equal(fake.connections, 1);
    assert_int_equal(fake.begins, 1);
    assert_int_equal(fake.commits, 1);
}

static void s05_delete_archive_fails_status_unchanged(void **state)
{
    (void)state;
    work_fail_at("threads_archive", "40P01");
    assert_int_equal(work_run(work_link_a, work_archive), HEDDLE_RETRY);
    assert_string_equal(work_err.sqlstate, "40P01");
    assert_int_equal(fake.rollbacks, 1);
    assert_int_equal(fake.effects, 0);
    work_goes_on(work_link_a);
}

static void s06_auto_rename_title_update_fails_title_unchanged_and_no_event(void **state)
{
    static const char *const sqlstates[] = {"40001", "23514"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        enum disposition disposition;
        fake.has_ledger_row = false;
        work_fail_at("threads_rename", sqlstates[i]);
        struct claim *claim = work_execute("auto_rename", WORK_THREAD, "{}", &disposition);
        assert_true(fake.has_failed);
        assert_int_equal(fake.rollbacks, 1);
        assert_int_equal(fake.effects, 0);
        assert_null(claim->events);
        assert_int_equal(disposition, i == 0 ? LANE_WAIT : LANE_RELEASE);
        assert_int_equal(claim->operations[0].end, i == 0 ? HEDDLE_END_NONE : HEDDLE_END_FAILED);
        claim_free(claim);
    }
}

static void s06_auto_rename_commit_fails_no_event_and_where_it_succeeds_one(void **state)
{
    enum disposition disposition;

    (void)state;
    /* The first commit ends the read of prepare. */
    work_fail_at("commit", "40001");
    fake.fault.skip = 1;
    struct claim *claim = work_execute("auto_rename", WORK_THREAD, "{}", &disposition);
    assert_null(claim->events);
    claim_free(claim);
    fake_set_fault((struct fake_fault){.kind = FAKE_NO_FAULT});
    claim = work_execute("auto_rename", WORK_THREAD, "{}", &disposition);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_DONE);
    assert_non_null(claim->events);
    assert_null(claim->events->next);
    claim_free(claim);
}

static void s07_list_query_fails_one_rollback_and_no_row_is_leaked(void **state)
{
    (void)state;
    work_fail_at("threads_list", "57014");
    assert_int_equal(work_run(work_link_a, work_list), HEDDLE_RETRY);
    assert_string_equal(work_err.sqlstate, "57014");
    assert_string_equal(work_err.where, "threads_list");
    assert_int_equal(fake.rollbacks, 1);
    assert_int_equal(fake.results_live, 0);
    work_goes_on(work_link_a);
}

static void s08_after_any_error_the_session_is_usable_or_discarded(void **state)
{
    static const enum fake_fault_kind kinds[] = {FAKE_STATEMENT_FAILS, FAKE_SERVER_SAYS_GOODBYE,
                                                 FAKE_LOST_BEFORE,     FAKE_LOST_AFTER,
                                                 FAKE_SILENT_BEFORE,   FAKE_SILENT_AFTER};
    static const char *const statements[] = {"begin", "lane_lock", "threads_update", "commit"};

    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t s = 0; s < sizeof statements / sizeof *statements; s++) {
            fake_set_fault((struct fake_fault){
                .kind = kinds[k], .statement = statements[s], .sqlstate = "57P01"});
            assert_int_not_equal(work_run(work_link_a, work_update), HEDDLE_OK);
            assert_true(fake.has_failed);
            assert_int_equal(pg_is_connected(work_link_a), kinds[k] == FAKE_STATEMENT_FAILS);
            work_goes_on(work_link_a);
        }
}

static void s09_two_sessions_at_once_only_the_one_that_commits_has_effects(void **state)
{
    struct heddle_uow a, b;

    (void)state;
    assert_int_equal(uow_begin(&a, work_link_a, false, &work_err), HEDDLE_OK);
    assert_int_equal(uow_begin(&b, work_link_b, false, &work_err), HEDDLE_OK);
    assert_int_equal(work_update(&a, &work_err), HEDDLE_OK);
    assert_int_equal(work_create(&b, &work_err), HEDDLE_OK);
    work_fail_at("threads_archive", "23514");
    assert_int_equal(work_archive(&a, &work_err), HEDDLE_PERMANENT);
    assert_int_equal(work_update(&b, &work_err), HEDDLE_OK);
    uow_rollback(&a);
    assert_int_equal(fake.effects, 0);
    assert_int_equal(uow_commit(&b, &work_err), HEDDLE_OK);
    assert_int_equal(fake.effects, 2);
    assert_int_equal(fake.rollbacks, 1);
    assert_int_equal(fake.commits, 1);
    assert_int_equal(fake.connections_open, 2);
}

static void s10_connections_are_back_at_the_baseline(void **state)
{
    (void)state;
    assert_int_equal(work_run(work_link_a, work_update), HEDDLE_OK);
    for (int i = 0; i < 50; i++) {
        fake_set_fault((struct fake_fault){.kind = FAKE_STATEMENT_FAILS + (unsigned)i % 4,
                                           .statement = i % 3 ? "threads_update" : "commit",
                                           .sqlstate = "40001"});
        assert_int_not_equal(work_run(work_link_a, work_update), HEDDLE_OK);
        assert_in_range(fake.connections_open, 0, 1);
        work_goes_on(work_link_a);
        assert_int_equal(fake.connections_open, 1);
    }
}

static void s11_no_transaction_hangs_even_where_the_handler_goes_on_after_an_error(void **state)
{
    struct heddle_uow uow;
    const char *thread;

    (void)state;
    work_fail_at("threads_update", "23505");
    assert_int_equal(uow_begin(&uow, work_link_a, false, &work_err), HEDDLE_OK);
    assert_int_equal(work_update(&uow, &work_err), HEDDLE_PERMANENT);
    /* A handler that swallows the error: nothing more is sent, nothing commits. */
    int statements = fake.statements;
    assert_int_equal(threads_get(&uow, work_key, &thread, &work_err), HEDDLE_PERMANENT);
    assert_int_equal(fake.statements, statements);
    assert_int_equal(uow_commit(&uow, &work_err), HEDDLE_PERMANENT);
    assert_int_equal(fake.commits, 0);
    assert_int_equal(fake.rollbacks, 1);
    assert_int_equal(fake.transactions_open, 0);
    work_goes_on(work_link_a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, work_set_up, work_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(canary_the_wrapped_calls_are_the_ones_that_run),
        TEST(s01_update_commit_fails_error_kept_one_rollback_row_unchanged),
        TEST(s01_update_commit_fails_and_the_rollback_fails_too_the_first_error_is_kept),
        TEST(s02_create_insert_fails_nothing_is_created),
        TEST(s03_get_validation_fails_no_transaction_is_begun),
        TEST(s04_repositories_share_the_connection_and_the_transaction),
        TEST(s05_delete_archive_fails_status_unchanged),
        TEST(s06_auto_rename_title_update_fails_title_unchanged_and_no_event),
        TEST(s06_auto_rename_commit_fails_no_event_and_where_it_succeeds_one),
        TEST(s07_list_query_fails_one_rollback_and_no_row_is_leaked),
        TEST(s08_after_any_error_the_session_is_usable_or_discarded),
        TEST(s09_two_sessions_at_once_only_the_one_that_commits_has_effects),
        TEST(s10_connections_are_back_at_the_baseline),
        TEST(s11_no_transaction_hangs_even_where_the_handler_goes_on_after_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
