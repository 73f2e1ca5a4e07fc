/* A connection to a real Postgres: pipelines, deadlines, prepared statements, losses. */
#include "fixture.h"

#include "base/arena.h"
#include "base/clock.h"
#include "ledger/uow.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct pg_link *pg;
static struct heddle_error err;

static const struct heddle_statement one = {"one", "select 1", 0};
static const struct heddle_statement echo = {"echo", "select $1::text, null, $2::text", 2};
static const struct heddle_statement add = {"add", "insert into numbers values ($1::int)", 1};
static const struct heddle_statement divide = {"divide", "select 1 / $1::int", 1};
static const struct heddle_statement nap = {"nap", "select pg_sleep($1::float8)", 1};

static int open_group(void **state)
{
    (void)state;
    tell("create table if not exists numbers (n int unique)");
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    tell("drop table numbers");
    fixture_done();
    return 0;
}

static int set_up(void **state)
{
    const struct pg_options options = fixture_pg_options("pg link");

    (void)state;
    tell("truncate numbers");
    pg = fixture_pg(&options);
    err = (struct heddle_error){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pg_free(pg);
    ask_until("0", "select count(*) from pg_stat_activity where application_name = 'pg link'");
    return 0;
}

static void assert_fit(struct pg_link *link)
{
    AUTO_ROWS rows = NULL;

    assert_int_equal(pg_query(link, &one, NULL, &rows, &err), HEDDLE_OK);
    assert_string_equal(heddle_rows_text(rows, 0, 0), "1");
    assert_true(pg_is_idle(link));
}

static void a_bad_connection_string_is_fatal_at_once(void **state)
{
    static const char *const bad[] = {"host", "no such keyword=1", "host='x", "postgres://[::1",
                                      NULL};

    (void)state;
    for (size_t i = 0; bad[i]; i++) {
        struct pg_options options = fixture_pg_options("pg link");
        struct pg_link *link = NULL;
        options.conninfo = bad[i];
        assert_int_equal(pg_new(&options, &link, &err), HEDDLE_FATAL);
        assert_null(link);
        assert_true(strlen(err.text) > 0);
    }
    pg_free(NULL);
}

static void a_server_that_is_not_there_or_refuses_us_is_a_retry(void **state)
{
    static const char *const places[] = {"host=/nonexistent dbname=x", "host=127.0.0.1 port=1",
                                         "%s dbname=no_such_database", "%s user=nobody_at_all"};

    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct pg_options options = fixture_pg_options("pg link");
        char conninfo[500];
        if (strstr(places[i], "%s"))
            snprintf(conninfo, sizeof conninfo, "%s%s", fixture_postgres(), places[i] + 2);
        else
            snprintf(conninfo, sizeof conninfo, "%s", places[i]);
        options.conninfo = conninfo;
        struct pg_link *link = fixture_pg(&options);
        assert_int_equal(pg_connect(link, &err), HEDDLE_RETRY);
        assert_true(strlen(err.text) > 0);
        assert_false(pg_is_connected(link));
        assert_false(pg_is_idle(link));
        assert_int_equal(pg_backend_pid(link), 0);
        assert_int_equal(pg_query(link, &one, NULL, NULL, &err), HEDDLE_RETRY);
        pg_rollback(link);
        pg_free(link);
    }
}

/* Something that takes connections and says nothing. */
static void a_server_that_does_not_answer_costs_the_connect_timeout(void **state)
{
    char folder[] = "/tmp/heddle-mute-XXXXXX", conninfo[100];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct pg_options options = fixture_pg_options("pg link");

    (void)state;
    assert_non_null(mkdtemp(folder));
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432", folder);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 4), 0);
    snprintf(conninfo, sizeof conninfo, "host=%s port=5432 dbname=x", folder);
    options.conninfo = conninfo;
    options.connect_timeout_ms = 150;
    struct pg_link *link = fixture_pg(&options);
    int64_t started_ms = clock_now_ms();
    assert_int_equal(pg_connect(link, &err), HEDDLE_RETRY);
    assert_in_range(clock_now_ms() - started_ms, 100, 3000);
    assert_non_null(strstr(err.text, "time limit"));
    pg_free(link);
    close(listener);
    unlink(address.sun_path);
    rmdir(folder);
}

