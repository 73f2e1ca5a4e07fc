/* What partitions have of a user who leaves, and who has been idle for long: lua/leave.lua. On the
 * caller's thread and link; the statuses are those of link/redis.h. */
#ifndef QUEUE_LEAVERS_H
#define QUEUE_LEAVERS_H

#include "heddle/error.h"
#include "queue/claim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis_link;

/* Called with each of the user's operations, which is borrowed; may use the link. */
typedef heddle_status leavers_found_function(void *argument,
                                             const struct claimed_operation *operation,
                                             struct heddle_error *err);

/* All operations that the user's partition has of them, in no order; one that comes or goes
 * meanwhile may be left out, and one that changes be seen twice. Ends where `found` fails. */
heddle_status leavers_walk(struct redis_link *link, unsigned partitions, const char *user,
                           leavers_found_function *found, void *argument,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Forgets the user's unique keys, and what counts for limits. */
heddle_status leavers_forget(struct redis_link *link, unsigned partitions, const char *user,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Forgets results of the user's operations: a list `{ID,…}`. */
heddle_status leavers_forget_results(struct redis_link *link, unsigned partitions, const char *user,
                                     const char *ids, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A user without operations in the queue, who was seen last then (wall clock). */
struct idle_user {
    char user[HEDDLE_USER_SIZE_MAX + 1];
    int64_t seen_ms;
};

enum { IDLE_USERS_MAX = 20 };

/* Some users of a partition that were not seen since `before_ms`, IDLE_USERS_MAX at most. Who is
 * seen is noted from the first call on, until leavers_ignore. */
heddle_status leavers_idle(struct redis_link *link, unsigned partition, int64_t before_ms,
                           struct idle_user users[IDLE_USERS_MAX], size_t *count,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Forgets that the user was ever seen, unless they were since, or have operations, or may not go:
 * then they are seen now. */
heddle_status leavers_settle(struct redis_link *link, unsigned partition,
                             const struct idle_user *user, bool may_go,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Nobody wants to know any more. */
heddle_status leavers_ignore(struct redis_link *link, unsigned partitions,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
