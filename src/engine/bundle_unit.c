/* The unit of work of a bundle. Runs on a worker's thread; see bundle.h.
 *
 * Operations are applied in layers: all lanes' next operations of one handler together, then those
 * of the next handler, so that each lane keeps its order. */
#include "engine/bundle_internal.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fault.h"
#include "engine/handlers.h"
#include "ledger/ledger.h"
#include "link/pg.h"

#include <string.h>

/* A transaction of more subtransactions makes every snapshot of the server look at the disk.
 * Source: PostgreSQL, src/include/storage/proc.h, PGPROC_MAX_CACHED_SUBXIDS. */
enum { SAVEPOINTS_MAX = 64 };

static void check_all(struct bundle *bundle);
static heddle_status begin(struct bundle *bundle, struct heddle_error *err);
static heddle_status apply_layers(struct bundle *bundle, bool *is_set_at_fault,
                                  struct heddle_error *err);
static const struct heddle_handler *next_handler(const struct bundle *bundle);
static bool is_next(const struct bundle_lane *lane, const struct heddle_handler *handler);
static heddle_status apply_set(struct bundle *bundle, const struct heddle_handler *handler,
                               bool *is_set_at_fault, struct heddle_error *err);
static heddle_status apply_each(struct bundle *bundle, const struct heddle_handler *handler,
                                struct heddle_error *err);
static heddle_status apply_one(struct bundle *bundle, struct bundle_lane *lane,
                               struct heddle_error *err);
static heddle_status try_one(struct bundle *bundle, struct bundle_item *item,
                             struct heddle_error *err);
static heddle_status end_apply(const struct bundle *bundle, struct bundle_item *item,
                               heddle_status status, struct heddle_error *err);
static heddle_status enter_one(struct bundle *bundle, const struct bundle_item *item,
                               struct heddle_error *err);
static bool is_pure_read(const struct bundle_item *item);
static struct receipt receipt_of(const struct bundle_item *item);
static heddle_status end(struct bundle *bundle, heddle_status status, struct heddle_error *err);
static heddle_status follow_up(struct bundle *bundle, struct heddle_error *err);
static heddle_status write_ends(struct bundle *bundle, struct heddle_error *err);

heddle_status bundle_run_unit(struct bundle *bundle, bool *is_set_at_fault,
                              struct heddle_error *err)
{
    bundle->savepoints = 0;
    *is_set_at_fault = false;
    check_all(bundle);
    post_phase(bundle->post, PHASE_APPLY);
    heddle_status status = uow_begin(&bundle->uow, bundle->link, false, err);
    if (status != HEDDLE_OK)
        return status;
    status = begin(bundle, err);
    if (status == HEDDLE_OK)
        status = apply_layers(bundle, is_set_at_fault, err);
    bundle->applied_us = clock_now_us();
    status = end(bundle, status, err);
    *is_set_at_fault = *is_set_at_fault && pg_is_connected(bundle->link);
    return status;
}

/* Before anything is asked of Postgres. */
static void check_all(struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->lane_count; i++) {
        struct bundle_lane *lane = &bundle->lanes[i];
        for (size_t place = 0; place < lane->count; place++) {
            bundle_check(&lane->items[place]);
            if (lane->items[place].status != HEDDLE_OK &&
                lane->items[place].outcome.end == HEDDLE_END_NONE)
                bundle_send_alone(lane, place);
        }
    }
}

static heddle_status begin(struct bundle *bundle, struct heddle_error *err)
{
    int64_t keys[BOARD_LANES_MAX];

    for (size_t i = 0; i < bundle->lane_count; i++)
        keys[i] = digest_lane_key(bundle->lanes[i].claim->lane);
    return receipts_lock(&bundle->uow, keys, bundle->lane_count, bundle->arena, err);
}

static heddle_status apply_layers(struct bundle *bundle, bool *is_set_at_fault,
                                  struct heddle_error *err)
{
    const struct heddle_handler *handler;
    heddle_status status = HEDDLE_OK;

