/* Strands: where a user may have several operations under way (user_concurrency), a claim is split
 * by the threads of its operations.
 *
 * A thread's operations are in one strand, in their order; a strand has a place, of which there are
 * as many as operations may be under way. It is a claim of its own to whoever executes it, and is
 * settled part by part; the whole claim ends when all of its strands have. */
#ifndef QUEUE_STRANDS_H
#define QUEUE_STRANDS_H

#include "queue/lanes.h"

#include <stdbool.h>

enum { STRANDS_MAX = 64 };

/* Splits a claim that nobody else has seen, with so many places, and appends the strands to the
 * list, which borrows them until the claim is freed. With one place, or one strand, it is the claim
 * itself that is appended. */
void strands_split(struct claim *claim, int places, struct claim_list *list);

/* A strand's last settlement but for what it leaves of its lane; it is not to be touched
 * afterwards. True for the one that ends last: `end`, of the whole claim, is what becomes of the
 * lane, that is what is most binding of all their dispositions. On any thread. */
bool strands_join(const struct settlement *settlement, struct settlement *end);

/* Frees the strands of a claim, where it has any. */
void strands_free(struct claim *claim);

#endif
