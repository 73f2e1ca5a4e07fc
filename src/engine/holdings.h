/* The claims that this processor has in hand, from Redis' answer until the settlement is
 * acknowledged.
 *
 * What Redis believes to be ours and is not in here is a claim whose answer was lost, or that a
 * failover brought back: its lane would wait for ever, for we live and beat. Thread-safe. */
#ifndef ENGINE_HOLDINGS_H
#define ENGINE_HOLDINGS_H

#include "queue/claim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct holdings;

struct holdings *holdings_new(void);
void holdings_free(struct holdings *holdings);

/* By the fetcher, before anybody else sees the claim. It stays the caller's. */
void holdings_add(struct holdings *holdings, struct claim *claim);

/* By the settler, before it frees the claim. One that was never added does no harm. */
void holdings_remove(struct holdings *holdings, struct claim *claim);

/* Every request up to `seq` has been answered, its claims added, or has failed. */
void holdings_answered(struct holdings *holdings, uint64_t seq);

/* False where nobody here knows of the claim, nor will. */
bool holdings_knows(struct holdings *holdings, struct heddle_text lane, uint64_t seq);

size_t holdings_count(struct holdings *holdings);

/* How many operations its claims have of the lane, ended ones that are not settled among them;
 * 0: none is in hand. Looks at every claim in hand. */
size_t holdings_of_lane(struct holdings *holdings, struct heddle_text lane);

/* Asks for the early end of the operation `id`, begun or not (claimed_cancel): false where no claim
 * in hand has it. Looks at every operation in hand. */
bool holdings_cancel(struct holdings *holdings, struct heddle_text id, enum cancel_cause cause);

#endif
