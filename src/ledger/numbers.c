/* See numbers.h. The rules stand in sql/0003_durable.sql and 0004_ends.sql. */
#include "ledger/numbers.h"

#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "heddle/uow.h"
#include "ledger/uow.h"
#include "link/pg.h"

#include <stdio.h>
#include <string.h>

enum { PAGE_COUNT = 500 };

#define UNFINISHED "finished_at is null and seq is not null"

#define OF_CLASS " user_id = $1 and class = $2 and " UNFINISHED

/* A page of lanes, a row for each of their classes: head, tail, the first number that has not ended
 * and the one before it, the last one; and whether they contradict each other. A head that nobody
 * keeps is 0. */
static const struct heddle_statement page_of_lanes = {
    "heddle_numbers",
    "with recursive busy as ("
    " (select user_id from heddle.operations where " UNFINISHED " and user_id > $1"
    "   order by user_id limit 1)"
    " union all select (select user_id from heddle.operations where " UNFINISHED
    "   and user_id > b.user_id order by user_id limit 1) from busy b where b.user_id is not null),"
    " lanes as ("
    " (select lane from heddle.lane_tails where lane > $1 order by lane limit $2) union"
    " (select lane from heddle.lane_heads where lane > $1 order by lane limit $2) union"
    " (select user_id from busy where user_id is not null limit $2) order by 1 limit $2)"
    " select l.lane, h.seq, t.seq, f.prev, f.seq, e.seq,"
    " case when f.seq is null then h.seq is distinct from t.seq "
    "   and (h.seq is distinct from 0 or t.seq is null)"
    " else t.seq is distinct from e.seq"
    "   or (f.prev is distinct from coalesce(h.seq, 0) and h.seq is distinct from 0) end,"
    " class"
    " from lanes l cross join generate_series(0, 2) class"
    " left join heddle.lane_heads h using (lane, class)"
    " left join heddle.lane_tails t using (lane, class)"
    " left join lateral (select prev, seq from heddle.operations where user_id = l.lane "
    "and class = class.class and " UNFINISHED "  order by seq limit 1) f on true"
    " left join lateral (select seq from heddle.operations where user_id = l.lane "
    "and class = class.class and " UNFINISHED "  order by seq desc limit 1) e on true"
    " order by l.lane, class",
    2};

/* Submitters wait for the tail, executors are kept out by the lane's lock. */
static const struct heddle_statement hold_tail = {
    "heddle_numbers_hold",
    "insert into heddle.lane_tails as t (lane, class, prev, seq) values ($1, $2, 0, 0)"
    " on conflict (lane, class) do update set seq = t.seq",
    2};

static const struct heddle_statement number_on = {
    "heddle_numbers_on",
    "update heddle.operations o set prev = c.before from"
    " (select id, coalesce(lag(seq) over (order by seq),"
    "  (select seq from heddle.lane_heads where lane = $1 and class = $2), 0) as before"
    "  from heddle.operations where" OF_CLASS ") c"
    " where o.id = c.id and o.prev is distinct from c.before",
    2};

static const struct heddle_statement mend_tail = {
    "heddle_numbers_tail",
    "update heddle.lane_tails t set prev = o.prev, seq = o.seq from heddle.operations o"
    " where t.lane = $1 and t.class = $2 and o.user_id = $1 and o.finished_at is null and o.seq ="
    " (select max(seq) from heddle.operations where" OF_CLASS ")",
    2};

static const struct heddle_statement forget_idle = {
    "heddle_numbers_forget",
    "with idle as (select $1 as lane where not exists"
    " (select from heddle.operations where" OF_CLASS ")),"
    " heads as (delete from heddle.lane_heads h using idle"
    "  where h.lane = idle.lane and h.class = $2)"
    " delete from heddle.lane_tails t using idle where t.lane = idle.lane and t.class = $2",
    2};

static heddle_status judge(const struct numbers_check *check, const struct heddle_rows *rows,
                           int row, struct heddle_error *err);
static heddle_status mend(struct pg_link *link, const char *lane, const char *class,
                          struct heddle_error *err);

heddle_status numbers_check(const struct numbers_check *check, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    char lane[HEDDLE_USER_SIZE_MAX + 1] = "", limit[12];
    const char *const params[] = {lane, limit};
    int count = 1;

    snprintf(limit, sizeof limit, "%d", PAGE_COUNT);
    while (status == HEDDLE_OK && count > 0) {
        AUTO_ROWS rows = NULL;
        status = pg_query(check->link, &page_of_lanes, params, &rows, err);
        if (status != HEDDLE_OK)
            break;
        count = heddle_rows_count(rows);
        for (int row = 0; status == HEDDLE_OK && row < count; row++)
            status = judge(check, rows, row, err);
        if (count > 0)
            snprintf(lane, sizeof lane, "%s", heddle_rows_text(rows, count - 1, 0));
    }
    return status;
}

static const char *shown(const struct heddle_rows *rows, int row, int column)
{
    const char *text = heddle_rows_text(rows, row, column);
    return text ? text : "none";
}

static heddle_status judge(const struct numbers_check *check, const struct heddle_rows *rows,
                           int row, struct heddle_error *err)
{
    const char *lane = heddle_rows_text(rows, row, 0);
    struct heddle_error cause;
    char text[300];

    if (*heddle_rows_text(rows, row, 6) != 't')
        return HEDDLE_OK;
    snprintf(text, sizeof text,
             "its numbers contradict: head %s, tail %s, unfinished from %s (behind %s) to %s",
             shown(rows, row, 1), shown(rows, row, 2), shown(rows, row, 4), shown(rows, row, 3),
             shown(rows, row, 5));
    heddle_status status = check->repairs
                               ? mend(check->link, lane, heddle_rows_text(rows, row, 7), &cause)
                               : HEDDLE_RETRY;
    check->report(check->argument, lane, text, status == HEDDLE_OK);
    /* Held by somebody: that one lane stays as it is. */
    if (!check->repairs || status == HEDDLE_OK || pg_is_connected(check->link))
        return HEDDLE_OK;
    *err = cause;
    return status;
}

static heddle_status mend(struct pg_link *link, const char *lane, const char *class,
                          struct heddle_error *err)
{
    static const struct heddle_statement *const steps[] = {&hold_tail, &number_on, &mend_tail,
                                                           &forget_idle};
    const char *const params[] = {lane, class};
    struct heddle_uow uow;

    heddle_status status = uow_begin(&uow, link, false, err);
    if (status == HEDDLE_OK)
        status = uow_lock_lane(&uow, digest_lane_key(text_of(lane)), err);
    for (size_t i = 0; status == HEDDLE_OK && i < sizeof steps / sizeof *steps; i++)
        status = heddle_uow_send(&uow, steps[i], params, err);
    if (status == HEDDLE_OK)
        return uow_commit(&uow, err);
    uow_rollback(&uow);
    return status;
}
