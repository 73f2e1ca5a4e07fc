/* Submissions on their way into the journal (journal.h). Runs on the caller's thread. The rules
 * stand in sql/0006_bulk.sql and 0007_flow.sql. */
#include "ledger/journal.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/flow.h"
#include "base/text.h"
#include "ledger/uow.h"
#include "link/pg.h"
#include "link/refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_COUNT_MAX = 1000, PARAM_COUNT = 6 };

static const struct heddle_statement submit = {
    "heddle_submit", "select heddle.submit_text($1, $2, $3, $4, $5, $6)", PARAM_COUNT};

static const struct heddle_statement submit_many = {
    "heddle_submit_many",
    "select refusal, id from heddle.submit_many($1, $2, $3, $4, $5::text[]::uuid[],"
    " $6::text[]::jsonb[])",
    PARAM_COUNT};

static const struct heddle_statement follow_up = {
    "heddle_follow_up",
    "select heddle.follow_up($1, $2, $3, $4, $5::text[]::uuid[], $6::text[]::jsonb[])",
    PARAM_COUNT};

static const struct heddle_statement state_of = {
    "heddle_state", "select state from heddle.operations where id = $1", 1};

static heddle_status submit_call(struct pg_link *link, const struct heddle_submission *submissions,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err);
static heddle_status submit_each(struct pg_link *link, const struct heddle_submission *submissions,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err);
static heddle_status submit_one(struct pg_link *link, const struct heddle_submission *submission,
                                struct heddle_receipt *receipt, struct heddle_error *err);
static heddle_status take_answer(struct pg_link *link, const struct heddle_submission *submission,
                                 const char *id, struct heddle_receipt *receipt,
                                 struct heddle_error *err);
static int compare_users(const void *a, const void *b);
static void begin(struct heddle_array columns[PARAM_COUNT], struct arena *arena);
static void add(struct heddle_array columns[PARAM_COUNT],
                const struct heddle_submission *submission, const char *id, struct arena *arena);
static struct heddle_text payload_of(const struct heddle_submission *submission);
static heddle_status refusal(heddle_status status, struct heddle_error *err);

heddle_status journal_submit(struct pg_link *link, const struct heddle_submission *submissions,
                             size_t count, struct heddle_receipt *receipts,
                             struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    /* A fresh id is ours, not the server's: after a lost answer the same call repeats nothing. */
    for (size_t i = 0; i < count; i++) {
        receipts[i].status = HEDDLE_OK;
        strcpy(receipts[i].state, "queued");
        if (submissions[i].id.size > 0)
            snprintf(receipts[i].id, sizeof receipts[i].id, "%s", submissions[i].id.data);
        else
            heddle_uuid_new(receipts[i].id);
    }
    for (size_t from = 0; status == HEDDLE_OK && from < count; from += CALL_COUNT_MAX) {
        const size_t part = count - from < CALL_COUNT_MAX ? count - from : CALL_COUNT_MAX;
        /* The single form is the faster one for one. */
        if (part > 1)
            status = submit_call(link, submissions + from, part, receipts + from, err);
        /* One that Postgres can't even read spoils the whole call: each gets its own answer. */
        if (part == 1 || status == HEDDLE_REFUSED)
            status = submit_each(link, submissions + from, part, receipts + from, err);
    }
    return status;
}

/* What is sorted: by user, and those of one in their order. */
struct follower {
    const struct heddle_submission *submission;
    size_t place;
};

heddle_status journal_follow_up(struct heddle_uow *uow,
                                const struct heddle_submission *const *submissions, size_t count,
                                struct arena *arena, struct heddle_error *err)
{
    struct heddle_array columns[PARAM_COUNT], *params[PARAM_COUNT];
    struct follower *followers = arena_alloc(arena, count * sizeof *followers);
    heddle_status status = HEDDLE_OK;

    /* One call takes tails in their order; so do several. */
    for (size_t i = 0; i < count; i++)
        followers[i] = (struct follower){submissions[i], i};
    qsort(followers, count, sizeof *followers, compare_users);
    for (size_t c = 0; c < PARAM_COUNT; c++)
        params[c] = &columns[c];
    for (size_t from = 0; status == HEDDLE_OK && from < count; from += CALL_COUNT_MAX) {
        const size_t to = count - from < CALL_COUNT_MAX ? count : from + CALL_COUNT_MAX;
        begin(columns, arena);
        for (size_t i = from; i < to; i++)
            add(columns, followers[i].submission, followers[i].submission->id.data, arena);
        status = uow_send_arrays(uow, &follow_up, params, err);
    }
    return status;
}

