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

static heddle_status want(struct door *door, const struct heddle_submission *submissions,
                          size_t count, struct heddle_receipt *receipts, struct heddle_error *err);
static heddle_status want_another(struct door *door, const struct heddle_submission *submission,
                                  struct heddle_receipt *receipt, struct heddle_error *err);

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
    struct heddle_submission *named = memory_take(count * sizeof *named);
    char(*ids)[HEDDLE_ID_SIZE + 1] = memory_take(count * sizeof *ids);
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; i < count; i++) {
        named[i] = submissions[i];
        receipts[i] = (struct heddle_receipt){.status = HEDDLE_OK};
        if (named[i].id.size == 0) {
            heddle_uuid_new(ids[i]);
            named[i].id = (struct heddle_text){ids[i], HEDDLE_ID_SIZE};
        }
    }
    /* Before the journal has them, or they might end before anybody waits. */
    if (count > 0 && named[0].reply)
        status = want(door, named, count, receipts, err);
    if (status == HEDDLE_OK)
        status = journal_submit(door->journal, named, count, receipts, err);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        const bool is_another = strcmp(receipts[i].id, named[i].id.data) != 0;
        if (!named[i].reply || (receipts[i].status == HEDDLE_OK && !is_another))
            continue;
        door_forget(door, receipts[i].partition, named[i].id.data);
        if (receipts[i].status == HEDDLE_OK)
            status = want_another(door, &named[i], &receipts[i], err);
    }
    free(ids);
    free(named);
    return status;
}

static heddle_status want(struct door *door, const struct heddle_submission *submissions,
                          size_t count, struct heddle_receipt *receipts, struct heddle_error *err)
{
    heddle_status status = heddle_client_want_many(door->client, submissions, count, receipts, err);

    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        status = receipts[i].status;
        if (status != HEDDLE_OK)
            *err = receipts[i].error;
    }
    return status;
}

/* The submission is the operation that has its unique key. */
static heddle_status want_another(struct door *door, const struct heddle_submission *submission,
                                  struct heddle_receipt *receipt, struct heddle_error *err)
{
    struct heddle_submission other = *submission;
    struct heddle_receipt wanted = *receipt;

    other.id = (struct heddle_text){receipt->id, HEDDLE_ID_SIZE};
    return want(door, &other, 1, &wanted, err);
}
