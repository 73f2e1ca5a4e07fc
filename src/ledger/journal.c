/* See journal.h. The rules stand in sql/0003_durable.sql and 0004_ends.sql. */
#include "ledger/journal.h"

#include "base/flow.h"
#include "base/policy.h"
#include "base/text.h"
#include "heddle/uow.h"
#include "link/pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* When its turn began: one that was for later counts from then. */
#define SUBMITTED_US                                                                               \
    "greatest((extract(epoch from submitted_at) * 1000000)::bigint,"                               \
    " (options ->> 'at_ms')::bigint * 1000)"

/* Columns of an entry: seq, whether it is in the outbox, id, user, op, thread, payload, attempts,
 * options, class, submitted. */
/* Whatever the planner knows of the tables: an operation is looked up by its id. */
static const struct heddle_statement outbox = {
    "heddle_outbox",
    "select x.seq, true, x.id, o.user_id, o.op, o.thread, o.payload, o.attempt, o.options,"
    " o.class, " SUBMITTED_US
    " from (select seq, id from heddle.outbox where seq > $1 order by seq limit $2) x"
    " left join lateral (select * from heddle.operations where id = x.id and finished_at is null"
    " offset 0) o on true order by x.seq",
    2};

static const struct heddle_statement forget_relayed = {
    "heddle_forget_relayed", "delete from heddle.outbox where seq = any ($1::bigint[])", 1};

static const struct heddle_statement unfinished = {
    "heddle_unfinished",
    "select seq, coalesce((select true from heddle.outbox x where x.seq = o.seq), false), id, "
    "user_id, op, thread,"
    " null, attempt, null, class, " SUBMITTED_US " from heddle.operations o"
    " where finished_at is null and seq is not null and (user_id, class, seq) > ($1, $2, $3)"
    " order by user_id, class, seq limit $4",
    4};

static const struct heddle_statement lane_entries = {
    "heddle_lane",
    "select seq, false, id, user_id, op, thread, payload, attempt, options, class, " SUBMITTED_US
    " from heddle.operations"
    " where finished_at is null and user_id = $1 and class = $2"
    " and seq >= coalesce((select max(seq) from heddle.operations where finished_at is null"
    " and user_id = $1 and class = $2 and seq < $3), $3) order by seq limit $4",
    4};

static const struct heddle_statement adrift = {
    "heddle_adrift",
    "select 0, id in (select id from heddle.outbox), id, user_id, op, thread, null, attempt, null,"
    " class, null from heddle.operations where finished_at is null and seq is null"
    " and state <> 'parked' and state <> 'scheduled' and id > $1 order by id limit $2",
    2};

static const struct heddle_statement decided = {
    "heddle_decided",
    "select x.n - 1 from unnest($1::uuid[], $2::boolean[]) with ordinality as x (id, has_failed, n)"
    " left join heddle.operations o on o.id = x.id"
    " where case when x.has_failed then o.state is distinct from 'halted'"
    " else o.cancelled_at is not null or o.finished_at is not null end",
    2};

static const struct heddle_statement nudge = {
    "heddle_nudge", "select heddle.nudge(id) from unnest($1::uuid[]) as id", 1};

static const struct heddle_statement settings = {
    "heddle_settings",
    "select coalesce(max(value) filter (where key = 'partitions'), '0'),"
    " coalesce(max(value) filter (where key = 'payload_max'), '1048576') from heddle.settings",
    0};

static const struct heddle_statement set_settings = {
    "heddle_set_settings",
    "insert into heddle.settings values ('partitions', $1), ('payload_max', $2)"
    " on conflict (key) do update set value = excluded.value",
    2};

static const struct heddle_statement forget = {
    "heddle_forget", "select heddle.forget_idle_lanes($1), heddle.forget_uniques($1)", 1};

static const struct heddle_statement unpark = {"heddle_unpark",
                                               "select heddle.unpark($1), heddle.cron_wait()", 1};

static heddle_status ask(struct pg_link *link, const struct heddle_statement *statement,
                         int64_t most, struct heddle_rows **rows, struct heddle_error *err);
static heddle_status page_from(struct pg_link *link, const struct heddle_statement *statement,
                               const struct journal_place *from, size_t most, struct arena *arena,
                               struct journal_page *page, struct heddle_error *err);
static void read_page(const struct heddle_rows *rows, struct arena *arena,
                      struct journal_page *page);
static struct heddle_text field(const struct heddle_rows *rows, int row, int column,
                                struct arena *arena);

heddle_status journal_outbox(struct pg_link *link, const char *relayed, int64_t behind, size_t most,
                             struct arena *arena, struct journal_page *page,
                             struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;
    char behind_text[24], limit[24];
    const char *const params[] = {behind_text, limit};

    snprintf(behind_text, sizeof behind_text, "%" PRId64, behind);
    snprintf(limit, sizeof limit, "%zu", most);
    heddle_status status = pg_connect(link, err);
    if (status == HEDDLE_OK && relayed)
        status = pg_queue(link, &forget_relayed, &relayed, err);
    if (status == HEDDLE_OK)
        status = pg_queue(link, &outbox, params, err);
    if (status == HEDDLE_OK)
        status = pg_flush(link, &rows, err);
    if (status == HEDDLE_OK)
        read_page(rows, arena, page);
    return status;
}

heddle_status journal_unfinished(struct pg_link *link, const struct journal_place *behind,
                                 size_t most, struct arena *arena, struct journal_page *page,
                                 struct heddle_error *err)
{
    return page_from(link, &unfinished, behind, most, arena, page, err);
}

