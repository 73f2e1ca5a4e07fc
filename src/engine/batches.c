/* See batches.h.
 *
 * A direct operation is counted in Redis until its row in Postgres, if it has one yet, says how it
 * goes on: so Redis is asked before Postgres judges. */
#include "engine/batches.h"

#include "base/arena.h"
#include "base/fault.h"
#include "base/log.h"
#include "ledger/batches.h"
#include "queue/batches.h"

#include <stdint.h>
#include <string.h>

enum { BATCHES_MAX = 1000 }; /* of one round */

static heddle_status complete(struct pg_link *pg, const char *name, struct arena *arena,
                              struct heddle_error *err);

heddle_status batches_tend(struct pg_link *pg, struct redis_link *redis, unsigned partitions,
                           struct heddle_error *err)
{
    int64_t pending[BATCHES_MAX];
    const char **names;
    size_t count = 0;
    struct arena arena;

    arena_init(&arena, 0);
    heddle_status status = batches_ending(pg, BATCHES_MAX, &arena, &names, &count, err);
    if (status == HEDDLE_OK && count > 0)
        status = partition_batches(redis, partitions, names, count, pending, err);
    fault_point("batch_ending");
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
        if (pending[i] == 0)
            status = complete(pg, names[i], &arena, err);
    arena_done(&arena);
    return status;
}

static heddle_status complete(struct pg_link *pg, const char *name, struct arena *arena,
                              struct heddle_error *err)
{
    const char *answer;

    heddle_status status = batches_complete(pg, name, arena, &answer, err);
    if (status != HEDDLE_OK || strcmp(answer, "not yet") == 0)
        return status;
    if (strcmp(answer, "complete") == 0)
        heddle_log(HEDDLE_LOG_INFO, "batch_complete", "batch=%s", LOG_TEXT(name));
    else
        heddle_log(HEDDLE_LOG_WARNING, "batch_not_complete", "batch=%s text=%s", LOG_TEXT(name),
                   LOG_TEXT(answer));
    return HEDDLE_OK;
}
