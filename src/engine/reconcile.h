/* The reconciler: compares the journal with Redis, page after page, and rebuilds lanes of which
 * Redis has lost operations. Runs on the relay's thread, with its links. */
#ifndef ENGINE_RECONCILE_H
#define ENGINE_RECONCILE_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"
#include "queue/command.h"

struct pg_link;
struct redis_link;

struct reconciler {
    struct pg_link *pg;       /* borrowed */
    struct redis_link *redis; /* borrowed */
    struct command *command;  /* borrowed */
    unsigned partitions;
    struct arena arena;
    char user[HEDDLE_USER_SIZE_MAX + 1]; /* where the next page begins */
    int64_t seq;
};

void reconciler_init(struct reconciler *reconciler, struct pg_link *pg, struct redis_link *redis,
                     struct command *command, unsigned partitions);
void reconciler_done(struct reconciler *reconciler);

/* Compares the next page; `*is_last` where the pass is through, and the next call begins anew. */
heddle_status reconciler_step(struct reconciler *reconciler, bool *is_last,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Rebuilds one lane. */
heddle_status reconciler_rebuild(struct reconciler *reconciler, struct heddle_text lane,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Sets a Redis up again that has lost everything: the journal knows how. One that is whole stays
 * as it is, and so does one that nobody ever set up. */
heddle_status reconcile_set_up(struct pg_link *pg, struct redis_link *redis,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
