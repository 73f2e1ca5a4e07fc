/* What holds for an op or for all in the whole fleet is divided: each partition has a share, and
 * may do with it what it likes. Here shares are moved to where operations wait. By the leading
 * relay, and by whoever changes such a limit. On the caller's thread and links. */
#ifndef ENGINE_SHARES_H
#define ENGINE_SHARES_H

#include "heddle/error.h"

#include <stdbool.h>

struct pg_link;
struct redis_link;

/* One round: a share is raised only by what others have answered that they no longer have, so that
 * the limit holds at any time, whoever else does the same and wherever this ends. `*is_contended`:
 * there is more to move soon. */
heddle_status shares_balance(struct pg_link *pg, struct redis_link *redis, unsigned partitions,
                             bool *is_contended, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
