/* See ends.h. */
#include "ledger/ends.h"

#include "heddle/uow.h"
#include "ledger/ledger.h"
#include "ledger/outcome.h"
#include "ledger/uow.h"
#include "link/pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* $1 user, $2 op, $3 most: see bind_filter. */
#define FILTERED                                                                                   \
    " from heddle.dead where ($1::text is null or user_id = $1) and ($2::text is null or op = $2)"

static const struct heddle_statement cancel = {"heddle_cancel", "select heddle.cancel($1)", 1};
static const struct heddle_statement retry = {"heddle_retry", "select heddle.retry($1)", 1};
static const struct heddle_statement drop = {"heddle_drop_dead", "select heddle.drop_dead($1)", 1};

static const struct heddle_statement list = {
    "heddle_dead_list",
    "select row_to_json(d) from (select *" FILTERED " order by since desc, id limit $3) d", 3};
static const struct heddle_statement retry_all = {
    "heddle_retry_all",
    "select count(heddle.retry(id)) from (select id" FILTERED
    " order by user_id collate \"C\", submitted_at, id limit $3) d",
    3};
static const struct heddle_statement drop_all = {
    "heddle_drop_all",
    "select count(*) from (select id, heddle.drop_dead(id) from (select id" FILTERED
    " order by user_id collate \"C\", submitted_at, id limit $3) d offset 0) x",
    3};

static heddle_status call(struct pg_link *link, const struct heddle_statement *statement,
                          const char *id, char *answer, size_t size, struct heddle_error *err);
static heddle_status call_all(struct pg_link *link, const struct heddle_statement *statement,
                              const struct ends_filter *filter, int64_t *count,
                              struct heddle_error *err);
static void bind_filter(const struct ends_filter *filter, char most[24], const char *params[3]);

heddle_status ends_cancel(struct pg_link *link, const char *id, char state[16],
                          struct heddle_error *err)
{
    return call(link, &cancel, id, state, 16, err);
}

heddle_status ends_cancel_direct(struct pg_link *link, const struct heddle_operation *operation,
                                 struct heddle_error *err)
{
    const struct outcome outcome = outcome_cancelled();
    struct heddle_uow uow;

    heddle_status status = uow_begin(&uow, link, false, err);
    if (status != HEDDLE_OK)
        return status;
    status = ledger_decide(&uow, operation, &outcome, err);
    if (status == HEDDLE_OK)
        status = uow_commit(&uow, err);
    else
        uow_rollback(&uow);
    bool has_row = status == HEDDLE_PERMANENT && ledger_reason_for(err) == LEDGER_IS_ENDED;
    return has_row || status == HEDDLE_UNKNOWN ? HEDDLE_RETRY : status;
}

heddle_status ends_list(struct pg_link *link, const struct ends_filter *filter,
                        ends_found_function *found, void *argument, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;
    const char *params[3];
    char most[24];

    bind_filter(filter, most, params);
    heddle_status status = pg_query(link, &list, params, &rows, err);
    for (int i = 0; status == HEDDLE_OK && i < heddle_rows_count(rows); i++)
        found(argument, heddle_rows_text(rows, i, 0));
    return status;
}

heddle_status ends_retry(struct pg_link *link, const char *id, char new_id[HEDDLE_ID_SIZE + 1],
                         struct heddle_error *err)
{
    return call(link, &retry, id, new_id, HEDDLE_ID_SIZE + 1, err);
}

heddle_status ends_drop(struct pg_link *link, const char *id, struct heddle_error *err)
{
    return call(link, &drop, id, NULL, 0, err);
}

heddle_status ends_retry_all(struct pg_link *link, const struct ends_filter *filter, int64_t *count,
                             struct heddle_error *err)
{
    return call_all(link, &retry_all, filter, count, err);
}

heddle_status ends_drop_all(struct pg_link *link, const struct ends_filter *filter, int64_t *count,
                            struct heddle_error *err)
{
    return call_all(link, &drop_all, filter, count, err);
}

static heddle_status call(struct pg_link *link, const struct heddle_statement *statement,
                          const char *id, char *answer, size_t size, struct heddle_error *err)
{
    const char *const params[] = {id};
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, statement, params, &rows, err);
    if (status == HEDDLE_OK && answer)
        snprintf(answer, size, "%s", heddle_rows_text(rows, 0, 0));
    return status;
}

static heddle_status call_all(struct pg_link *link, const struct heddle_statement *statement,
                              const struct ends_filter *filter, int64_t *count,
                              struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;
    const char *params[3];
    char most[24];

    bind_filter(filter, most, params);
    heddle_status status = pg_query(link, statement, params, &rows, err);
    if (status == HEDDLE_OK)
        *count = strtoll(heddle_rows_text(rows, 0, 0), NULL, 10);
    return status;
}

static void bind_filter(const struct ends_filter *filter, char most[24], const char *params[3])
{
    snprintf(most, 24, "%" PRId64, filter->most);
    params[0] = filter->user;
    params[1] = filter->op;
    params[2] = most;
}