static void rows_are_read_as_text(void **state)
{
    const char *const params[] = {"grüße 🙂 \\ ' \" \n", NULL};
    AUTO_ROWS rows = NULL;

    (void)state;
    assert_int_equal(pg_query(pg, &echo, params, &rows, &err), HEDDLE_OK);
    assert_int_equal(heddle_rows_count(rows), 1);
    assert_string_equal(heddle_rows_text(rows, 0, 0), params[0]);
    assert_null(heddle_rows_text(rows, 0, 1));
    assert_null(heddle_rows_text(rows, 0, 2));
    assert_null(heddle_rows_text(rows, 0, 3));
    assert_null(heddle_rows_text(rows, 1, 0));
    assert_null(heddle_rows_text(rows, -1, 0));
    assert_null(heddle_rows_text(rows, 0, -1));
    assert_int_equal(heddle_rows_count(NULL), 0);
    assert_null(heddle_rows_text(NULL, 0, 0));
    assert_int_equal(heddle_rows_affected(NULL), 0);
    assert_in_range(pg_server_version(pg), 130000, 999999);
}

static void affected_rows_are_counted(void **state)
{
    static const struct heddle_statement several = {
        "several", "insert into numbers select generate_series(1, 7)", 0};
    AUTO_ROWS rows = NULL;
    AUTO_ROWS none = NULL;

    (void)state;
    assert_int_equal(pg_query(pg, &several, NULL, &rows, &err), HEDDLE_OK);
    assert_int_equal(heddle_rows_affected(rows), 7);
    assert_int_equal(heddle_rows_count(rows), 0);
    tell("truncate numbers");
    static const struct heddle_statement nobody = {"nobody", "delete from numbers", 0};
    assert_int_equal(pg_query(pg, &nobody, NULL, &none, &err), HEDDLE_OK);
    assert_int_equal(heddle_rows_affected(none), 0);
}

/* More than the buffers of both sides hold, in both directions, before anything is read. */
static void a_pipeline_larger_than_the_buffers_does_not_lock_up(void **state)
{
    enum { STATEMENTS = 3000, SIZE = 4000 };
    char big[SIZE + 1];
    const char *const params[] = {big, big};
    struct heddle_uow uow;

    (void)state;
    memset(big, 'x', SIZE);
    big[SIZE] = '\0';
    assert_int_equal(uow_begin(&uow, pg, false, &err), HEDDLE_OK);
    for (int i = 0; i < STATEMENTS; i++)
        assert_int_equal(heddle_uow_send(&uow, &echo, params, &err), HEDDLE_OK);
    const struct heddle_rows *rows;
    assert_int_equal(heddle_uow_query(&uow, &echo, params, &rows, &err), HEDDLE_OK);
    assert_int_equal(strlen(heddle_rows_text(rows, 0, 2)), SIZE);
    assert_int_equal(uow_commit(&uow, &err), HEDDLE_OK);
    assert_fit(pg);
}

static void the_first_failure_of_a_pipeline_is_told_and_nothing_behind_it_runs(void **state)
{
    static const char *const numbers[] = {"1", "2", "0", "3"};
    struct heddle_uow uow;

    (void)state;
    assert_int_equal(uow_begin(&uow, pg, false, &err), HEDDLE_OK);
    assert_int_equal(heddle_uow_send(&uow, &add, &numbers[0], &err), HEDDLE_OK);
    assert_int_equal(heddle_uow_send(&uow, &divide, &numbers[2], &err), HEDDLE_OK);
    assert_int_equal(heddle_uow_send(&uow, &add, &numbers[0], &err), HEDDLE_OK);
    assert_int_equal(heddle_uow_query(&uow, &add, &numbers[3], NULL, &err), HEDDLE_PERMANENT);
    assert_string_equal(err.sqlstate, "22012");
    assert_string_equal(err.where, "divide");
    uow_rollback(&uow);
    assert_string_equal(ask("select count(*) from numbers"), "0");
    assert_fit(pg);
}

