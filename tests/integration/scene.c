/* See scene.h. */
#include "scene.h"

#include "base/clock.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct scene scene;
const struct thread_key scene_key = {.id = SCENE_THREAD, .user = "ann"};

static struct pg_link *holder;

static const char stage[] =
    "drop schema if exists faults cascade; create schema faults;"
    "create sequence faults.happened;"
    "create table faults.orders (place text primary key, what text not null);"
    "create function faults.happen() returns trigger language plpgsql as $$"
    " declare o text := (select what from faults.orders where place = tg_argv[0]);"
    " begin"
    "  if o is null then null;"
    "  elsif o = 'terminate' then"
    "   perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(5);"
    "  elsif o = 'twice' then if nextval('faults.happened') <= 2 then"
    "   raise exception 'as ordered' using errcode = '40001'; end if;"
    "  elsif length(o) = 5 then raise exception 'as ordered' using errcode = o;"
    "  else perform pg_sleep(o::float8); end if;"
    "  return new;"
    " end $$;"
    "create trigger at_statement before insert or update on chat.threads"
    " for each row execute function faults.happen('statement');"
    "create constraint trigger at_commit after insert or update on chat.threads"
    " deferrable initially deferred for each row execute function faults.happen('commit')";

static int open_stage(bool with_prepared_statements)
{
    fixture_migrate();
    tell("%s", stage);
    scene.with_prepared_statements = with_prepared_statements;
    return 0;
}

int scene_open_prepared(void **state)
{
    (void)state;
    return open_stage(true);
}

int scene_open_unprepared(void **state)
{
    (void)state;
    return open_stage(false);
}

int scene_close(void **state)
{
    (void)state;
    tell("drop schema faults cascade");
    fixture_done();
    return 0;
}

int scene_set_up(void **state)
{
    struct pg_options options = fixture_pg_options("unit of work");

    (void)state;
    tell("truncate heddle.operations, heddle.attempts, heddle.parked, heddle.halted,"
         " heddle.dead_letters, chat.messages, chat.threads, faults.orders;"
         "insert into chat.threads (id, user_id, title, last_seq)"
         " values ('" SCENE_THREAD "', 'ann', 'before', 1);"
         "insert into chat.messages (id, thread_id, seq, role, content)"
         " values ('" SCENE_ID(0) "', '" SCENE_THREAD "', 1, 'user', 'Book a room')");
    options.with_prepared_statements = scene.with_prepared_statements;
    scene.a = fixture_pg(&options);
    scene.b = fixture_pg(&options);
    runs_init(&scene.runs, fixture_postgres());
    scene.runs.options.with_prepared_statements = scene.with_prepared_statements;
    runs_start(&scene.runs);
    scene.err = (struct heddle_error){0};
    return 0;
}

int scene_tear_down(void **state)
{
    (void)state;
    scene_let_go();
    scene_assert_none_in_transaction();
    ask_until("0", "select count(*) from pg_locks where locktype = 'advisory'");
    assert_true(pg_is_idle(scene.a) || !pg_is_connected(scene.a));
    assert_true(pg_is_idle(scene.b) || !pg_is_connected(scene.b));
    pg_free(scene.a);
    pg_free(scene.b);
    runs_done(&scene.runs);
    ask_until("0", "select count(*) from pg_stat_activity"
                   " where application_name in ('unit of work', 'heddle worker', 'holder')");
    return 0;
}

void scene_break(const char *where, const char *what)
{
    tell("insert into faults.orders values ('%s', '%s')"
         " on conflict (place) do update set what = excluded.what",
         where, what);
}

void scene_mend(void)
{
    tell("delete from faults.orders");
}

void scene_hold(const char *sql)
{
    const struct pg_options options = fixture_pg_options("holder");
    struct heddle_error err;

    holder = fixture_pg(&options);
    if (pg_script(holder, "begin", &err) != HEDDLE_OK || pg_script(holder, sql, &err) != HEDDLE_OK)
        fail_msg("%s: %s", sql, err.text);
}

void scene_let_go(void)
{
    pg_free(holder);
    holder = NULL;
    ask_until("0", "select count(*) from pg_stat_activity where application_name = 'holder'");
}

heddle_status scene_begin_update(struct heddle_uow *uow, struct pg_link *link)
{
    const char *thread;

    heddle_status status = uow_begin(uow, link, false, &scene.err);
    if (status != HEDDLE_OK)
        return status;
    status = uow_lock_lane(uow, pg_backend_pid(link), &scene.err);
    if (status == HEDDLE_OK)
        status = threads_update(uow, scene_key, "{\"title\":\"after\"}", &thread, &scene.err);
    return status;
}

heddle_status scene_update(struct pg_link *link)
{
    struct heddle_uow uow = {0};

    heddle_status status = scene_begin_update(&uow, link);
    if (status == HEDDLE_OK)
        return uow_commit(&uow, &scene.err);
    uow_rollback(&uow);
    return status;
}

struct claim *scene_run(const char *id, const char *op, const char *thread, const char *payload,
                        enum disposition *disposition)
{
    struct claim *claim = runs_claim(id, "ann", op, thread, payload);

    *disposition = runs_execute(&scene.runs, claim);
    return claim;
}

void scene_assert_title(const char *title)
{
    assert_string_equal(ask("select title from chat.threads where id = '" SCENE_THREAD "'"), title);
}

void scene_assert_ledger(const char *id, const char *expected_state)
{
    assert_string_equal(ask("select state from heddle.operations where id = '%s'", id),
                        expected_state);
}

void scene_assert_none_in_transaction(void)
{
    /* A backend whose client is gone needs a moment to end. */
    ask_until("0", "select count(*) from pg_stat_activity where pid <> pg_backend_pid()"
                   " and backend_type = 'client backend' and xact_start is not null");
}
