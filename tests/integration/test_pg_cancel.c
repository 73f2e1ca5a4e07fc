/* Another thread cancels what a link waits for: that, and nothing else. */
#include "fixture.h"

#include "base/clock.h"
#include "base/thread.h"
#include "ledger/uow.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 300 };

static struct pg_link *pg;
static struct heddle_error err;

static const struct heddle_statement one = {"one", "select 1", 0};
static const struct heddle_statement nap = {"nap", "select pg_sleep($1::float8)", 1};

/* A thread that cancels as often as it can. */
static struct {
    pthread_t thread;
    atomic_bool is_stopping, is_meant;
    atomic_int asked, sent;
} canceller;

static bool is_meant(void *argument)
{
    (void)argument;
    atomic_fetch_add(&canceller.asked, 1);
    return atomic_load(&canceller.is_meant);
}

static void *cancel_all_the_time(void *argument)
{
    (void)argument;
    while (!atomic_load(&canceller.is_stopping))
        if (pg_cancel(pg, is_meant, NULL))
            atomic_fetch_add(&canceller.sent, 1);
    return NULL;
}

static int set_up(void **state)
{
    struct pg_options options = fixture_pg_options("pg cancel");

    (void)state;
    options.statement_timeout_ms = 0;
    options.deadline_ms = FIXTURE_PATIENCE_MS;
    pg = fixture_pg(&options);
    err = (struct heddle_error){0};
    atomic_store(&canceller.is_stopping, false);
    atomic_store(&canceller.is_meant, true);
    atomic_store(&canceller.asked, 0);
    atomic_store(&canceller.sent, 0);
    thread_start(&canceller.thread, "canceller", cancel_all_the_time, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    atomic_store(&canceller.is_stopping, true);
    thread_join(canceller.thread);
    pg_free(pg);
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    fixture_done();
    return 0;
}

static heddle_status nap_for(const char *seconds)
{
    struct heddle_uow uow;

    heddle_status status = uow_begin(&uow, pg, false, &err);
    assert_int_equal(status, HEDDLE_OK);
    status = heddle_uow_query(&uow, &nap, &seconds, NULL, &err);
    uow_rollback(&uow);
    return status;
}

static void a_statement_is_cancelled_and_its_session_goes_on(void **state)
{
    (void)state;
    assert_int_equal(nap_for("60"), HEDDLE_RETRY);
    assert_string_equal(err.sqlstate, "57014");
    /* It counts when it is back. */
    for (int waits = 0; atomic_load(&canceller.sent) == 0; waits++) {
        assert_true(waits < FIXTURE_PATIENCE_MS);
        clock_sleep_ms(1);
    }
    atomic_store(&canceller.is_meant, false);
    assert_int_equal(nap_for("0"), HEDDLE_OK);
    assert_true(pg_is_idle(pg));
}

/* Each statement that is meant is followed at once by one that is not. */
static void what_comes_next_is_never_hit(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        atomic_store(&canceller.is_meant, true);
        heddle_status status = nap_for("0.002");
        assert_true(status == HEDDLE_OK || strcmp(err.sqlstate, "57014") == 0);
        atomic_store(&canceller.is_meant, false);
        if (nap_for("0.001") != HEDDLE_OK)
            fail_msg("round %d: %s %s", i, err.sqlstate, err.text);
    }
    assert_true(atomic_load(&canceller.sent) > 0);
}

static void a_commit_and_what_was_sent_with_it_is_never_cancelled(void **state)
{
    const char *const a_while[] = {"0.2"};
    struct heddle_uow uow;

    (void)state;
    assert_int_equal(uow_begin(&uow, pg, false, &err), HEDDLE_OK);
    assert_int_equal(heddle_uow_send(&uow, &nap, a_while, &err), HEDDLE_OK);
    assert_int_equal(uow_commit(&uow, &err), HEDDLE_OK);
    assert_int_equal(atomic_load(&canceller.asked), 0);
}

static void a_link_that_comes_and_goes_may_be_cancelled_at_any_time(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS / 10; i++) {
        struct heddle_uow uow;
        const char *const a_moment[] = {"0.001"};
        assert_int_equal(uow_begin(&uow, pg, false, &err), HEDDLE_OK);
        (void)!heddle_uow_query(&uow, &nap, a_moment, NULL, &err);
        uow_rollback(&uow);
        pg_close(pg);
        assert_false(pg_is_connected(pg));
    }
    atomic_store(&canceller.is_meant, false);
    assert_int_equal(pg_query(pg, &one, NULL, NULL, &err), HEDDLE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_statement_is_cancelled_and_its_session_goes_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_comes_next_is_never_hit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_commit_and_what_was_sent_with_it_is_never_cancelled,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_that_comes_and_goes_may_be_cancelled_at_any_time,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, close_group);
}
