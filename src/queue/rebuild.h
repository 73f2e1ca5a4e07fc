/* The queue as the journal's cache: what it has lost, and putting it back. One round trip each, on
 * the caller's thread and link. */
#ifndef QUEUE_REBUILD_H
#define QUEUE_REBUILD_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"
#include "queue/command.h"

#include <stdbool.h>
#include <stddef.h>

struct redis_link;

/* Says for each id whether the partition has it queued. */
heddle_status rebuild_find_missing(struct redis_link *link, struct command *command,
                                   unsigned partition, const struct heddle_text *ids, size_t count,
                                   bool *is_missing, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Operations of a lane, of one class, that have not ended, in the journal's order. */
struct rebuild_page {
    struct heddle_text lane;
    const char *after; /* the id of the one before them; NULL: they are the first */
    const struct heddle_operation *operations;
    size_t count;
};

/* Those that Redis has lost, or has before others that come first, go to their places; every other
 * operation stays where it is. `*missing` counts what was lost among the first `*looked_at`, which
 * is at least one: a queue that is long between two of them ends the call. */
heddle_status rebuild_lane(struct redis_link *link, struct command *command, unsigned partition,
                           const struct rebuild_page *page, size_t *missing, size_t *looked_at,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A lane that waits for a decision about its first operation. */
struct rebuild_halt {
    struct heddle_text lane;
    const char *id;
    bool has_failed; /* else nobody knows its kind */
};

/* The partition's next ones, in the arena; `cursor` is "0" at first, and again after the last. */
heddle_status rebuild_find_halts(struct redis_link *link, struct command *command,
                                 unsigned partition, char cursor[24], struct arena *arena,
                                 struct rebuild_halt **halts, size_t *count,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Those that are decided go on; a lane about which nothing is decided would only halt again. */
heddle_status rebuild_look(struct redis_link *link, struct command *command, unsigned partition,
                           const struct rebuild_halt *halts, const bool *is_decided, size_t count,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