    while (status == HEDDLE_OK && (handler = next_handler(bundle)))
        status = bundle->way == WAY_BUNDLE && handler->apply_many
                     ? apply_set(bundle, handler, is_set_at_fault, err)
                     : apply_each(bundle, handler, err);
    return status;
}

/* NULL where all is applied. */
static const struct heddle_handler *next_handler(const struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->lane_count; i++)
        if (bundle->lanes[i].next < bundle->lanes[i].count)
            return bundle->lanes[i].items[bundle->lanes[i].next].handler;
    return NULL;
}

static bool is_next(const struct bundle_lane *lane, const struct heddle_handler *handler)
{
    return lane->next < lane->count && lane->items[lane->next].handler == handler;
}

/* Those that are refused take their places too. */
static heddle_status apply_set(struct bundle *bundle, const struct heddle_handler *handler,
                               bool *is_set_at_fault, struct heddle_error *err)
{
    const int64_t started_us = clock_now_us();
    size_t entered = 0, count = 0;

    for (size_t i = 0; i < bundle->lane_count; i++)
        for (struct bundle_lane *lane = &bundle->lanes[i]; is_next(lane, handler); lane->next++) {
            struct bundle_item *item = &lane->items[lane->next];
            bundle->receipts[entered++] = receipt_of(item);
            if (item->outcome.end != HEDDLE_END_NONE)
                continue;
            task_begin_apply(&item->task, handler);
            bundle->layer[count] = item;
            bundle->tasks[count++] = &item->task;
        }
    heddle_status status =
        receipts_enter(&bundle->uow, bundle->receipts, entered, bundle->arena, err);
    if (status != HEDDLE_OK || count == 0)
        return status;
    status = handler->apply_many(bundle->tasks, count, &bundle->uow, err);
    for (size_t i = 0; i < count; i++)
        status = end_apply(bundle, bundle->layer[i], status, err);
    if (status != HEDDLE_OK) {
        *is_set_at_fault = !receipts_have_failed(err);
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        bundle->layer[i]->status = HEDDLE_OK;
        bundle_judge(bundle->layer[i], err);
    }
    handlers_note(bundle->shared->handlers, handler,
                  (clock_now_us() - started_us) / (int64_t)count + 1);
    return HEDDLE_OK;
}

static heddle_status apply_each(struct bundle *bundle, const struct heddle_handler *handler,
                                struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; status == HEDDLE_OK && i < bundle->lane_count; i++) {
        struct bundle_lane *lane = &bundle->lanes[i];
        while (status == HEDDLE_OK && is_next(lane, handler)) {
            bool is_first = bundle->savepoints == 0;
            if (bundle->savepoints == SAVEPOINTS_MAX || (!is_first && bundle_is_late(bundle)))
                bundle_cut(lane, lane->next);
            else
                status = apply_one(bundle, lane, err);
        }
    }
    post_point(bundle->post, NULL);
    return status;
}

/* In a savepoint. Not HEDDLE_OK: the unit of work is lost. */
static heddle_status apply_one(struct bundle *bundle, struct bundle_lane *lane,
                               struct heddle_error *err)
{
    struct bundle_item *item = &lane->items[lane->next];
    const int64_t started_us = clock_now_us();
    const bool is_read = is_pure_read(item);
    struct heddle_error of_rollback; /* hides nothing */

    if (item->outcome.end != HEDDLE_END_NONE && !item->claimed->is_journaled) {
        lane->next++;
        return HEDDLE_OK;
    }
    /* Cancelled before it has begun. */
    if (claimed_cancel_cause(item->claimed) != CANCEL_NONE) {
        bundle_cut(lane, lane->next);
        return HEDDLE_OK;
    }
    bundle->savepoints++;
    post_point(bundle->post, &bundle->entries[item - bundle->items]);
    post_phase(bundle->post, PHASE_APPLY);
    const bool was_refused = item->outcome.end != HEDDLE_END_NONE;
    item->status = try_one(bundle, item, err);
    if (!was_refused)
        bundle_judge(item, err);
    else if (item->status != HEDDLE_OK)
        item->outcome = (struct outcome){0}; /* the ledger would not have it end now */
    handlers_note(bundle->shared->handlers, item->handler, clock_now_us() - started_us);
    /* What a read did is forgotten with its savepoint, which also ends READ ONLY. One that is
     * refused has no effects, but its place in the journal. */
    heddle_status status = HEDDLE_OK;
    if (item->status != HEDDLE_OK || is_read)
        status = uow_rollback_to(&bundle->uow, item->status == HEDDLE_OK ? err : &of_rollback);
    if (item->outcome.end == HEDDLE_END_NONE) {
        bundle_send_alone(lane, lane->next);
        return status;
    }
    if (status == HEDDLE_OK && item->status != HEDDLE_OK)
        status = enter_one(bundle, item, err);
    lane->next++;
    return status;
}

