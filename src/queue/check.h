/* Checking the queue: what contradicts the invariants of lua/library.lua is found and, where asked
 * for, mended, page by page beside live traffic. Each judgement and its mending are one call of a
 * function in lua/check.lua. On the caller's thread and link. */
#ifndef QUEUE_CHECK_H
#define QUEUE_CHECK_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stdint.h>

struct redis_link;
struct redis_reply;

/* Kinds: ready_lost, ghost, two_states, orphan_claim, stale_beat, stale_idle, no_record,
 * record_lost, endless_key, endless_wait, stray_reason, stray_in_line, stray_slot, stray_key,
 * stray_count; and stray_wish, which queue_check_wishes finds. */
struct queue_finding {
    const char *kind;
    unsigned partition;
    struct heddle_text lane; /* empty where it is not about one lane */
    const char *text;        /* what is wrong, in a few words */
    bool is_mended;
};

/* Everything is borrowed for the call. */
typedef void queue_finding_function(void *argument, const struct queue_finding *finding);

struct queue_check {
    struct redis_link *link;
    unsigned partitions;
    bool repairs;
    int64_t result_ttl_ms; /* for replies that are delivered, and keys without an end */
    queue_finding_function *report;
    void *argument;
};

struct queue_census {
    int64_t operations, scheduled, lanes, ready, claimed, waiting, halted, processors;
};

/* Adds what a partition answers to heddle_census. */
void queue_census_add(struct queue_census *census, const struct redis_reply *reply);

/* Counts everything and looks at everything but wishes. An operation of the journal that stands in
 * no lane is forgotten in Redis by the repair: the journal puts it back (engine/reconcile.h).
 * Statuses are those of link/redis.h. */
heddle_status queue_check_lanes(const struct queue_check *check, struct queue_census *census,
                                struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Calls `found` for replies that are wanted of operations that Redis does not have. They may be on
 * their way: whoever settled one has a moment to deliver its result. Only the ledger can tell. */
typedef void queue_wish_function(void *argument, unsigned partition, struct heddle_text id);
heddle_status queue_check_wishes(const struct queue_check *check, queue_wish_function *found,
                                 void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Reports the wish if it is still there; the repair delivers `result`, if it is not empty, and
 * takes the wish away. */
heddle_status queue_check_wish(const struct queue_check *check, unsigned partition, const char *id,
                               struct heddle_text result,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
