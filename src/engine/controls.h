/* Brings controls from Postgres, where operators set them, to the partitions. By the leading relay,
 * once a second, and by whoever changes one. On the caller's thread and links. */
#ifndef ENGINE_CONTROLS_H
#define ENGINE_CONTROLS_H

#include "heddle/error.h"

struct pg_link;
struct redis_link;

/* Partitions that are behind hear of what they have missed; one that Redis has lost of all of it.
 * Others may do the same at the same time. */
heddle_status controls_spread(struct pg_link *pg, struct redis_link *redis, unsigned partitions,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