static heddle_status try_one(struct bundle *bundle, struct bundle_item *item,
                             struct heddle_error *err)
{
    struct heddle_uow *uow = &bundle->uow;

    heddle_status status = uow_savepoint(uow, err);
    if (status == HEDDLE_OK && is_pure_read(item))
        status = uow_read_only(uow, err);
    if (status == HEDDLE_OK)
        status = enter_one(bundle, item, err);
    if (status == HEDDLE_OK && item->outcome.end == HEDDLE_END_NONE) {
        task_begin_apply(&item->task, item->handler);
        status = item->handler->apply(&item->task, uow, err);
        status = end_apply(bundle, item, status, err);
    }
    /* What it only sent fails here, and not in the name of the next. */
    return status == HEDDLE_OK ? uow_flush(uow, err) : status;
}

static heddle_status end_apply(const struct bundle *bundle, struct bundle_item *item,
                               heddle_status status, struct heddle_error *err)
{
    return task_end_apply(&item->task, status, bundle->shared->options->result_bytes_max, err);
}

static heddle_status enter_one(struct bundle *bundle, const struct bundle_item *item,
                               struct heddle_error *err)
{
    const struct receipt receipt = receipt_of(item);

    return receipts_enter(&bundle->uow, &receipt, 1, bundle->arena, err);
}

/* The ledger has no row of it, and needs none. */
static bool is_pure_read(const struct bundle_item *item)
{
    return !item->claimed->is_journaled &&
           handlers_is_row_less(item->handler, item->task.operation);
}

static struct receipt receipt_of(const struct bundle_item *item)
{
    return (struct receipt){item->task.operation, &item->outcome, item->claimed->is_journaled};
}

static heddle_status end(struct bundle *bundle, heddle_status status, struct heddle_error *err)
{
    if (status == HEDDLE_OK)
        status = follow_up(bundle, err);
    if (status == HEDDLE_OK)
        status = write_ends(bundle, err);
    fault_point("effects_queued");
    if (status == HEDDLE_OK)
        status = uow_commit(&bundle->uow, err);
    else
        uow_rollback(&bundle->uow);
    fault_point("effects_ended");
    return status;
}

/* Of those whose savepoints stand; a lane's in the order of its operations. */
static heddle_status follow_up(struct bundle *bundle, struct heddle_error *err)
{
    size_t count = 0;

    for (size_t i = 0; i < bundle->lane_count; i++)
        for (size_t place = 0; place < bundle->lanes[i].count; place++)
            if (bundle->lanes[i].items[place].outcome.end == HEDDLE_END_DONE)
                bundle->tasks[count++] = &bundle->lanes[i].items[place].task;
    return task_follow_up(bundle->tasks, count, &bundle->uow, bundle->arena, err);
}

/* The results too, while the rows are there that they stand in. */
static heddle_status write_ends(struct bundle *bundle, struct heddle_error *err)
{
    size_t count = 0;

    for (size_t i = 0; i < bundle->lane_count; i++)
        for (size_t place = 0; place < bundle->lanes[i].count; place++) {
            struct bundle_item *item = &bundle->lanes[i].items[place];
            bundle_keep_result(item);
            if (item->handler->after_commit && item->task.result)
                item->task.result =
                    arena_copy(bundle->arena, item->task.result, strlen(item->task.result));
            if (bundle_has_row(item))
                bundle->receipts[count++] = receipt_of(item);
        }
    return receipts_write(&bundle->uow, bundle->receipts, count, bundle->arena, err);
}
