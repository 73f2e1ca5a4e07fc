/* See work.h. */
#include "work.h"

#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

const struct fake_fault work_faults[WORK_FAULTS] = {
    {.kind = FAKE_CALL_FAILS_UNSENT},
    {.kind = FAKE_CALL_FAILS_SENT},
    {.kind = FAKE_STATEMENT_FAILS, .sqlstate = "40001"},
    {.kind = FAKE_STATEMENT_FAILS, .sqlstate = "23514"},
    {.kind = FAKE_SERVER_SAYS_GOODBYE, .sqlstate = "57P01"},
    {.kind = FAKE_LOST_BEFORE},
    {.kind = FAKE_LOST_AFTER},
    {.kind = FAKE_SILENT_BEFORE},
    {.kind = FAKE_SILENT_AFTER},
};

struct pg_link *work_link_a, *work_link_b;
struct heddle_error work_err;
const struct thread_key work_key = {.id = WORK_THREAD, .user = "ann"};

int work_set_up(void **state)
{
    (void)state;
    fake = (struct fake_server){0};
    work_err = (struct heddle_error){0};
    work_link_a = work_new_link(true);
    work_link_b = work_new_link(true);
    return 0;
}

int work_tear_down(void **state)
{
    (void)state;
    assert_int_equal(fake.results_live, 0);
    assert_int_equal(fake.transactions_open, 0);
    pg_free(work_link_a);
    pg_free(work_link_b);
    fake_reset();
    return 0;
}

struct pg_link *work_new_link(bool with_prepared_statements)
{
    const struct pg_options options = {.conninfo = "",
                                       .application_name = "test",
                                       .connect_timeout_ms = 5000,
                                       .deadline_ms = 5000,
                                       .with_prepared_statements = with_prepared_statements};
    struct pg_link *link;

    assert_int_equal(pg_new(&options, &link, &work_err), HEDDLE_OK);
    return link;
}

heddle_status work_create(struct heddle_uow *uow, struct heddle_error *err)
{
    const char *thread;
    return threads_insert(uow, work_key, "{}", &thread, err);
}

heddle_status work_update(struct heddle_uow *uow, struct heddle_error *err)
{
    const char *thread;
    return threads_update(uow, work_key, "{}", &thread, err);
}

heddle_status work_archive(struct heddle_uow *uow, struct heddle_error *err)
{
    const char *answer;
    return threads_archive(uow, work_key, &answer, err);
}

heddle_status work_list(struct heddle_uow *uow, struct heddle_error *err)
{
    const struct thread_page page = {.limit = 20};
    const char *answer;
    return threads_list(uow, "ann", &page, &answer, err);
}

heddle_status work_run(struct pg_link *link, work_step *step)
{
    struct heddle_uow uow;

    heddle_status status = uow_begin(&uow, link, false, &work_err);
    if (status != HEDDLE_OK)
        return status;
    status = uow_lock_lane(&uow, 42, &work_err);
    if (status == HEDDLE_OK)
        status = step(&uow, &work_err);
    if (status != HEDDLE_OK) {
        uow_rollback(&uow);
        return status;
    }
    return uow_commit(&uow, &work_err);
}

void work_fail_at(const char *statement, const char *sqlstate)
{
    fake_set_fault((struct fake_fault){
        .kind = FAKE_STATEMENT_FAILS, .statement = statement, .sqlstate = sqlstate});
}

void work_goes_on(struct pg_link *link)
{
    int effects = fake.effects;

    assert_true(pg_is_idle(link) || !pg_is_connected(link));
    fake_set_fault((struct fake_fault){.kind = FAKE_NO_FAULT});
    assert_int_equal(work_run(link, work_update), HEDDLE_OK);
    assert_int_equal(fake.effects, effects + 1);
    assert_true(pg_is_idle(link));
}

struct claim *work_execute(const char *op, const char *thread, const char *payload,
                           enum disposition *disposition)
{
    struct claim *claim = runs_claim(WORK_ID, "ann", op, thread, payload);
    struct runs runs;

    runs_init(&runs, "");
    runs_start(&runs);
    *disposition = runs_execute(&runs, claim);
    runs_done(&runs);
    return claim;
}
