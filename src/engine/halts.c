/* See halts.h. Runs on the relay's thread. */
#include "engine/halts.h"

#include "base/log.h"
#include "engine/reconcile.h"
#include "ledger/journal.h"
#include "queue/rebuild.h"

#include <stdio.h>
#include <string.h>

static heddle_status compare_page(struct reconciler *reconciler, unsigned partition,
                                  const struct rebuild_halt *halts, size_t count,
                                  struct heddle_error *err);

heddle_status halts_compare(struct reconciler *reconciler, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (unsigned p = 0; status == HEDDLE_OK && p < reconciler->partitions; p++) {
        char cursor[24] = "0";
        do {
            struct rebuild_halt *halts;
            size_t count = 0;
            status = rebuild_find_halts(reconciler->redis, reconciler->command, p, cursor,
                                        &reconciler->arena, &halts, &count, err);
            if (status == HEDDLE_OK && count > 0)
                status = compare_page(reconciler, p, halts, count, err);
            arena_reset(&reconciler->arena);
        } while (status == HEDDLE_OK && strcmp(cursor, "0") != 0);
    }
    return status;
}

static heddle_status compare_page(struct reconciler *reconciler, unsigned partition,
                                  const struct rebuild_halt *halts, size_t count,
                                  struct heddle_error *err)
{
    struct arena *arena = &reconciler->arena;
    char *ids = arena_alloc(arena, count * (HEDDLE_ID_SIZE + 1) + 2);
    char *has_failed = arena_alloc(arena, count * 2 + 2);
    bool *is_decided = arena_alloc(arena, count * sizeof *is_decided);
    size_t decided = 0;

    for (size_t i = 0, at = 0; i < count; i++) {
        const char separator = i == 0 ? '{' : ',';
        at += (size_t)sprintf(ids + at, "%c%s", separator, halts[i].id);
        has_failed[2 * i] = separator;
        has_failed[2 * i + 1] = halts[i].has_failed ? 't' : 'f';
        is_decided[i] = false;
    }
    strcat(ids, "}");
    strcpy(has_failed + 2 * count, "}");
    heddle_status status = journal_find_decided(reconciler->pg, ids, has_failed, is_decided, err);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        if (!is_decided[i])
            continue;
        decided++;
        heddle_log(HEDDLE_LOG_WARNING, "halt_decided", "lane=%s id=%s",
                   LOG_TEXT(halts[i].lane.data), halts[i].id);
    }
    if (status == HEDDLE_OK && decided > 0)
        status = rebuild_look(reconciler->redis, reconciler->command, partition, halts, is_decided,
                              count, err);
    return status;
}
