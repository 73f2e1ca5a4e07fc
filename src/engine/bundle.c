/* See bundle.h; for what happens in the unit of work see bundle_unit.c. */
#include "engine/bundle_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/handlers.h"
#include "engine/hooks.h"

#include <stdlib.h>
#include <string.h>

enum {
    AVERAGE_SHIFT = 3, /* a new cost counts for an eighth */
    FIRST_DEPTH = 8,   /* operations, as long as nothing is known */
};

static void take_lanes(struct bundle *bundle, const struct claim_list *claims);
static int compare_lanes(const void *a, const void *b);
static void collect(struct bundle *bundle);
static void collect_lane(struct bundle *bundle, struct bundle_lane *lane);
static bool collect_one(struct bundle *bundle, struct bundle_lane *lane);
static void run_pure(struct bundle *bundle);
static struct outcome refusal_of(struct bundle_item *item, struct heddle_error *err);
static void fall_back(struct bundle *bundle, bool is_set_at_fault);
static size_t conclude(struct bundle *bundle);
static void settle(struct bundle *bundle, struct claim_list *claims, size_t ended);
static void clear(struct bundle *bundle);

struct bundle *bundle_new(struct runner_shared *shared, struct pg_link *link, struct arena *arena)
{
    const size_t capacity =
        shared->options->bundle_max > 1 ? (size_t)shared->options->bundle_max : 1;
    struct bundle *bundle = memory_take_zeroed(1, sizeof *bundle);

    bundle->shared = shared;
    bundle->link = link;
    bundle->arena = arena;
    bundle->capacity = capacity;
    bundle->items = memory_take(capacity * sizeof *bundle->items);
    bundle->entries = memory_take(capacity * sizeof *bundle->entries);
    bundle->layer = memory_take(capacity * sizeof *bundle->layer);
    bundle->tasks = memory_take(capacity * sizeof *bundle->tasks);
    bundle->receipts = memory_take(capacity * sizeof *bundle->receipts);
    bundle->operation_us = shared->options->bundle_us / FIRST_DEPTH + 1;
    return bundle;
}

void bundle_free(struct bundle *bundle)
{
    if (!bundle)
        return;
    free(bundle->items);
    free(bundle->entries);
    free(bundle->layer);
    free(bundle->tasks);
    free(bundle->receipts);
    free(bundle);
}

struct appetite bundle_appetite(const struct bundle *bundle)
{
    const int64_t within = bundle->shared->options->bundle_us / bundle->operation_us;
    const size_t operations = within < 1                          ? 1
                              : (size_t)within < bundle->capacity ? (size_t)within
                                                                  : bundle->capacity;

    return (struct appetite){BOARD_LANES_MAX, operations};
}

bool bundle_is_worth(const struct bundle *bundle, const struct claim_list *claims)
{
    const struct claim *claim = claims->first;

    if (claim->way == WAY_ALONE)
        return false;
    if (claims->count > 1 || claim->operation_count - claim->done > 1)
        return true;
    const struct heddle_handler *handler =
        handlers_hold(bundle->shared->handlers, claim->operations[claim->done].operation.op);
    const bool is_worth = claim->way == WAY_BUNDLE && handler && handler->apply_many;
    handlers_release(bundle->shared->handlers, handler);
    return is_worth;
}

void bundle_execute(struct bundle *bundle, struct claim_list *claims, struct post *post)
{
    struct heddle_error err = {0};
    bool is_set_at_fault = false;

    if (atomic_load(&bundle->shared->is_stopping))
        return;
    bundle->post = post;
    bundle->way = claims->first->way;
    bundle->started_us = clock_now_us();
    bundle->applied_us = 0;
    take_lanes(bundle, claims);
    collect(bundle);
    if (bundle->count == 0)
        return;
    post_enter_bundle(post, bundle->entries, bundle->count);
    bundle_tell_start(bundle);
    heddle_status status = HEDDLE_OK;
    if (bundle->way == WAY_PURE)
        run_pure(bundle);
    else
        status = bundle_run_unit(bundle, &is_set_at_fault, &err);
    size_t ended = 0;
    if (status == HEDDLE_OK) {
        ended = conclude(bundle);
    } else {
        hooks_error(bundle->shared->options->hooks, NULL, &err);
        heddle_log(HEDDLE_LOG_INFO, "bundle_failed",
                   "operations=%zu lanes=%zu where=%s sqlstate=%s text=%s", bundle->count,
                   bundle->lane_count, *err.where ? err.where : "-",
                   *err.sqlstate ? err.sqlstate : "-", LOG_TEXT(err.text));
        fall_back(bundle, is_set_at_fault);
    }
    bundle_tell_end(bundle);
    post_leave(post);
    settle(bundle, claims, ended);
    clear(bundle);
}

bool bundle_is_late(const struct bundle *bundle)
{
    return clock_now_us() - bundle->started_us >= bundle->shared->options->bundle_us ||
           atomic_load(&bundle->shared->is_stopping);
}

