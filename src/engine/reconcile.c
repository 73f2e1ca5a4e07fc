/* See reconcile.h. */
#include "engine/reconcile.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/halts.h"
#include "ledger/journal.h"
#include "link/redis.h"
#include "queue/admin.h"
#include "queue/rebuild.h"

#include <stdio.h>
#include <string.h>

enum {
    PAGE_COUNT = 1000,
    LANE_COUNT = 256, /* put back by one call */
    ARENA_KEEP_BYTES = 1 << 20,
};

/* A page's operations of one partition, in the journal's order. */
struct comparison {
    unsigned partition;
    const struct journal_entry *entries[PAGE_COUNT];
    bool is_missing[PAGE_COUNT];
    size_t count;
};

static void count_lanes(struct reconciler *reconciler, const struct journal_page *page);
static heddle_status readmit(struct reconciler *reconciler, struct heddle_error *err);
static heddle_status compare_partition(struct reconciler *reconciler, unsigned partition,
                                       const struct journal_page *page, struct heddle_error *err);
static heddle_status find_missing(struct reconciler *reconciler, const struct journal_page *page,
                                  struct comparison *comparison, struct heddle_error *err);
static heddle_status mend(struct reconciler *reconciler, const struct comparison *comparison,
                          size_t first, size_t *next, struct heddle_error *err);
static heddle_status put_back(struct reconciler *reconciler, struct heddle_text lane,
                              const struct journal_page *page, bool has_anchor, size_t *looked_at,
                              struct heddle_error *err);
static size_t tell(struct reconciler *reconciler, const struct comparison *comparison, size_t first,
                   const struct journal_page *page, size_t looked_at);

void reconciler_init(struct reconciler *reconciler, struct pg_link *pg, struct redis_link *redis,
                     struct command *command, unsigned partitions)
{
    *reconciler =
        (struct reconciler){.pg = pg, .redis = redis, .command = command, .partitions = partitions};
    arena_init(&reconciler->arena, ARENA_KEEP_BYTES);
    arena_init(&reconciler->lane_arena, ARENA_KEEP_BYTES);
}

void reconciler_done(struct reconciler *reconciler)
{
    arena_done(&reconciler->arena);
    arena_done(&reconciler->lane_arena);
}

heddle_status reconciler_step(struct reconciler *reconciler, bool *is_last,
                              struct heddle_error *err)
{
    const struct journal_place behind = {reconciler->user, reconciler->class, reconciler->seq};
    struct journal_page page;

    heddle_status status =
        journal_unfinished(reconciler->pg, &behind, PAGE_COUNT, &reconciler->arena, &page, err);
    if (status == HEDDLE_OK)
        count_lanes(reconciler, &page);
    for (unsigned p = 0; status == HEDDLE_OK && page.count > 0 && p < reconciler->partitions; p++)
        status = compare_partition(reconciler, p, &page, err);
    if (status == HEDDLE_OK) {
        *is_last = page.count < PAGE_COUNT;
        const struct journal_entry *last = page.count > 0 ? &page.entries[page.count - 1] : NULL;
        snprintf(reconciler->user, sizeof reconciler->user, "%s",
                 *is_last ? "" : last->operation.user.data);
        reconciler->class = *is_last ? 0 : last->operation.flow.priority;
        reconciler->seq = *is_last ? 0 : last->seq;
    }
    arena_reset(&reconciler->arena);
    if (status != HEDDLE_OK || !*is_last || (reconciler->pass && reconciler->pass->only_looks))
        return status;
    status = readmit(reconciler, err);
    return status == HEDDLE_OK ? halts_compare(reconciler, err) : status;
}

