/* See closing.h. */
#include "ledger/closing.h"

#include "heddle/uow.h"
#include "link/pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1000, BLOCKS = 1000 };

static const struct heddle_statement cancel_lane = {
    "heddle_cancel_lane",
    "select class, seq, scanned, cancelled from heddle.cancel_lane($1, $2, $3, $4, $5)", 5};
static const struct heddle_statement cancel_set_aside = {
    "heddle_cancel_set_aside", "select heddle.cancel_set_aside($1, $2)", 2};
static const struct heddle_statement unfinished = {"heddle_count_unfinished",
                                                   "select heddle.count_unfinished($1)", 1};
static const struct heddle_statement drops[] = {
    [CLOSING_RECURRING] = {"heddle_drop_recurring", "select heddle.drop_recurring($1)", 1},
    [CLOSING_LETTERS] = {"heddle_drop_letters", "select heddle.drop_letters($1)", 1},
    [CLOSING_KEYS] = {"heddle_drop_keys", "select heddle.drop_keys($1)", 1},
    [CLOSING_CONTROLS] = {"heddle_drop_controls", "select heddle.drop_controls($1)", 1},
};
static const struct heddle_statement redact = {
    "heddle_redact",
    "select block, redacted, recent"
    " from heddle.redact($1, $2, $3::bigint * interval '1 ms', $4, $5)",
    5};
static const struct heddle_statement say = {"heddle_say_closed", "select heddle.say_closed($1, $2)",
                                            2};
static const struct heddle_statement say_idle = {"heddle_say_idle", "select heddle.say_idle($1)",
                                                 1};
static const struct heddle_statement start = {
    "heddle_closings_start",
    "select coalesce(max(version), 0) from heddle.closings"
    " where closed_at < clock_timestamp() - interval '1 minute'",
    0};
static const struct heddle_statement told = {"heddle_closings_told",
                                             "select user_id, reason, version from heddle.closings "
                                             "where version > $1 order by version limit $2",
                                             2};

static heddle_status call(struct pg_link *link, const struct heddle_statement *statement,
                          const char *const *params, int64_t *number, struct heddle_error *err);

heddle_status closing_cancel(struct pg_link *link, const char *user, const char *running,
                             int64_t *cancelled, struct heddle_error *err)
{
    char most[24], class[24] = "0", seq[24] = "0";
    const char *const params[] = {user, running, most, class, seq}, *const aside[] = {user, most};
    int64_t scanned = PAGE, count = PAGE;
    heddle_status status = HEDDLE_OK;

    *cancelled = 0;
    snprintf(most, sizeof most, "%d", PAGE);
    while (status == HEDDLE_OK && scanned == PAGE) {
        AUTO_ROWS rows = NULL;
        status = pg_query(link, &cancel_lane, params, &rows, err);
        if (status != HEDDLE_OK)
            return status;
        snprintf(class, sizeof class, "%s", heddle_rows_text(rows, 0, 0));
        snprintf(seq, sizeof seq, "%s", heddle_rows_text(rows, 0, 1));
        scanned = strtoll(heddle_rows_text(rows, 0, 2), NULL, 10);
        *cancelled += strtoll(heddle_rows_text(rows, 0, 3), NULL, 10);
    }
    while (status == HEDDLE_OK && count == PAGE) {
        status = call(link, &cancel_set_aside, aside, &count, err);
        if (status == HEDDLE_OK)
            *cancelled += count;
    }
    return status;
}

heddle_status closing_unfinished(struct pg_link *link, const char *user, int64_t *count,
                                 struct heddle_error *err)
{
    return call(link, &unfinished, &user, count, err);
}

heddle_status closing_drop(struct pg_link *link, const char *user, enum closing_thing thing,
                           int64_t *dropped, struct heddle_error *err)
{
    return call(link, &drops[thing], &user, dropped, err);
}

heddle_status closing_redact(struct pg_link *link, const struct closing_part *part,
                             struct arena *arena, int64_t *block, int64_t *redacted,
                             const char **recent, struct heddle_error *err)
{
    char ttl[24], most[24], from[24];
    const char *const params[] = {part->user, part->everything ? "t" : "f", ttl, most, from};
    AUTO_ROWS rows = NULL;

    snprintf(ttl, sizeof ttl, "%" PRId64, part->result_ttl_ms);
    snprintf(most, sizeof most, "%d", BLOCKS);
    snprintf(from, sizeof from, "%" PRId64, *block);
    heddle_status status = pg_query(link, &redact, params, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    const char *next = heddle_rows_text(rows, 0, 0), *ids = heddle_rows_text(rows, 0, 2);
    *block = next ? strtoll(next, NULL, 10) : -1;
    *redacted = strtoll(heddle_rows_text(rows, 0, 1), NULL, 10);
    *recent = ids ? arena_format(arena, "%s", ids) : NULL;
    return HEDDLE_OK;
}

heddle_status closing_say(struct pg_link *link, const char *user, const char *reason,
                          struct heddle_error *err)
{
    const char *const params[] = {user, reason};

    return pg_query(link, &say, params, NULL, err);
}

heddle_status closing_say_idle(struct pg_link *link, const char *user, bool *is_said,
                               struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &say_idle, &user, &rows, err);
    if (status == HEDDLE_OK)
        *is_said = *heddle_rows_text(rows, 0, 0) == 't';
    return status;
}

heddle_status closing_start(struct pg_link *link, int64_t *version, struct heddle_error *err)
{
    return call(link, &start, NULL, version, err);
}

heddle_status closing_told(struct pg_link *link, int64_t *version, int most, int *count,
                           closing_told_function *told_function, void *argument,
                           struct heddle_error *err)
{
    char from[24], limit[24];
    const char *const params[] = {from, limit};
    AUTO_ROWS rows = NULL;

    snprintf(from, sizeof from, "%" PRId64, *version);
    snprintf(limit, sizeof limit, "%d", most);
    heddle_status status = pg_query(link, &told, params, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    *count = heddle_rows_count(rows);
    for (int i = 0; i < *count; i++) {
        told_function(argument, heddle_rows_text(rows, i, 0), heddle_rows_text(rows, i, 1));
        *version = strtoll(heddle_rows_text(rows, i, 2), NULL, 10);
    }
    return HEDDLE_OK;
}

static heddle_status call(struct pg_link *link, const struct heddle_statement *statement,
                          const char *const *params, int64_t *number, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, statement, params, &rows, err);
    if (status == HEDDLE_OK)
        *number = strtoll(heddle_rows_text(rows, 0, 0), NULL, 10);
    return status;
}
