/* Cancelling one operation, durable or direct: the ledger decides, then the queue hears of it. By a
 * command, on its thread and links. */
#ifndef ENGINE_CANCEL_H
#define ENGINE_CANCEL_H

#include "heddle/error.h"

#include <stdint.h>

struct pg_link;
struct redis_link;

/* Has the ledger decide, once it or the queue knows the operation: what was unknown to it may be
 * executed for the first time just now. `state` is then as ends_cancel says (ledger/ends.h). */
heddle_status cancel_decide(struct pg_link *ledger, struct redis_link *queue, unsigned partitions,
                            const char *id, char state[16],
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Tells the queue: where it is cancelled, whoever waits hears of it; where it is running, whoever
 * executes it is asked to stop. Where this fails, its lane finds out when it comes to it. */
heddle_status cancel_tell(struct redis_link *queue, unsigned partitions, const char *id,
                          const char *state, int64_t result_ttl_ms,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
