/* The reconciler: compares the journal with Redis, page after page, and puts back what Redis has
 * lost. Runs on the relay's thread, with its links; or once through, for a command: pass.h. */
#ifndef ENGINE_RECONCILE_H
#define ENGINE_RECONCILE_H

#include "base/arena.h"
#include "engine/pass.h"
#include "heddle/error.h"
#include "heddle/operation.h"
#include "queue/command.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_link;
struct redis_link;

struct reconciler {
    struct pg_link *pg;       /* borrowed */
    struct redis_link *redis; /* borrowed */
    struct command *command;  /* borrowed */
    unsigned partitions;
    struct arena arena, lane_arena;      /* of a page, of a lane's part that is put back */
    char user[HEDDLE_USER_SIZE_MAX + 1]; /* where the next page begins */
    enum heddle_priority class;
    int64_t seq;
    char adrift_id[HEDDLE_ID_SIZE + 1]; /* the same of direct operations */

    const struct pass *pass; /* what a command wants of its pass; NULL: as the relay does */
    struct pass_counts counts;
};

void reconciler_init(struct reconciler *reconciler, struct pg_link *pg, struct redis_link *redis,
                     struct command *command, unsigned partitions);
void reconciler_done(struct reconciler *reconciler);

/* Compares the next page; `*is_last` where the pass is through, and the next call begins anew. */
heddle_status reconciler_step(struct reconciler *reconciler, bool *is_last,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Puts back what Redis has lost of the lane's first operations. */
heddle_status reconciler_rebuild(struct reconciler *reconciler, struct heddle_text lane,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
