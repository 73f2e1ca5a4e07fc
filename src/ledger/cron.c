/* See cron.h. */
#include "ledger/cron.h"

#include "heddle/uow.h"
#include "link/pg.h"

#include <stdio.h>
#include <stdlib.h>

static const struct heddle_statement add = {
    "heddle_cron_add",
    "select to_char(heddle.cron_add($1, $2, $3, $4, coalesce($5::jsonb, '{}'), $6,"
    " coalesce($7, 'UTC'), coalesce($8, 'once'), $9::jsonb, $10) at time zone 'UTC',"
    " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
    10};
static const struct heddle_statement list = {
    "heddle_cron_list", "select row_to_json(c) from heddle.cron c order by name", 0};
static const struct heddle_statement pause_it = {"heddle_cron_pause",
                                                 "select heddle.cron_pause($1, $2)", 2};
static const struct heddle_statement remove_it = {"heddle_cron_remove",
                                                  "select heddle.cron_remove($1)", 1};
static const struct heddle_statement fire = {
    "heddle_cron_fire", "select cron_name, problem, next_ms from heddle.cron_fire()", 0};

static heddle_status change(struct pg_link *link, const struct heddle_statement *statement,
                            const char *const *params, struct heddle_error *err);

heddle_status cron_add(struct pg_link *link, const struct cron_row *row, const char *by,
                       char next[CRON_TIME_SIZE], struct heddle_error *err)
{
    const char *const params[] = {
        row->name,   row->schedule, row->user,     row->op,      row->payload,
        row->thread, row->zone,     row->catch_up, row->options, by};
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &add, params, &rows, err);
    if (status == HEDDLE_OK)
        snprintf(next, CRON_TIME_SIZE, "%s", heddle_rows_text(rows, 0, 0));
    return status;
}

heddle_status cron_list(struct pg_link *link, cron_found_function *found, void *argument,
                        struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &list, NULL, &rows, err);
    for (int i = 0; status == HEDDLE_OK && i < heddle_rows_count(rows); i++)
        found(argument, heddle_rows_text(rows, i, 0));
    return status;
}

heddle_status cron_pause(struct pg_link *link, const char *name, bool pauses,
                         struct heddle_error *err)
{
    const char *const params[] = {name, pauses ? "t" : "f"};
    return change(link, &pause_it, params, err);
}

heddle_status cron_remove(struct pg_link *link, const char *name, struct heddle_error *err)
{
    return change(link, &remove_it, &name, err);
}

heddle_status cron_fire(struct pg_link *link, struct cron_tick *tick, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &fire, NULL, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    const char *name = heddle_rows_text(rows, 0, 0), *problem = heddle_rows_text(rows, 0, 1);
    const char *next = heddle_rows_text(rows, 0, 2);
    *tick = (struct cron_tick){.next_ms = next ? strtoll(next, NULL, 10) : INT64_MAX};
    snprintf(tick->name, sizeof tick->name, "%s", name ? name : "");
    snprintf(tick->problem, sizeof tick->problem, "%s", problem ? problem : "");
    return HEDDLE_OK;
}

static heddle_status change(struct pg_link *link, const struct heddle_statement *statement,
                            const char *const *params, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, statement, params, &rows, err);
    if (status == HEDDLE_OK && *heddle_rows_text(rows, 0, 0) == 'f')
        return heddle_refuse(err, HEDDLE_KIND_NOT_FOUND, "nothing recurs by the name %.64s",
                             params[0]);
    return status;
}