void bundle_cut(struct bundle_lane *lane, size_t place)
{
    lane->count = place;
}

void bundle_send_alone(struct bundle_lane *lane, size_t place)
{
    struct claim *claim = lane->claim;

    bundle_cut(lane, place);
    if (claim->alone_until < claim->done + place + 1)
        claim->alone_until = claim->done + place + 1;
}

/* In the order of their names, so that two workers who take several never wait for each other in a
 * circle. A lane that comes twice, because its lease had run out, is taken once. */
static void take_lanes(struct bundle *bundle, const struct claim_list *claims)
{
    size_t count = 0;

    for (struct claim *claim = claims->first; claim && count < BOARD_LANES_MAX; claim = claim->next)
        bundle->lanes[count++] = (struct bundle_lane){.claim = claim};
    qsort(bundle->lanes, count, sizeof *bundle->lanes, compare_lanes);
    bundle->lane_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct bundle_lane *lane = &bundle->lanes[bundle->lane_count];
        if (bundle->lane_count > 0 && compare_lanes(lane - 1, &bundle->lanes[i]) == 0)
            continue;
        *lane = bundle->lanes[i];
        lane->lock = userlock_acquire(bundle->shared->locks, lane->claim->lane);
        bundle->lane_count++;
    }
}

static int compare_lanes(const void *a, const void *b)
{
    const struct bundle_lane *first = a, *second = b;

    return strcmp(first->claim->lane.data, second->claim->lane.data);
}

/* A lane without operations that go this way (one was cancelled meanwhile, or there is no room) is
 * none of the bundle's. */
static void collect(struct bundle *bundle)
{
    size_t kept = 0;

    bundle->count = 0;
    for (size_t i = 0; i < bundle->lane_count; i++) {
        struct bundle_lane *lane = &bundle->lanes[kept];
        *lane = bundle->lanes[i];
        collect_lane(bundle, lane);
        if (lane->count > 0)
            kept++;
        else
            userlock_release(bundle->shared->locks, lane->lock);
    }
    bundle->lane_count = kept;
}

/* The lane's next operations, as many as go this way. */
static void collect_lane(struct bundle *bundle, struct bundle_lane *lane)
{
    const size_t most = bundle_appetite(bundle).operations;

    lane->items = &bundle->items[bundle->count];
    lane->count = lane->next = 0;
    while (bundle->count < most && lane->claim->done + lane->count < lane->claim->operation_count &&
           collect_one(bundle, lane))
        lane->count++;
}

/* What it holds is released when the bundle is cleared. */
static bool collect_one(struct bundle *bundle, struct bundle_lane *lane)
{
    struct claim *claim = lane->claim;
    struct claimed_operation *claimed = &claim->operations[claim->done + lane->count];
    struct bundle_item *item = &bundle->items[bundle->count];

    const struct heddle_handler *handler =
        handlers_hold(bundle->shared->handlers, claimed->operation.op);
    if (bundle_way_by(bundle->shared, handler, claim, claim->done + lane->count) != bundle->way) {
        handlers_release(bundle->shared->handlers, handler);
        return false;
    }
    *item = (struct bundle_item){.claimed = claimed, .handler = handler};
    task_init(&item->task, claim, claimed, handler, bundle->arena, bundle->link);
    item->task.together = post_cause(bundle->post);
    bundle->entries[bundle->count++] =
        (struct post_entry){claim, claimed, (int)(lane - bundle->lanes)};
    return true;
}

void bundle_check(struct bundle_item *item)
{
    struct heddle_error err;

    heddle_status status = task_check(&item->task, &err);
    if (status == HEDDLE_OK && item->handler->check)
        status = item->handler->check(&item->task, &err);
    item->status = status;
    if (status == HEDDLE_REFUSED)
        item->outcome = refusal_of(item, &err);
}

static void run_pure(struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->lane_count; i++) {
        struct bundle_lane *lane = &bundle->lanes[i];
        for (size_t place = 0; place < lane->count; place++) {
            struct bundle_item *item = &lane->items[place];
            struct heddle_error err;
            const int64_t started_us = clock_now_us();
            if (place + i > 0 && bundle_is_late(bundle)) {
                bundle_cut(lane, place);
                break;
            }
            post_point(bundle->post, &bundle->entries[item - bundle->items]);
            bundle_check(item);
            if (item->status == HEDDLE_OK) {
                item->status =
                    item->handler->prepare ? item->handler->prepare(&item->task, &err) : HEDDLE_OK;
                if (item->status == HEDDLE_OK)
                    item->status = task_check_result(
                        &item->task, bundle->shared->options->result_bytes_max, &err);
                bundle_judge(item, &err);
            }
            if (item->outcome.end == HEDDLE_END_NONE)
                bundle_send_alone(lane, place);
            handlers_note(bundle->shared->handlers, item->handler, clock_now_us() - started_us);
        }
    }
}

