/* See outbox.h. */
#include "engine/outbox.h"

#include "base/fault.h"
#include "base/log.h"
#include "heddle/client.h"
#include "ledger/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_COUNT = 1000,
    FULL_PAGES_MAX = 16,
    ARENA_KEEP_BYTES = 4 << 20,
};

static heddle_status next_page(struct outbox *outbox, struct journal_page *page,
                               struct heddle_error *err);
static heddle_status push(struct outbox *outbox, const struct journal_page *page,
                          struct heddle_error *err);
static void note_relayed(struct outbox *outbox, const struct journal_page *page);

void outbox_init(struct outbox *outbox, struct pg_link *pg, struct heddle_client *client)
{
    *outbox = (struct outbox){.pg = pg, .client = client};
    arena_init(&outbox->arena, ARENA_KEEP_BYTES);
}

void outbox_done(struct outbox *outbox)
{
    free(outbox->relayed);
    arena_done(&outbox->arena);
}

/* Pushes first and forgets then, with the look at the next page: a crash in between pushes twice,
 * which is idempotent by id. */
heddle_status outbox_relay(struct outbox *outbox, size_t *count, struct heddle_error *err)
{
    struct journal_page page;
    int64_t behind;

    do {
        behind = outbox->behind;
        heddle_status status = next_page(outbox, &page, err);
        *count = status == HEDDLE_OK ? page.count : 0;
        if (status != HEDDLE_OK)
            return status;
    } while (*count == 0 && behind > 0);
    if (*count == 0)
        return HEDDLE_OK;
    fault_point("outbox_read");
    heddle_status status = push(outbox, &page, err);
    fault_point("outbox_pushed");
    if (status == HEDDLE_OK)
        note_relayed(outbox, &page);
    arena_reset(&outbox->arena);
    return status;
}

void outbox_begin_anew(struct outbox *outbox)
{
    free(outbox->relayed);
    outbox->relayed = NULL;
    outbox->behind = 0;
}

/* Where there is much, the next page begins behind this one: in front of it are the remains of rows
 * that were removed, and a few that were committed late, whose turn comes every some pages. */
static heddle_status next_page(struct outbox *outbox, struct journal_page *page,
                               struct heddle_error *err)
{
    heddle_status status = journal_outbox(outbox->pg, outbox->relayed, outbox->behind, PAGE_COUNT,
                                          &outbox->arena, page, err);
    if (status != HEDDLE_OK)
        return status;
    if (outbox->relayed)
        fault_point("outbox_forgotten");
    free(outbox->relayed);
    outbox->relayed = NULL;
    outbox->full_pages = page->count == PAGE_COUNT ? outbox->full_pages + 1 : 0;
    outbox->behind =
        outbox->full_pages % FULL_PAGES_MAX == 0 ? 0 : page->entries[PAGE_COUNT - 1].seq;
    return HEDDLE_OK;
}

static void note_relayed(struct outbox *outbox, const struct journal_page *page)
{
    enum { NUMBER_SIZE = 21 };
    char *list = memory_take(page->count * NUMBER_SIZE + 2);
    size_t used = 0;

    for (size_t i = 0; i < page->count; i++)
        used +=
            (size_t)sprintf(list + used, "%c%" PRId64, i == 0 ? '{' : ',', page->entries[i].seq);
    strcpy(list + used, "}");
    outbox->relayed = list;
}

static heddle_status push(struct outbox *outbox, const struct journal_page *page,
                          struct heddle_error *err)
{
    struct heddle_submission *submissions =
        arena_alloc(&outbox->arena, page->count * sizeof *submissions);
    struct heddle_receipt *receipts = arena_alloc(&outbox->arena, page->count * sizeof *receipts);
    size_t count = 0;

    for (size_t i = 0; i < page->count; i++) {
        const struct heddle_operation *operation = &page->entries[i].operation;
        if (operation->user.size == 0)
            continue;
        submissions[count++] = (struct heddle_submission){
            .user = operation->user,
            .op = operation->op,
            .thread = operation->thread,
            .payload = operation->payload,
            .id = {operation->id, HEDDLE_ID_SIZE},
            .policy = operation->policy,
            .flow = operation->flow,
            .is_journaled = true,
            .attempts = operation->attempt,
            .submitted_us = operation->submitted_us,
        };
    }
    heddle_status status =
        count > 0 ? heddle_client_submit(outbox->client, submissions, count, receipts, err)
                  : HEDDLE_OK;
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        if (receipts[i].status == HEDDLE_OK)
            continue;
        *err = receipts[i].error;
        /* A full Redis: the page stays in the outbox. A refusal: it would be refused again. */
        if (receipts[i].status == HEDDLE_RETRY || receipts[i].status == HEDDLE_FATAL)
            status = receipts[i].status;
        else
            heddle_log(HEDDLE_LOG_ERROR, "relay_refused", "id=%s lane=%s text=%s",
                       submissions[i].id.data, LOG_TEXT(submissions[i].user.data),
                       LOG_TEXT(err->text));
    }
    return status;
}
