/* See door.h. Runs on the main thread. */
#include "app/door.h"

#include "app/links.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "heddle/log.h"
#include "ledger/journal.h"
#include "link/pg.h"

static heddle_status submit_durable(struct door *door, const struct heddle_submission *submissions,
                                    size_t count, struct heddle_receipt *receipts,
                                    struct heddle_error *err);
static void make_operation(const struct heddle_submission *submission,
                           struct heddle_operation *operation);
static heddle_status submit_each(struct door *door, struct heddle_operation *operations,
                                 size_t count, struct heddle_receipt *receipts);

heddle_status door_open(struct door *door, const struct options *options, bool is_durable,
                        struct heddle_error *err)
{
    *door = (struct door){.options = options};
    heddle_status status = links_client(options, &door->client, err);
    if (status == HEDDLE_OK && is_durable)
        status = links_postgres(options, &door->journal, err);
    if (status != HEDDLE_OK)
        door_close(door);
    return status;
}

void door_close(struct door *door)
{
    heddle_client_free(door->client);
    pg_free(door->journal);
    door->client = NULL;
    door->journal = NULL;
}

heddle_status door_submit(struct door *door, const struct heddle_submission *submissions,
                          size_t count, struct heddle_receipt *receipts, struct heddle_error *err)
{
    if (!door->journal)
        return heddle_client_submit(door->client, submissions, count, receipts, err);
    return submit_durable(door, submissions, count, receipts, err);
}

void door_forget(struct door *door, unsigned partition, const char *id)
{
    struct heddle_receipt receipt = {.partition = partition};
    struct heddle_error err;

    if (!door->journal)
        return;
    snprintf(receipt.id, sizeof receipt.id, "%s", id);
    if (heddle_client_unwant(door->client, &receipt, &err) != HEDDLE_OK)
        heddle_log(HEDDLE_LOG_DEBUG, "reply_left", "id=%s", id);
}

static heddle_status submit_durable(struct door *door, const struct heddle_submission *submissions,
                                    size_t count, struct heddle_receipt *receipts,
                                    struct heddle_error *err)
{
    struct heddle_operation *operations = memory_take_zeroed(count, sizeof *operations);
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        make_operation(&submissions[i], &operations[i]);
        receipts[i] = (struct heddle_receipt){.status = HEDDLE_OK};
        memcpy(receipts[i].id, operations[i].id, sizeof receipts[i].id);
        /* Before the journal has it, or it might end before anybody waits. */
        if (submissions[i].reply)
            status = heddle_client_want(door->client, submissions[i].user, operations[i].id,
                                        &receipts[i], err);
        strcpy(receipts[i].state, "queued");
    }
    if (status == HEDDLE_OK)
        status = journal_submit_many(door->journal, operations, count, err);
    if (status == HEDDLE_REFUSED)
        status = submit_each(door, operations, count, receipts);
    free(operations);
    return status;
}

static void make_operation(const struct heddle_submission *submission,
                           struct heddle_operation *operation)
{
    operation->user = submission->user;
    operation->op = submission->op;
    operation->thread = submission->thread;
    operation->payload = submission->payload;
    operation->policy = submission->policy;
    if (submission->id.size > 0)
        snprintf(operation->id, sizeof operation->id, "%s", submission->id.data);
    else
        heddle_uuid_new(operation->id);
}

/* One of them is refused: each gets its own answer. */
static heddle_status submit_each(struct door *door, struct heddle_operation *operations,
                                 size_t count, struct heddle_receipt *receipts)
{
    for (size_t i = 0; i < count; i++) {
        struct heddle_operation *operation = &operations[i];
        receipts[i].status = journal_submit(door->journal, operation, &receipts[i].error);
        if (receipts[i].status != HEDDLE_OK)
            door_forget(door, receipts[i].partition, receipts[i].id);
    }
    return HEDDLE_OK;
}
