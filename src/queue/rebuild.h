/* The queue as the journal's cache: what it has lost, and putting it back. One round trip each, on
 * the caller's thread and link. */
#ifndef QUEUE_REBUILD_H
#define QUEUE_REBUILD_H

#include "heddle/error.h"
#include "heddle/operation.h"
#include "queue/command.h"

#include <stddef.h>

struct redis_link;

/* Says for each id whether the partition has it queued. */
heddle_status rebuild_find_missing(struct redis_link *link, struct command *command,
                                   unsigned partition, const struct heddle_text *ids, size_t count,
                                   bool *is_missing, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* `operations` are the first of the lane that have not ended, in the journal's order: those that
 * Redis has lost come back to their places before the others. `*missing` counts them. */
heddle_status rebuild_lane(struct redis_link *link, struct command *command, unsigned partition,
                           struct heddle_text lane, const struct heddle_operation *operations,
                           size_t count, size_t *missing,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