void bundle_judge(struct bundle_item *item, struct heddle_error *err)
{
    if (item->status == HEDDLE_OK && item->task.refusal)
        item->outcome = refusal_of(item, item->task.refusal);
    else if (item->status == HEDDLE_OK)
        item->outcome = outcome_done(item->task.result);
    else if (item->status == HEDDLE_REFUSED && err->kind != HEDDLE_KIND_CANCELLED)
        item->outcome = refusal_of(item, err);
}

static struct outcome refusal_of(struct bundle_item *item, struct heddle_error *err)
{
    hooks_error(item->task.hooks, item->task.operation, err);
    return outcome_failed(HEDDLE_END_FAILED, err, item->task.arena);
}

/* Nothing of it has happened. */
static void fall_back(struct bundle *bundle, bool is_set_at_fault)
{
    for (size_t i = 0; i < bundle->lane_count; i++) {
        struct bundle_lane *lane = &bundle->lanes[i];
        struct claim *claim = lane->claim;
        size_t *until = is_set_at_fault ? &claim->careful_until : &claim->alone_until;
        if (*until < claim->done + lane->count)
            *until = claim->done + lane->count;
        lane->count = 0;
    }
}

/* What was executed has ended; returns how many. */
static size_t conclude(struct bundle *bundle)
{
    size_t ended = 0;

    post_phase(bundle->post, PHASE_AFTER);
    for (size_t i = 0; i < bundle->lane_count; i++)
        for (size_t place = 0; place < bundle->lanes[i].count; place++, ended++) {
            struct bundle_item *item = &bundle->lanes[i].items[place];
            struct claimed_operation *claimed = item->claimed;
            if (bundle->way == WAY_PURE)
                bundle_keep_result(item);
            claimed->end = item->outcome.end;
            claimed->sends_result = claimed->wants_reply || !bundle_has_row(item);
            if (item->outcome.end == HEDDLE_END_DONE && item->handler->after_commit) {
                post_point(bundle->post, &bundle->entries[item - bundle->items]);
                item->handler->after_commit(&item->task);
            }
            if (heddle_log_enabled(HEDDLE_LOG_DEBUG))
                heddle_log(HEDDLE_LOG_DEBUG, "operation_ended", "id=%s lane=%s op=%s bundle=%zu",
                           claimed->operation.id, LOG_TEXT(bundle->lanes[i].claim->lane.data),
                           claimed->operation.op.data, bundle->count);
        }
    return ended;
}

void bundle_keep_result(struct bundle_item *item)
{
    item->claimed->result =
        outcome_format(&item->outcome, item->claimed->operation.id, &item->task.claim->arena);
}

bool bundle_has_row(const struct bundle_item *item)
{
    return item->claimed->is_journaled ||
           !handlers_is_row_less(item->handler, item->task.operation);
}

/* The time is shared evenly among the operations. */
static void settle(struct bundle *bundle, struct claim_list *claims, size_t ended)
{
    const int64_t took_us = clock_now_us() - bundle->started_us;
    const int64_t applied_us =
        bundle->applied_us ? bundle->applied_us - bundle->started_us : took_us;
    struct claim_list rest;
    struct claim *claim;

    if (ended > 0) {
        /* A COMMIT takes as long for few as for many. */
        int64_t each_us = applied_us / (int64_t)ended + 1;
        bundle->operation_us += (each_us - bundle->operation_us) / (1 << AVERAGE_SHIFT);
        if (bundle->operation_us < 1)
            bundle->operation_us = 1;
    }
    for (size_t i = 0; i < bundle->lane_count; i++) {
        struct bundle_lane *lane = &bundle->lanes[i];
        userlock_release(bundle->shared->locks, lane->lock);
        lane->part = (struct settlement){
            .claim = lane->claim,
            .disposition = LANE_KEEP,
            .first = lane->claim->done,
            .count = lane->count,
            .cost_us = ended > 0 ? took_us * (int64_t)lane->count / (int64_t)ended : 0,
        };
        lane->claim->done += lane->count;
    }
    claim_list_init(&rest);
    while ((claim = claim_list_pop(claims)))
        if (claim->done < claim->operation_count)
            claim_list_push(&rest, claim);
    *claims = rest;
    if (rest.count == 0)
        claims->last = &claims->first;
    for (size_t i = 0; i < bundle->lane_count; i++) {
        struct bundle_lane *lane = &bundle->lanes[i];
        if (lane->claim->done == lane->claim->operation_count)
            lane->part.disposition = LANE_RELEASE;
        if (lane->count > 0)
            settler_take(bundle->shared->settler, &lane->part);
    }
}

static void clear(struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->count; i++) {
        task_forget(&bundle->items[i].task);
        handlers_release(bundle->shared->handlers, bundle->items[i].handler);
    }
    arena_reset(bundle->arena);
    bundle->count = bundle->lane_count = 0;
}