heddle_status reconciler_rebuild(struct reconciler *reconciler, struct heddle_text lane,
                                 struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct journal_place place = {.lane = lane.data};

    for (int class = 0; status == HEDDLE_OK && class <= HEDDLE_PRIORITY_BULK; class ++) {
        struct journal_page page;
        size_t looked_at;
        place.class = (enum heddle_priority) class;
        status =
            journal_lane(reconciler->pg, &place, LANE_COUNT, &reconciler->lane_arena, &page, err);
        if (status == HEDDLE_OK && page.count > 0)
            status = put_back(reconciler, lane, &page, false, &looked_at, err);
        arena_reset(&reconciler->lane_arena);
    }
    return status;
}

static void count_lanes(struct reconciler *reconciler, const struct journal_page *page)
{
    const char *user = reconciler->user;

    for (size_t i = 0; i < page->count; i++) {
        reconciler->counts.lanes += strcmp(page->entries[i].operation.user.data, user) != 0;
        user = page->entries[i].operation.user.data;
    }
    reconciler->counts.operations += (int64_t)page->count;
}

/* The page's operations of one partition against Redis; lanes that miss some are rebuilt, once
 * each. */
/* Direct operations that were tried, and that Redis has lost since, come back by the outbox. They
 * have no number: they are late, and in no order with others. */
static heddle_status readmit(struct reconciler *reconciler, struct heddle_error *err)
{
    static const char first_id[] = "00000000-0000-0000-0000-000000000000";
    struct journal_page page;
    size_t count = 0, used = 0;

    if (*reconciler->adrift_id == '\0')
        strcpy(reconciler->adrift_id, first_id);
    heddle_status status = journal_adrift(reconciler->pg, reconciler->adrift_id, PAGE_COUNT,
                                          &reconciler->arena, &page, err);
    if (status != HEDDLE_OK)
        return status;
    char *ids = arena_alloc(&reconciler->arena, page.count * (HEDDLE_ID_SIZE + 1) + 2);
    for (unsigned p = 0; status == HEDDLE_OK && page.count > 0 && p < reconciler->partitions; p++) {
        struct comparison comparison = {.partition = p};
        status = find_missing(reconciler, &page, &comparison, err);
        for (size_t i = 0; status == HEDDLE_OK && i < comparison.count; i++)
            if (comparison.is_missing[i])
                used += (size_t)sprintf(ids + used, "%c%s", count++ == 0 ? '{' : ',',
                                        comparison.entries[i]->operation.id);
    }
    if (status == HEDDLE_OK && count > 0) {
        strcpy(ids + used, "}");
        heddle_log(HEDDLE_LOG_WARNING, "operations_readmitted", "count=%zu", count);
        status = journal_nudge(reconciler->pg, ids, err);
    }
    strcpy(reconciler->adrift_id,
           page.count < PAGE_COUNT ? first_id : page.entries[page.count - 1].operation.id);
    arena_reset(&reconciler->arena);
    return status;
}

static heddle_status compare_partition(struct reconciler *reconciler, unsigned partition,
                                       const struct journal_page *page, struct heddle_error *err)
{
    struct comparison comparison = {.partition = partition};

    heddle_status status = find_missing(reconciler, page, &comparison, err);
    for (size_t i = 0; status == HEDDLE_OK && i < comparison.count;) {
        if (comparison.is_missing[i])
            status = mend(reconciler, &comparison, i, &i, err);
        else
            i++;
    }
    return status;
}

/* The page's operations of the partition, and which of them Redis does not have. */
static heddle_status find_missing(struct reconciler *reconciler, const struct journal_page *page,
                                  struct comparison *comparison, struct heddle_error *err)
{
    const struct pass *pass = reconciler->pass;
    const unsigned partition = comparison->partition;
    struct heddle_text ids[PAGE_COUNT];
    size_t count = 0;

