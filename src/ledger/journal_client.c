/* Submissions on their way into the journal: heddle/journal.h, and journal_submit_all for whoever
 * has a link. Runs on the caller's thread. */
#include "heddle/journal.h"

#include "base/arena.h"
#include "ledger/journal.h"
#include "link/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct heddle_journal {
    struct pg_link *link;
};

static struct heddle_operation operation_of(const struct heddle_submission *submission);
static heddle_status submit_each(struct pg_link *link, struct heddle_operation *operations,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err);

heddle_status heddle_journal_new(const char *postgres, int timeout_ms,
                                 struct heddle_journal **journal, struct heddle_error *err)
{
    const struct pg_options options = {
        .conninfo = postgres,
        .application_name = "heddle client",
        .connect_timeout_ms = timeout_ms,
        .statement_timeout_ms = timeout_ms,
        .idle_transaction_timeout_ms = timeout_ms,
        .deadline_ms = timeout_ms,
    };
    struct pg_link *link;

    heddle_status status = pg_new(&options, &link, err);
    if (status != HEDDLE_OK)
        return status;
    *journal = memory_take(sizeof **journal);
    (*journal)->link = link;
    return HEDDLE_OK;
}

void heddle_journal_free(struct heddle_journal *journal)
{
    if (!journal)
        return;
    pg_free(journal->link);
    free(journal);
}

heddle_status heddle_journal_submit(struct heddle_journal *journal,
                                    const struct heddle_submission *submissions, size_t count,
                                    struct heddle_receipt *receipts, struct heddle_error *err)
{
    return journal_submit_all(journal->link, submissions, count, receipts, err);
}

heddle_status journal_submit_all(struct pg_link *link, const struct heddle_submission *submissions,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err)
{
    struct heddle_operation *operations = memory_take(count * sizeof *operations);

    for (size_t i = 0; i < count; i++) {
        operations[i] = operation_of(&submissions[i]);
        receipts[i].status = HEDDLE_OK;
        memcpy(receipts[i].id, operations[i].id, sizeof receipts[i].id);
        strcpy(receipts[i].state, "queued");
    }
    heddle_status status = journal_submit_many(link, operations, count, err);
    if (status == HEDDLE_REFUSED)
        status = submit_each(link, operations, count, receipts, err);
    free(operations);
    return status;
}

static struct heddle_operation operation_of(const struct heddle_submission *submission)
{
    struct heddle_operation operation = {
        .user = submission->user,
        .op = submission->op,
        .thread = submission->thread,
        .payload = submission->payload,
        .policy = submission->policy,
    };

    if (submission->id.size > 0)
        snprintf(operation.id, sizeof operation.id, "%s", submission->id.data);
    else
        heddle_uuid_new(operation.id);
    return operation;
}

/* One of them is refused: each gets its own answer. */
static heddle_status submit_each(struct pg_link *link, struct heddle_operation *operations,
                                 size_t count, struct heddle_receipt *receipts,
                                 struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; status != HEDDLE_RETRY && i < count; i++) {
        status = journal_submit(link, &operations[i], &receipts[i].error);
        receipts[i].status = status;
        if (status == HEDDLE_RETRY)
            *err = receipts[i].error;
    }
    return status == HEDDLE_RETRY ? HEDDLE_RETRY : HEDDLE_OK;
}
