/* Submissions on their way into the journal (journal.h). Runs on the caller's thread. The rules
 * stand in sql/0006_bulk.sql. */
#include "ledger/journal.h"

#include "base/policy.h"
#include "base/text.h"
#include "heddle/uow.h"
#include "link/pg.h"
#include "link/pg_texts.h"
#include "link/refusal.h"

#include <stdio.h>
#include <string.h>

enum { CALL_COUNT_MAX = 1000, PARAM_COUNT = 6 };

static const struct heddle_statement submit = {
    "heddle_submit", "select heddle.submit_text($1, $2, $3, $4, $5, $6)", PARAM_COUNT};

static const struct heddle_statement submit_many = {
    "heddle_submit_many",
    "select refusal from heddle.submit_many($1, $2, $3, $4, $5::text[]::uuid[],"
    " $6::text[]::jsonb[])",
    PARAM_COUNT};

static heddle_status submit_call(struct pg_link *link, const struct heddle_submission *submissions,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err);
static heddle_status submit_each(struct pg_link *link, const struct heddle_submission *submissions,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err);
static heddle_status submit_one(struct pg_link *link, const struct heddle_submission *submission,
                                const char *id, struct heddle_error *err);
static void add(struct pg_texts columns[PARAM_COUNT], const struct heddle_submission *submission,
                const char *id);
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

static heddle_status submit_call(struct pg_link *link, const struct heddle_submission *submissions,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err)
{
    struct pg_texts columns[PARAM_COUNT];
    const char *params[PARAM_COUNT];
    int sizes[PARAM_COUNT];
    AUTO_ROWS rows = NULL;

    for (size_t c = 0; c < PARAM_COUNT; c++)
        pg_texts_init(&columns[c]);
    for (size_t i = 0; i < count; i++)
        add(columns, &submissions[i], receipts[i].id);
    for (size_t c = 0; c < PARAM_COUNT; c++) {
        params[c] = columns[c].data;
        sizes[c] = (int)columns[c].size;
    }
    heddle_status status =
        refusal(pg_query_binary(link, &submit_many, params, sizes, &rows, err), err);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        const char *line = heddle_rows_text(rows, (int)i, 0);
        if (line)
            (void)refusal_read(line, &receipts[i].status, &receipts[i].error);
    }
    for (size_t c = 0; c < PARAM_COUNT; c++)
        pg_texts_done(&columns[c]);
    return status;
}

static heddle_status submit_each(struct pg_link *link, const struct heddle_submission *submissions,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; status != HEDDLE_RETRY && i < count; i++) {
        status = submit_one(link, &submissions[i], receipts[i].id, &receipts[i].error);
        receipts[i].status = status;
        if (status == HEDDLE_RETRY)
            *err = receipts[i].error;
    }
    return status == HEDDLE_RETRY ? HEDDLE_RETRY : HEDDLE_OK;
}

static heddle_status submit_one(struct pg_link *link, const struct heddle_submission *submission,
                                const char *id, struct heddle_error *err)
{
    char options[POLICY_JSON_SIZE];
    const char *const params[PARAM_COUNT] = {
        submission->user.data,
        submission->op.data,
        payload_of(submission).data,
        submission->thread.size > 0 ? submission->thread.data : NULL,
        id,
        policy_to_json(&submission->policy, options) ? options : NULL,
    };

    return refusal(pg_query(link, &submit, params, NULL, err), err);
}

/* In the order of the parameters. */
static void add(struct pg_texts columns[PARAM_COUNT], const struct heddle_submission *submission,
                const char *id)
{
    char options[POLICY_JSON_SIZE];

    pg_texts_add(&columns[0], submission->user);
    pg_texts_add(&columns[1], submission->op);
    pg_texts_add(&columns[2], payload_of(submission));
    pg_texts_add(&columns[3], submission->thread);
    pg_texts_add(&columns[4], text_of(id));
    if (policy_to_json(&submission->policy, options))
        pg_texts_add(&columns[5], text_of(options));
    else
        pg_texts_add_null(&columns[5]);
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
