/* See reconcile.h. */
#include "engine/reconcile.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "ledger/journal.h"
#include "link/redis.h"
#include "queue/admin.h"
#include "queue/rebuild.h"

#include <stdio.h>
#include <string.h>

enum {
    PAGE_COUNT = 1000,
    LANE_COUNT = 256, /* a lane's first operations; more are found by the next pass */
    ARENA_KEEP_BYTES = 1 << 20,
    /* Younger ones may still be on their way. */
    AGE_LEAST_MS = 2000,
};

static heddle_status compare_partition(struct reconciler *reconciler, unsigned partition,
                                       const struct journal_page *page, struct heddle_error *err);

void reconciler_init(struct reconciler *reconciler, struct pg_link *pg, struct redis_link *redis,
                     struct command *command, unsigned partitions)
{
    *reconciler =
        (struct reconciler){.pg = pg, .redis = redis, .command = command, .partitions = partitions};
    arena_init(&reconciler->arena, ARENA_KEEP_BYTES);
}

void reconciler_done(struct reconciler *reconciler)
{
    arena_done(&reconciler->arena);
}

heddle_status reconciler_step(struct reconciler *reconciler, bool *is_last,
                              struct heddle_error *err)
{
    struct journal_page page;

    heddle_status status = journal_unfinished(reconciler->pg, reconciler->user, reconciler->seq,
                                              PAGE_COUNT, &reconciler->arena, &page, err);
    for (unsigned p = 0; status == HEDDLE_OK && page.count > 0 && p < reconciler->partitions; p++)
        status = compare_partition(reconciler, p, &page, err);
    if (status == HEDDLE_OK) {
        *is_last = page.count < PAGE_COUNT;
        const struct journal_entry *last = page.count > 0 ? &page.entries[page.count - 1] : NULL;
        snprintf(reconciler->user, sizeof reconciler->user, "%s",
                 *is_last ? "" : last->operation.user.data);
        reconciler->seq = *is_last ? 0 : last->seq;
    }
    arena_reset(&reconciler->arena);
    return status;
}

heddle_status reconciler_rebuild(struct reconciler *reconciler, struct heddle_text lane,
                                 struct heddle_error *err)
{
    struct journal_page page;
    size_t missing = 0;

    heddle_status status =
        journal_lane(reconciler->pg, lane.data, LANE_COUNT, &reconciler->arena, &page, err);
    if (status != HEDDLE_OK || page.count == 0)
        return status;
    struct heddle_operation *operations =
        arena_alloc(&reconciler->arena, page.count * sizeof *operations);
    for (size_t i = 0; i < page.count; i++)
        operations[i] = page.entries[i].operation;
    status = rebuild_lane(reconciler->redis, reconciler->command,
                          digest_partition(lane, reconciler->partitions), lane, operations,
                          page.count, &missing, err);
    if (status == HEDDLE_OK)
        heddle_log(HEDDLE_LOG_WARNING, "lane_rebuilt", "lane=%s missing=%zu unfinished=%zu",
                   LOG_TEXT(lane.data), missing, page.count);
    return status;
}

heddle_status reconcile_set_up(struct pg_link *pg, struct redis_link *redis,
                               struct heddle_error *err)
{
    unsigned partitions = 0;
    int64_t payload_bytes_max = 0;
    bool is_whole = false;

    heddle_status status = queue_is_whole(redis, &is_whole, err);
    if (status != HEDDLE_OK || is_whole)
        return status;
    status = journal_partitions(pg, &partitions, &payload_bytes_max, err);
    if (status != HEDDLE_OK || partitions == 0)
        return status;
    status = queue_install(redis, partitions, payload_bytes_max, err);
    if (status == HEDDLE_OK)
        heddle_log(HEDDLE_LOG_WARNING, "queue_set_up_again", "partitions=%u", partitions);
    return status;
}

/* The page's operations of one partition against Redis; lanes that miss some are rebuilt, once
 * each. */
static heddle_status compare_partition(struct reconciler *reconciler, unsigned partition,
                                       const struct journal_page *page, struct heddle_error *err)
{
    struct heddle_text ids[PAGE_COUNT], users[PAGE_COUNT];
    bool is_missing[PAGE_COUNT];
    size_t count = 0;

    for (size_t i = 0; i < page->count; i++) {
        const struct heddle_operation *operation = &page->entries[i].operation;
        if (page->entries[i].age_ms < AGE_LEAST_MS ||
            digest_partition(operation->user, reconciler->partitions) != partition)
            continue;
        users[count] = operation->user;
        ids[count++] = (struct heddle_text){operation->id, HEDDLE_ID_SIZE};
    }
    if (count == 0)
        return HEDDLE_OK;
    heddle_status status = rebuild_find_missing(reconciler->redis, reconciler->command, partition,
                                                ids, count, is_missing, err);
    struct heddle_text rebuilt = TEXT("");
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        if (!is_missing[i] || text_equal(users[i], rebuilt))
            continue;
        rebuilt = users[i];
        status = reconciler_rebuild(reconciler, rebuilt, err);
    }
    return status;
}