    for (size_t i = 0; i < page->count; i++) {
        const struct journal_entry *entry = &page->entries[i];
        if ((entry->is_outbound && !(pass && pass->takes_outbox)) ||
            digest_partition(entry->operation.user, reconciler->partitions) != partition)
            continue;
        comparison->entries[count] = entry;
        ids[count++] = (struct heddle_text){entry->operation.id, HEDDLE_ID_SIZE};
    }
    comparison->count = count;
    if (count == 0)
        return HEDDLE_OK;
    return rebuild_find_missing(reconciler->redis, reconciler->command, partition, ids, count,
                                comparison->is_missing, err);
}

/* Puts back the missing operation `first` and those of its lane behind it, as many as go in one
 * call; `*next` is the first one that was not looked at. What Redis does not have may have ended
 * since it was read: the journal is asked again. */
static heddle_status mend(struct reconciler *reconciler, const struct comparison *comparison,
                          size_t first, size_t *next, struct heddle_error *err)
{
    const struct journal_entry *missing = comparison->entries[first];
    const struct journal_place from = {missing->operation.user.data,
                                       missing->operation.flow.priority, missing->seq};
    struct journal_page page;
    size_t looked_at = 0;

    heddle_status status =
        journal_lane(reconciler->pg, &from, LANE_COUNT, &reconciler->lane_arena, &page, err);
    if (status != HEDDLE_OK)
        return status;
    const bool has_anchor = page.count > 0 && page.entries[0].seq < missing->seq;
    looked_at = page.count - has_anchor;
    if (looked_at > 0 && !(reconciler->pass && reconciler->pass->only_looks))
        status = put_back(reconciler, missing->operation.user, &page, has_anchor, &looked_at, err);
    if (status == HEDDLE_OK)
        *next = tell(reconciler, comparison, first, &page, looked_at + has_anchor);
    arena_reset(&reconciler->lane_arena);
    return status;
}

/* The page's first entry is the one before the others where it has an anchor. */
static heddle_status put_back(struct reconciler *reconciler, struct heddle_text lane,
                              const struct journal_page *page, bool has_anchor, size_t *looked_at,
                              struct heddle_error *err)
{
    struct heddle_operation *operations =
        arena_alloc(&reconciler->lane_arena, page->count * sizeof *operations);
    const struct rebuild_page rebuild_page = {
        .lane = lane,
        .after = has_anchor ? page->entries[0].operation.id : NULL,
        .operations = operations + has_anchor,
        .count = page->count - has_anchor,
    };
    size_t missing = 0;

    for (size_t i = 0; i < page->count; i++)
        operations[i] = page->entries[i].operation;
    heddle_status status = rebuild_lane(reconciler->redis, reconciler->command,
                                        digest_partition(lane, reconciler->partitions),
                                        &rebuild_page, &missing, looked_at, err);
    if (status == HEDDLE_OK)
        heddle_log(HEDDLE_LOG_WARNING, "lane_rebuilt", "lane=%s missing=%zu unfinished=%zu",
                   LOG_TEXT(lane.data), missing, rebuild_page.count);
    return status;
}

/* Reports the missing ones among the page's first `looked_at`; returns the index of the first
 * operation behind them. */
static size_t tell(struct reconciler *reconciler, const struct comparison *comparison, size_t first,
                   const struct journal_page *page, size_t looked_at)
{
    const struct heddle_operation *of_lane = &comparison->entries[first]->operation;
    size_t at = 0, i = first;

    /* Both are in the order of their numbers. */
    for (; i < comparison->count; i++) {
        const struct journal_entry *entry = comparison->entries[i];
        if (!text_equal(entry->operation.user, of_lane->user) ||
            entry->operation.flow.priority != of_lane->flow.priority)
            break;
        while (at < looked_at && page->entries[at].seq < entry->seq)
            at++;
        if (at == looked_at && i > first && looked_at > 0)
            break;
        if (at == looked_at || page->entries[at].seq != entry->seq || !comparison->is_missing[i])
            continue;
        reconciler->counts.lost++;
        if (reconciler->pass && reconciler->pass->report)
            reconciler->pass->report(reconciler->pass->argument, comparison->partition, entry);
    }
    return i;
}