static void a_statement_is_prepared_once_and_again_where_a_failure_kept_it_from_it(void **state)
{
    static const struct heddle_statement known = {
        "known", "select string_agg(name, ',' order by name) from pg_prepared_statements", 0};
    const char *const zero[] = {"0"}, *const number[] = {"5"};
    AUTO_ROWS rows = NULL;
    struct heddle_uow uow;

    (void)state;
    /* `add` stands behind the failure: its PREPARE is skipped. */
    assert_int_equal(uow_begin(&uow, pg, false, &err), HEDDLE_OK);
    assert_int_equal(heddle_uow_send(&uow, &divide, zero, &err), HEDDLE_OK);
    assert_int_equal(heddle_uow_query(&uow, &add, number, NULL, &err), HEDDLE_PERMANENT);
    uow_rollback(&uow);
    for (int i = 0; i < 3; i++) {
        const char *const numbers[] = {i == 0 ? "1" : i == 1 ? "2" : "3"};
        assert_int_equal(uow_begin(&uow, pg, false, &err), HEDDLE_OK);
        assert_int_equal(heddle_uow_send(&uow, &divide, number, &err), HEDDLE_OK);
        assert_int_equal(heddle_uow_query(&uow, &add, numbers, NULL, &err), HEDDLE_OK);
        assert_int_equal(uow_commit(&uow, &err), HEDDLE_OK);
    }
    assert_int_equal(pg_query(pg, &known, NULL, &rows, &err), HEDDLE_OK);
    assert_string_equal(heddle_rows_text(rows, 0, 0),
                        "add,divide,heddle_begin,heddle_commit,heddle_rollback,known");
}

static void timeouts_are_the_servers_as_well_with_and_without_prepared_statements(void **state)
{
    static const struct heddle_statement settings = {
        "settings",
        "select current_setting('statement_timeout') || ' ' || current_setting('lock_timeout')"
        " || ' ' || current_setting('idle_in_transaction_session_timeout')",
        0};

    (void)state;
    for (int prepared = 0; prepared < 2; prepared++) {
        struct pg_options options = fixture_pg_options("pg link");
        struct heddle_uow uow;
        const struct heddle_rows *rows;
        options.statement_timeout_ms = 1234;
        options.lock_timeout_ms = 567;
        options.idle_transaction_timeout_ms = 2345;
        options.with_prepared_statements = prepared;
        struct pg_link *link = fixture_pg(&options);
        assert_int_equal(uow_begin(&uow, link, true, &err), HEDDLE_OK);
        assert_int_equal(heddle_uow_query(&uow, &settings, NULL, &rows, &err), HEDDLE_OK);
        assert_string_equal(heddle_rows_text(rows, 0, 0), "1234ms 567ms 2345ms");
        assert_int_equal(uow_commit(&uow, &err), HEDDLE_OK);
        if (!prepared) {
            AUTO_ROWS outside = NULL;
            /* Behind a pooler nothing of ours stays with the session. */
            assert_int_equal(pg_query(link, &settings, NULL, &outside, &err), HEDDLE_OK);
            assert_string_equal(heddle_rows_text(outside, 0, 0), "0 0 0");
        }
        pg_free(link);
    }
}

static void a_statement_beyond_its_timeout_is_a_retry_and_the_session_stays(void **state)
{
    struct pg_options options = fixture_pg_options("pg link");
    const char *const long_time[] = {"10"};

    (void)state;
    options.statement_timeout_ms = 100;
    struct pg_link *link = fixture_pg(&options);
    assert_int_equal(pg_query(link, &nap, long_time, NULL, &err), HEDDLE_RETRY);
    assert_string_equal(err.sqlstate, "57014");
    assert_fit(link);
    pg_free(link);
}

