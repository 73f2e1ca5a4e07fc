/* What an operator asks of the queue about one operation. On the caller's thread and link; every
 * partition is asked, in one round trip. */
#ifndef QUEUE_OPERATOR_H
#define QUEUE_OPERATOR_H

#include "heddle/error.h"
#include "heddle/operation.h"
#include "queue/claim.h"

#include <stdint.h>

struct redis_link;

/* The operation as it is queued: a claim of it alone that claims nothing, freed by the caller
 * (claim_free). NULL where no partition has it. */
heddle_status operator_find(struct redis_link *link, unsigned partitions, const char *id,
                            struct claim **claim, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Marks it as cancelled, where it is queued. `result` where the ledger has decided so: whoever
 * waits is told; empty where it is being executed: whoever executes it is asked to stop. */
heddle_status operator_cancel(struct redis_link *link, unsigned partitions, const char *id,
                              struct heddle_text result, int64_t result_ttl_ms,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
