/* What bundle.c and bundle_unit.c share. */
#ifndef ENGINE_BUNDLE_INTERNAL_H
#define ENGINE_BUNDLE_INTERNAL_H

#include "engine/bundle.h"

#include "engine/board.h"
#include "engine/roster.h"
#include "engine/task.h"
#include "ledger/receipts.h"
#include "ledger/uow.h"
#include "queue/lanes.h"

/* One of its operations. */
struct bundle_item {
    struct claimed_operation *claimed;
    const struct heddle_handler *handler;
    struct heddle_task task;
    heddle_status status;   /* of its last phase */
    struct outcome outcome; /* how it ends, where the bundle does not fail */
};

/* The operations of a claim that are in it. */
struct bundle_lane {
    struct claim *claim;
    struct userlock *lock;
    struct bundle_item *items;
    size_t count, next; /* how many there are; the first that was not applied yet */
    struct settlement part;
};

struct bundle {
    struct runner_shared *shared;
    struct pg_link *link;
    struct arena *arena;
    struct post *post;
    enum claim_way way;
    int64_t started_us;
    int64_t applied_us;   /* when all were applied; 0: not yet */
    int64_t operation_us; /* what one takes: a moving average */
    size_t capacity;      /* of each of the following */
    struct bundle_item *items;
    struct post_entry *entries; /* as many as items, in their order */
    struct bundle_item **layer; /* those that are applied together, and their tasks */
    struct heddle_task **tasks;
    struct receipt *receipts;
    size_t count;
    struct bundle_lane lanes[BOARD_LANES_MAX];
    size_t lane_count;
    struct heddle_uow uow;
    int savepoints;
};

/* How the claim's operation at `index` is to be executed; `handler` is its own, held, or NULL. */
enum claim_way bundle_way_by(const struct runner_shared *shared,
                             const struct heddle_handler *handler, const struct claim *claim,
                             size_t index);

/* Executes what was collected, in one unit of work. Lanes may come out shorter. Not HEDDLE_OK:
 * nothing has happened; `*is_set_at_fault`: apply_many failed, apply may not. */
heddle_status bundle_run_unit(struct bundle *bundle, bool *is_set_at_fault,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Checks the operation; a refusal is its outcome. */
void bundle_check(struct bundle_item *item);

/* What a phase that returned item->status makes of it; it has no outcome where that is to be found
 * out alone. */
void bundle_judge(struct bundle_item *item, struct heddle_error *err);

/* Tell plugins that its operations are about to be executed, and what came of it. */
void bundle_tell_start(struct bundle *bundle);
void bundle_tell_end(struct bundle *bundle);

/* The latency bound has passed, or all shall end: nothing more is begun that can wait. */
bool bundle_is_late(const struct bundle *bundle);

/* The lane's operation at `place` and those behind it are not in the bundle; with _send_alone, it
 * goes alone next time. */
void bundle_cut(struct bundle_lane *lane, size_t place);
void bundle_send_alone(struct bundle_lane *lane, size_t place);

/* Keeps the result for clients, in the claim. */
void bundle_keep_result(struct bundle_item *item);

/* The ledger keeps its outcome. */
bool bundle_has_row(const struct bundle_item *item);

#endif