static void beyond_the_clients_deadline_the_link_is_closed(void **state)
{
    struct pg_options options = fixture_pg_options("pg link");
    const char *const long_time[] = {"10"};

    (void)state;
    options.statement_timeout_ms = 0;
    options.deadline_ms = 100;
    struct pg_link *link = fixture_pg(&options);
    assert_fit(link);
    int pid = pg_backend_pid(link);
    int64_t started_ms = clock_now_ms();
    assert_int_equal(pg_query(link, &nap, long_time, NULL, &err), HEDDLE_RETRY);
    assert_in_range(clock_now_ms() - started_ms, 50, 3000);
    assert_non_null(strstr(err.text, "time limit"));
    assert_false(pg_is_connected(link));
    assert_fit(link);
    assert_int_not_equal(pg_backend_pid(link), pid);
    /* The server notices that its client is gone, within its check interval. */
    ask_until("0", "select count(*) from pg_stat_activity where pid = %d", pid);
    pg_free(link);
}

static void a_session_that_was_ended_while_idle_is_replaced(void **state)
{
    (void)state;
    assert_fit(pg);
    ask("select pg_terminate_backend(%d)", pg_backend_pid(pg));
    ask_until("0", "select count(*) from pg_stat_activity where pid = %d", pg_backend_pid(pg));
    assert_int_equal(pg_query(pg, &one, NULL, NULL, &err), HEDDLE_RETRY);
    assert_false(pg_is_connected(pg));
    assert_fit(pg);
}

static void a_script_runs_as_a_whole_and_a_bad_one_leaves_the_session_fit(void **state)
{
    (void)state;
    assert_int_equal(
        pg_script(pg, "insert into numbers values (1); insert into numbers values (2)", &err),
        HEDDLE_OK);
    assert_int_equal(pg_script(pg, "insert into numbers values (3); select 1 / 0", &err),
                     HEDDLE_PERMANENT);
    assert_string_equal(err.sqlstate, "22012");
    assert_string_equal(ask("select count(*) from numbers"), "2");
    assert_fit(pg);
}

static void a_read_only_transaction_writes_nothing(void **state)
{
    const char *const number[] = {"1"};
    struct heddle_uow uow;

    (void)state;
    assert_int_equal(uow_begin(&uow, pg, true, &err), HEDDLE_OK);
    assert_int_not_equal(heddle_uow_query(&uow, &add, number, NULL, &err), HEDDLE_OK);
    assert_string_equal(err.sqlstate, "25006");
    uow_rollback(&uow);
    assert_string_equal(ask("select count(*) from numbers"), "0");
    assert_fit(pg);
}

static void an_sqlstate_says_what_to_do(void **state)
{
    static const char *const passing[] = {"40001", "40P01", "55P03", "57014", "57P01", "57P02",
                                          "57P03", "08006", "08003", "53300", "53200", "53100",
                                          "58030", "25P03", "",      NULL};
    static const char *const final[] = {"22001", "22P02", "23505", "23503", "23514", "42P01",
                                        "42601", "42501", "XX000", "0A000", "P0001", NULL};

    (void)state;
    for (size_t i = 0; passing[i]; i++)
        if (pg_classify(passing[i]) != HEDDLE_RETRY)
            fail_msg("'%s' is no retry", passing[i]);
    for (size_t i = 0; final[i]; i++)
        if (pg_classify(final[i]) != HEDDLE_PERMANENT)
            fail_msg("'%s' is not permanent", final[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bad_connection_string_is_fatal_at_once),
        TEST(a_server_that_is_not_there_or_refuses_us_is_a_retry),
        TEST(a_server_that_does_not_answer_costs_the_connect_timeout),
        TEST(rows_are_read_as_text),
        TEST(affected_rows_are_counted),
        TEST(a_pipeline_larger_than_the_buffers_does_not_lock_up),
        TEST(the_first_failure_of_a_pipeline_is_told_and_nothing_behind_it_runs),
        TEST(a_statement_is_prepared_once_and_again_where_a_failure_kept_it_from_it),
        TEST(timeouts_are_the_servers_as_well_with_and_without_prepared_statements),
        TEST(a_statement_beyond_its_timeout_is_a_retry_and_the_session_stays),
        TEST(beyond_the_clients_deadline_the_link_is_closed),
        TEST(a_session_that_was_ended_while_idle_is_replaced),
        TEST(a_script_runs_as_a_whole_and_a_bad_one_leaves_the_session_fit),
        TEST(a_read_only_transaction_writes_nothing),
        TEST(an_sqlstate_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
