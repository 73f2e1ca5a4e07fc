/* See migrate.h. Runs on the caller's thread. */
#include "ledger/migrate.h"

#include "base/arena.h"
#include "heddle/log.h"
#include "heddle/uow.h"
#include "link/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIGRATION(number, name, symbol) extern const char symbol##_data[];
#include "migrations.inc"
#undef MIGRATION

static const struct migration {
    int number;
    const char *name;
    const char *sql;
} migrations[] = {
#define MIGRATION(number, name, symbol) {number, #name, symbol##_data},
#include "migrations.inc"
#undef MIGRATION
};

enum { MIGRATION_COUNT = sizeof migrations / sizeof *migrations };

/* An advisory lock of the session: 'heddle' in ASCII. */
#define LOCK_KEY "114776364313701"

static const struct heddle_statement is_installed = {
    "heddle_is_installed", "select to_regclass('heddle.migrations') is not null", 0};
static const struct heddle_statement current = {
    "heddle_migration_current", "select coalesce(max(number), 0) from heddle.migrations", 0};

static const char begin_migrations[] = "select pg_advisory_lock(" LOCK_KEY ");"
                                       "create schema if not exists heddle;"
                                       "create table if not exists heddle.migrations ("
                                       " number integer primary key, name text not null,"
                                       " applied_at timestamptz not null default now())";

static heddle_status apply(struct pg_link *link, const struct migration *migration,
                           struct heddle_error *err);

int migrate_newest(void)
{
    return migrations[MIGRATION_COUNT - 1].number;
}

heddle_status migrate_current(struct pg_link *link, int *number, struct heddle_error *err)
{
    AUTO_ROWS installed = NULL;
    AUTO_ROWS newest = NULL;

    heddle_status status = pg_query(link, &is_installed, NULL, &installed, err);
    if (status != HEDDLE_OK)
        return status;
    if (strcmp(heddle_rows_text(installed, 0, 0), "t") != 0) {
        *number = 0;
        return HEDDLE_OK;
    }
    status = pg_query(link, &current, NULL, &newest, err);
    if (status == HEDDLE_OK)
        *number = atoi(heddle_rows_text(newest, 0, 0));
    return status;
}

heddle_status migrate_apply(struct pg_link *link, int *applied, struct heddle_error *err)
{
    struct heddle_error ignored;
    int number = 0;

    heddle_status status = pg_script(link, begin_migrations, err);
    if (status != HEDDLE_OK)
        return status;
    status = migrate_current(link, &number, err);
    *applied = 0;
    for (int i = 0; status == HEDDLE_OK && i < MIGRATION_COUNT; i++) {
        if (migrations[i].number <= number)
            continue;
        status = apply(link, &migrations[i], err);
        *applied += status == HEDDLE_OK;
    }
    /* The lock goes with the session at the latest. */
    if (pg_script(link, "select pg_advisory_unlock(" LOCK_KEY ")", &ignored) != HEDDLE_OK)
        pg_close(link);
    return status;
}

static heddle_status apply(struct pg_link *link, const struct migration *migration,
                           struct heddle_error *err)
{
    struct heddle_error ignored;
    char *script;

    if (asprintf(
            &script,
            "begin; %s; insert into heddle.migrations (number, name) values (%d, '%s'); commit",
            migration->sql, migration->number, migration->name) < 0)
        memory_exhausted();
    heddle_status status = pg_script(link, script, err);
    free(script);
    if (status != HEDDLE_OK && pg_script(link, "rollback", &ignored) != HEDDLE_OK)
        pg_close(link);
    if (status == HEDDLE_OK)
        heddle_log(HEDDLE_LOG_INFO, "migration_applied", "number=%d name=%s", migration->number,
                   migration->name);
    return status;
}
