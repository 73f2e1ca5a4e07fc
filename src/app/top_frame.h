/* What `heddle top` shows, gathered at a moment. Main thread. */
#ifndef APP_TOP_FRAME_H
#define APP_TOP_FRAME_H

#include "app/ranking.h"
#include "heddle/error.h"

#include <jansson.h>
#include <stdint.h>

struct redis_link;
struct users_walk;

struct top_source {
    struct redis_link *link;
    unsigned partitions;
    struct users_walk *walk; /* a part of it at each frame */
    struct ranking backlogs; /* of the walk that is under way */
    json_t *users;           /* of the last whole one; NULL: there was none */
};

/* Borrows the link. */
void top_source_init(struct top_source *source, struct redis_link *link, unsigned partitions);
void top_source_done(struct top_source *source);

/* The frame: at_ms, operations {done, failed, dead, cancelled: a second}, latency_ms {p50, p99},
 * queued, lanes {ready, claimed, waiting, halted}, processors (their reports; those that do not
 * answer have a state `silent`, or `late` where they do not beat either), running (what workers
 * run, the longest first), users (the largest backlogs first). Walks through users for `walk_ms`.
 * The caller frees it. */
heddle_status top_frame(struct top_source *source, int64_t walk_ms, json_t **frame,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
