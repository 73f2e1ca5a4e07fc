/* Migrations, each in a database of its own. Real Postgres. */
#include "fixture.h"

#include "base/thread.h"
#include "ledger/migrate.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct heddle_error err;

static int close_group(void **state)
{
    (void)state;
    fixture_done();
    return 0;
}

static struct pg_link *new_database(const char *name)
{
    static char conninfo[500];
    struct pg_options options = fixture_pg_options("migrate");

    tell("drop database if exists %s with (force)", name);
    tell("create database %s", name);
    snprintf(conninfo, sizeof conninfo, "%s dbname=%s", fixture_postgres(), name);
    options.conninfo = conninfo;
    options.lock_timeout_ms = 10000;
    options.statement_timeout_ms = 10000;
    return fixture_pg(&options);
}

/* Migrations that were applied. */
static int count(struct pg_link *link)
{
    static const struct heddle_statement statement = {"migrations",
                                                      "select count(*) from heddle.migrations", 0};
    AUTO_ROWS rows = NULL;

    assert_int_equal(pg_query(link, &statement, NULL, &rows, &err), HEDDLE_OK);
    return atoi(heddle_rows_text(rows, 0, 0));
}

static void a_new_database_is_migrated_once(void **state)
{
    struct pg_link *link = new_database("fresh");
    int number = -1, applied = -1;

    (void)state;
    assert_int_equal(migrate_current(link, &number, &err), HEDDLE_OK);
    assert_int_equal(number, 0);
    assert_int_equal(migrate_apply(link, &applied, &err), HEDDLE_OK);
    assert_int_equal(applied, count(link));
    assert_int_equal(migrate_current(link, &number, &err), HEDDLE_OK);
    assert_int_equal(number, migrate_newest());
    assert_int_equal(migrate_apply(link, &applied, &err), HEDDLE_OK);
    assert_int_equal(applied, 0);
    assert_true(pg_is_idle(link));
    pg_free(link);
    tell("drop database fresh with (force)");
}

struct migration {
    pthread_t thread;
    struct pg_link *link;
    heddle_status status;
    int applied;
    struct heddle_error err;
};

static void *migrate(void *argument)
{
    struct migration *migration = argument;

    migration->status = migrate_apply(migration->link, &migration->applied, &migration->err);
    return NULL;
}

static void of_several_that_migrate_at_once_each_migration_is_applied_by_one(void **state)
{
    enum { MIGRATORS = 4 };
    struct migration migrations[MIGRATORS];
    int applied = 0;

    (void)state;
    pg_free(new_database("shared"));
    for (int i = 0; i < MIGRATORS; i++) {
        char conninfo[500];
        struct pg_options options = fixture_pg_options("migrate");
        snprintf(conninfo, sizeof conninfo, "%s dbname=shared", fixture_postgres());
        options.conninfo = conninfo;
        options.lock_timeout_ms = options.statement_timeout_ms = 10000;
        migrations[i].link = fixture_pg(&options);
    }
    for (int i = 0; i < MIGRATORS; i++)
        thread_start(&migrations[i].thread, "migrate", migrate, &migrations[i]);
    for (int i = 0; i < MIGRATORS; i++) {
        thread_join(migrations[i].thread);
        if (migrations[i].status != HEDDLE_OK)
            fail_msg("%s", migrations[i].err.text);
        applied += migrations[i].applied;
    }
    assert_int_equal(applied, count(migrations[0].link));
    for (int i = 0; i < MIGRATORS; i++)
        pg_free(migrations[i].link);
    tell("drop database shared with (force)");
}

static void a_migration_that_fails_leaves_the_ones_before_it_and_nothing_of_its_own(void **state)
{
    struct pg_link *link = new_database("broken");
    int number, applied;

    (void)state;
    assert_int_equal(pg_script(link, "create schema chat; create table chat.messages ()", &err),
                     HEDDLE_OK);
    assert_int_equal(migrate_apply(link, &applied, &err), HEDDLE_PERMANENT);
    assert_true(strlen(err.text) > 0);
    assert_int_equal(migrate_current(link, &number, &err), HEDDLE_OK);
    assert_int_equal(number, 1);
    assert_int_equal(pg_script(link, "drop schema chat cascade", &err), HEDDLE_OK);
    assert_int_equal(migrate_apply(link, &applied, &err), HEDDLE_OK);
    assert_int_equal(applied, count(link) - 1);
    pg_free(link);
    tell("drop database broken with (force)");
}

static void a_database_that_is_newer_is_left_alone(void **state)
{
    struct pg_link *link = new_database("newer");
    int number, applied;

    (void)state;
    assert_int_equal(migrate_apply(link, &applied, &err), HEDDLE_OK);
    assert_int_equal(
        pg_script(link, "insert into heddle.migrations (number, name) values (999, 'x')", &err),
        HEDDLE_OK);
    assert_int_equal(migrate_apply(link, &applied, &err), HEDDLE_OK);
    assert_int_equal(applied, 0);
    assert_int_equal(migrate_current(link, &number, &err), HEDDLE_OK);
    assert_int_equal(number, 999);
    pg_free(link);
    tell("drop database newer with (force)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_database_is_migrated_once),
        cmocka_unit_test(of_several_that_migrate_at_once_each_migration_is_applied_by_one),
        cmocka_unit_test(a_migration_that_fails_leaves_the_ones_before_it_and_nothing_of_its_own),
        cmocka_unit_test(a_database_that_is_newer_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, close_group);
}
