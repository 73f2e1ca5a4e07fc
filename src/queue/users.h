/* Users as the queue knows them: a walk through all that have a lane, page by page, each page a
 * call of bounded work beside live traffic. One that moves from state to state meanwhile may be
 * seen twice. On the caller's thread and link. */
#ifndef QUEUE_USERS_H
#define QUEUE_USERS_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>

struct redis_link;
struct users_walk;

/* Borrows the link. */
struct users_walk *users_walk_new(struct redis_link *link, unsigned partitions);
void users_walk_free(struct users_walk *walk);

/* Calls `found` with a row of heddle_look_lanes, a JSON object that is borrowed for the call. */
typedef void users_found_function(void *argument, struct heddle_text row);

/* The next page; `*is_last` at the end of the last one, after which the walk begins anew. After a
 * failure too. */
heddle_status users_walk_next(struct users_walk *walk, users_found_function *found, void *argument,
                              bool *is_last, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