heddle_status journal_lane(struct pg_link *link, const struct journal_place *from, size_t most,
                           struct arena *arena, struct journal_page *page, struct heddle_error *err)
{
    return page_from(link, &lane_entries, from, most, arena, page, err);
}

heddle_status journal_adrift(struct pg_link *link, const char *id, size_t most, struct arena *arena,
                             struct journal_page *page, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;
    char limit[24];
    const char *const params[] = {id, limit};

    snprintf(limit, sizeof limit, "%zu", most);
    heddle_status status = pg_query(link, &adrift, params, &rows, err);
    if (status == HEDDLE_OK)
        read_page(rows, arena, page);
    return status;
}

heddle_status journal_nudge(struct pg_link *link, const char *ids, struct heddle_error *err)
{
    return pg_query(link, &nudge, &ids, NULL, err);
}

heddle_status journal_find_decided(struct pg_link *link, const char *ids, const char *has_failed,
                                   bool *is_decided, struct heddle_error *err)
{
    const char *const params[] = {ids, has_failed};
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &decided, params, &rows, err);
    for (int i = 0; status == HEDDLE_OK && i < heddle_rows_count(rows); i++)
        is_decided[atoi(heddle_rows_text(rows, i, 0))] = true;
    return status;
}

heddle_status journal_partitions(struct pg_link *link, unsigned *partitions,
                                 int64_t *payload_bytes_max, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &settings, NULL, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    *partitions = (unsigned)strtoul(heddle_rows_text(rows, 0, 0), NULL, 10);
    *payload_bytes_max = strtoll(heddle_rows_text(rows, 0, 1), NULL, 10);
    return HEDDLE_OK;
}

heddle_status journal_set_partitions(struct pg_link *link, unsigned partitions,
                                     int64_t payload_bytes_max, struct heddle_error *err)
{
    char count[16], bytes[24];
    const char *const params[] = {count, bytes};

    snprintf(count, sizeof count, "%u", partitions);
    snprintf(bytes, sizeof bytes, "%" PRId64, payload_bytes_max);
    return pg_query(link, &set_settings, params, NULL, err);
}

heddle_status journal_forget_idle(struct pg_link *link, int most, int *forgotten,
                                  struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = ask(link, &forget, most, &rows, err);
    if (status == HEDDLE_OK)
        *forgotten = atoi(heddle_rows_text(rows, 0, 0));
    return status;
}

heddle_status journal_unpark(struct pg_link *link, int most, int64_t *next_ms, int64_t *tick_ms,
                             struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = ask(link, &unpark, most, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    const char *next = heddle_rows_text(rows, 0, 0), *tick = heddle_rows_text(rows, 0, 1);
    *next_ms = next ? strtoll(next, NULL, 10) : INT64_MAX;
    *tick_ms = tick ? strtoll(tick, NULL, 10) : INT64_MAX;
    return HEDDLE_OK;
}

/* A statement that is told how many at most. */
static heddle_status ask(struct pg_link *link, const struct heddle_statement *statement,
                         int64_t most, struct heddle_rows **rows, struct heddle_error *err)
{
    char limit[24];
    const char *const params[] = {limit};

    snprintf(limit, sizeof limit, "%" PRId64, most);
    return pg_query(link, statement, params, rows, err);
}

static heddle_status page_from(struct pg_link *link, const struct heddle_statement *statement,
                               const struct journal_place *from, size_t most, struct arena *arena,
                               struct journal_page *page, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;
    char class[12], seq[24], limit[24];
    const char *const params[] = {from->lane, class, seq, limit};

    snprintf(class, sizeof class, "%d", (int)from->class);
    snprintf(seq, sizeof seq, "%" PRId64, from->seq);
    snprintf(limit, sizeof limit, "%zu", most);
    heddle_status status = pg_query(link, statement, params, &rows, err);
    if (status == HEDDLE_OK)
        read_page(rows, arena, page);
    return status;
}

static void read_page(const struct heddle_rows *rows, struct arena *arena,
                      struct journal_page *page)
{
    page->count = (size_t)heddle_rows_count(rows);
    page->entries = arena_alloc(arena, (page->count + 1) * sizeof *page->entries);
    for (size_t i = 0; i < page->count; i++) {
        struct journal_entry *entry = &page->entries[i];
        int row = (int)i;
        const char *attempts = heddle_rows_text(rows, row, 7);
        const char *options = heddle_rows_text(rows, row, 8);
        const char *class = heddle_rows_text(rows, row, 9);
        const char *submitted = heddle_rows_text(rows, row, 10);
        *entry = (struct journal_entry){
            .seq = strtoll(heddle_rows_text(rows, row, 0), NULL, 10),
            .is_outbound = *heddle_rows_text(rows, row, 1) == 't',
            .operation =
                {
                    .user = field(rows, row, 3, arena),
                    .op = field(rows, row, 4, arena),
                    .thread = field(rows, row, 5, arena),
                    .payload = field(rows, row, 6, arena),
                    .submitted_us = submitted ? strtoll(submitted, NULL, 10) : 0,
                    .attempt = attempts ? atoi(attempts) : 0,
                },
        };
        if (options) {
            entry->operation.policy = policy_from_json(options);
            entry->operation.flow = flow_from_json(options, arena);
        }
        entry->operation.flow.priority = class ? (enum heddle_priority)atoi(class) : 0;
        snprintf(entry->operation.id, sizeof entry->operation.id, "%s",
                 heddle_rows_text(rows, row, 2));
    }
}

static struct heddle_text field(const struct heddle_rows *rows, int row, int column,
                                struct arena *arena)
{
    const char *text = heddle_rows_text(rows, row, column);
    return text ? arena_copy_text(arena, text, strlen(text)) : TEXT("");
}
