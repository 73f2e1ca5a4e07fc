/* Batches whose operations have ended are completed, by the leading relay, once a second. On the
 * caller's thread and links. */
#ifndef ENGINE_BATCHES_H
#define ENGINE_BATCHES_H

#include "heddle/error.h"

struct pg_link;
struct redis_link;

/* Of the closed batches those that have ended everywhere, some at a time. Others may do the same at
 * the same time. */
heddle_status batches_tend(struct pg_link *pg, struct redis_link *redis, unsigned partitions,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