static heddle_status submit_call(struct pg_link *link, const struct heddle_submission *submissions,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err)
{
    struct heddle_array columns[PARAM_COUNT];
    struct heddle_text params[PARAM_COUNT];
    struct arena arena;
    AUTO_ROWS rows = NULL;

    arena_init(&arena, 0);
    begin(columns, &arena);
    for (size_t i = 0; i < count; i++)
        add(columns, &submissions[i], receipts[i].id, &arena);
    for (size_t c = 0; c < PARAM_COUNT; c++)
        params[c] = array_bytes(&columns[c]);
    heddle_status status = refusal(pg_query_binary(link, &submit_many, params, &rows, err), err);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        const char *line = heddle_rows_text(rows, (int)i, 0);
        if (line)
            (void)refusal_read(line, &receipts[i].status, &receipts[i].error);
        else
            status = take_answer(link, &submissions[i], heddle_rows_text(rows, (int)i, 1),
                                 &receipts[i], err);
    }
    arena_done(&arena);
    return status;
}

static heddle_status submit_each(struct pg_link *link, const struct heddle_submission *submissions,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        receipts[i].error = (struct heddle_error){0};
        receipts[i].status = submit_one(link, &submissions[i], &receipts[i], &receipts[i].error);
        /* Full or paused is an answer, about this one. */
        if (receipts[i].status == HEDDLE_RETRY && receipts[i].error.kind != HEDDLE_KIND_TOO_LARGE) {
            *err = receipts[i].error;
            status = HEDDLE_RETRY;
        }
    }
    return status;
}

static heddle_status submit_one(struct pg_link *link, const struct heddle_submission *submission,
                                struct heddle_receipt *receipt, struct heddle_error *err)
{
    struct arena arena;
    AUTO_ROWS rows = NULL;

    arena_init(&arena, 0);
    const char *const params[PARAM_COUNT] = {
        submission->user.data,
        submission->op.data,
        payload_of(submission).data,
        submission->thread.size > 0 ? submission->thread.data : NULL,
        receipt->id,
        flow_options_to_json(&submission->flow, &submission->policy, &arena),
    };
    heddle_status status = refusal(pg_query(link, &submit, params, &rows, err), err);
    if (status == HEDDLE_OK)
        status = take_answer(link, submission, heddle_rows_text(rows, 0, 0), receipt, err);
    arena_done(&arena);
    return status;
}

/* Of a unique key it may be another operation's. */
static heddle_status take_answer(struct pg_link *link, const struct heddle_submission *submission,
                                 const char *id, struct heddle_receipt *receipt,
                                 struct heddle_error *err)
{
    const struct heddle_flow *flow = &submission->flow;
    AUTO_ROWS rows = NULL;

    if (flow->delay_ms > 0 || flow->at_ms > clock_wall_us() / 1000)
        strcpy(receipt->state, "scheduled");
    if (flow->unique_key.size == 0 || strcmp(id, receipt->id) == 0)
        return HEDDLE_OK;
    snprintf(receipt->id, sizeof receipt->id, "%s", id);
    heddle_status status = pg_query(link, &state_of, &id, &rows, err);
    if (status == HEDDLE_OK && heddle_rows_count(rows) == 1)
        snprintf(receipt->state, sizeof receipt->state, "%s", heddle_rows_text(rows, 0, 0));
    return status;
}

/* As Postgres collates "C". */
static int compare_users(const void *a, const void *b)
{
    const struct follower *first = a, *second = b;
    const int order = strcmp(first->submission->user.data, second->submission->user.data);

    return order != 0 ? order : (first->place > second->place) - (first->place < second->place);
}

static void begin(struct heddle_array columns[PARAM_COUNT], struct arena *arena)
{
    for (size_t c = 0; c < PARAM_COUNT; c++)
        array_init(&columns[c], HEDDLE_ARRAY_TEXT, arena);
}

/* In the order of the parameters. */
static void add(struct heddle_array columns[PARAM_COUNT],
                const struct heddle_submission *submission, const char *id, struct arena *arena)
{
    array_add_text(&columns[0], submission->user);
    array_add_text(&columns[1], submission->op);
    array_add_text(&columns[2], payload_of(submission));
    array_add_text(&columns[3], submission->thread);
    array_add_text(&columns[4], text_of(id));
    heddle_array_add(&columns[5],
                     flow_options_to_json(&submission->flow, &submission->policy, arena));
}

static struct heddle_text payload_of(const struct heddle_submission *submission)
{
    return submission->payload.size > 0 ? submission->payload : TEXT("{}");
}

/* Data exceptions: JSON or UTF-8 that Postgres does not take. */
static heddle_status refusal(heddle_status status, struct heddle_error *err)
{
    if (status != HEDDLE_PERMANENT || strncmp(err->sqlstate, "22", 2) != 0)
        return status;
    err->kind = HEDDLE_KIND_INVALID;
    *err->where = '\0';
    return HEDDLE_REFUSED;
}
