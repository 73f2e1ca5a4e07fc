/* See cancel.h. */
#include "engine/cancel.h"

#include "base/arena.h"
#include "base/text.h"
#include "ledger/ends.h"
#include "ledger/outcome.h"
#include "link/pg.h"
#include "queue/operator.h"

#include <string.h>

enum { TRIES_MAX = 20 };

static heddle_status decide_direct(struct pg_link *ledger, struct redis_link *queue,
                                   unsigned partitions, const char *id, char state[16],
                                   struct heddle_error *err);

heddle_status cancel_decide(struct pg_link *ledger, struct redis_link *queue, unsigned partitions,
                            const char *id, char state[16], struct heddle_error *err)
{
    heddle_status status = HEDDLE_RETRY;

    for (int tries = 0; status == HEDDLE_RETRY && tries < TRIES_MAX; tries++) {
        status = ends_cancel(ledger, id, state, err);
        if (status == HEDDLE_OK && strcmp(state, "unknown") == 0)
            status = decide_direct(ledger, queue, partitions, id, state, err);
        if (status == HEDDLE_RETRY && pg_is_outage(err))
            break;
    }
    return status;
}

heddle_status cancel_tell(struct redis_link *queue, unsigned partitions, const char *id,
                          const char *state, int64_t result_ttl_ms, struct heddle_error *err)
{
    const struct outcome outcome = outcome_cancelled();
    struct heddle_text result = TEXT("");
    struct arena arena;

    arena_init(&arena, 0);
    if (strcmp(state, "cancelled") == 0)
        result = outcome_format(&outcome, id, &arena);
    heddle_status status = operator_cancel(queue, partitions, id, result, result_ttl_ms, err);
    arena_done(&arena);
    return status;
}

/* The ledger has no row: what is queued in Redis alone. HEDDLE_RETRY: it has one by now. */
static heddle_status decide_direct(struct pg_link *ledger, struct redis_link *queue,
                                   unsigned partitions, const char *id, char state[16],
                                   struct heddle_error *err)
{
    struct claim *claim;

    heddle_status status = operator_find(queue, partitions, id, &claim, err);
    if (status != HEDDLE_OK || !claim)
        return status;
    status = ends_cancel_direct(ledger, &claim->operations[0].operation, err);
    claim_free(claim);
    /* The row is another transaction's, that executes it. */
    bool is_running = status == HEDDLE_RETRY && strcmp(err->sqlstate, "55P03") == 0;
    if (status == HEDDLE_OK || is_running)
        strcpy(state, is_running ? "running" : "cancelled");
    return is_running ? HEDDLE_OK : status;
}
