/* See settler.h. */
#include "engine/settler.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/log.h"
#include "link/redis.h"

#include <stdlib.h>

enum { BATCH_LANES_MAX = 64, RETRY_BASE_MS = 10, RETRY_CAP_MS = 1000 };

/* Settlements of one partition, in the order in which they were taken. */
struct inbox {
    struct settlement *first, **last;
};

struct settler {
    struct settler_options options;
    struct holdings *holdings;
    struct redis_link *link;
    struct command command;
    pthread_t thread;
    struct inbox *batch; /* by partition; the thread's own */

    struct mutex mutex;
    struct condition filled;
    struct inbox inbox GUARDED;
    bool is_finishing GUARDED;
    int64_t deadline_us GUARDED; /* of finishing */
    bool has_left GUARDED;       /* finished with something unsettled */
};

static void *settler_body(void *argument);
static struct settlement *take_all(struct settler *settler);
static bool may_go_on(struct settler *settler);
static void sort(struct settler *settler, struct settlement *settlements);
static heddle_status settle_batch(struct settler *settler, struct heddle_error *err);
static struct settlement **after_lanes(struct settlement **link, int lanes);
static heddle_status settle_partition(struct settler *settler, unsigned partition,
                                      struct settlement *settlements, struct heddle_error *err);
static heddle_status publish_events(struct settler *settler, const struct claim *claim,
                                    struct heddle_error *err);
static void free_settlements(struct settler *settler, struct settlement *settlements);
static void inbox_init(struct inbox *inbox);
static void inbox_push(struct inbox *inbox, struct settlement *settlement);

heddle_status settler_new(const struct settler_options *options, struct holdings *holdings,
                          struct settler **settler, struct heddle_error *err)
{
    struct redis_link *link;

    heddle_status status = redis_new(options->redis, options->redis_timeout_ms, &link, err);
    if (status != HEDDLE_OK)
        return status;
    struct settler *fresh = memory_take_zeroed(1, sizeof *fresh);
    fresh->options = *options;
    fresh->holdings = holdings;
    fresh->link = link;
    fresh->batch = memory_take(options->partitions * sizeof *fresh->batch);
    for (unsigned p = 0; p < options->partitions; p++)
        inbox_init(&fresh->batch[p]);
    command_init(&fresh->command);
    mutex_init(&fresh->mutex);
    condition_init(&fresh->filled);
    inbox_init(&fresh->inbox);
    *settler = fresh;
    return HEDDLE_OK;
}

void settler_free(struct settler *settler)
{
    if (!settler)
        return;
    mutex_lock(&settler->mutex);
    struct settlement *left = settler->inbox.first;
    mutex_unlock(&settler->mutex);
    free_settlements(settler, left);
    for (unsigned p = 0; p < settler->options.partitions; p++)
        free_settlements(settler, settler->batch[p].first);
    free(settler->batch);
    redis_free(settler->link);
    command_done(&settler->command);
    condition_done(&settler->filled);
    mutex_done(&settler->mutex);
    free(settler);
}

void settler_start(struct settler *settler)
{
    thread_start(&settler->thread, "heddle-settle", settler_body, settler);
}

void settler_take(struct settler *settler, const struct settlement *settlement)
{
    struct settlement *own = memory_take(sizeof *own);

    *own = *settlement;
    mutex_lock(&settler->mutex);
    bool was_empty = settler->inbox.first == NULL;
    inbox_push(&settler->inbox, own);
    mutex_unlock(&settler->mutex);
    if (was_empty)
        condition_signal(&settler->filled);
}

bool settler_finish(struct settler *settler, int64_t deadline_us)
{
    mutex_lock(&settler->mutex);
    settler->is_finishing = true;
    settler->deadline_us = deadline_us;
    mutex_unlock(&settler->mutex);
    condition_signal(&settler->filled);
    thread_join(settler->thread);
    mutex_lock(&settler->mutex);
    bool is_done = !settler->has_left;
    mutex_unlock(&settler->mutex);
    return is_done;
}

static void *settler_body(void *argument)
{
    struct settler *settler = argument;
    struct settlement *taken;

    while ((taken = take_all(settler))) {
        struct heddle_error err;
        fault_point("settle_taken");
        sort(settler, taken);
        for (int attempt = 1; settle_batch(settler, &err) != HEDDLE_OK; attempt++) {
            redis_close(settler->link);
            heddle_log(HEDDLE_LOG_WARNING, "settle_retry", "attempt=%d text=%s", attempt,
                       LOG_TEXT(err.text));
            if (!may_go_on(settler))
                return NULL;
            clock_sleep_ms(clock_backoff_ms(attempt, RETRY_BASE_MS, RETRY_CAP_MS));
        }
    }
    return NULL;
}

/* Waits for settlements; NULL when finishing and there are none. */
static struct settlement *take_all(struct settler *settler)
{
    mutex_lock(&settler->mutex);
    while (!settler->inbox.first && !settler->is_finishing)
        condition_wait(&settler->filled, &settler->mutex);
    struct settlement *taken = settler->inbox.first;
    inbox_init(&settler->inbox);
    mutex_unlock(&settler->mutex);
    return taken;
}

/* False once finishing has taken too long: what is left is taken over by others. */
static bool may_go_on(struct settler *settler)
{
    mutex_lock(&settler->mutex);
    bool is_late = settler->is_finishing && clock_now_us() >= settler->deadline_us;
    settler->has_left |= is_late;
    mutex_unlock(&settler->mutex);
    return !is_late;
}

static void sort(struct settler *settler, struct settlement *settlements)
{
    while (settlements) {
        struct settlement *next = settlements->next;
        inbox_push(&settler->batch[settlements->claim->partition], settlements);
        settlements = next;
    }
}

/* Settles everything in `batch`; what has been settled is gone from it when this fails. */
static heddle_status settle_batch(struct settler *settler, struct heddle_error *err)
{
    for (unsigned p = 0; p < settler->options.partitions; p++) {
        struct inbox *inbox = &settler->batch[p];
        while (inbox->first) {
            struct settlement **end = after_lanes(&inbox->first, BATCH_LANES_MAX);
            struct settlement *part = inbox->first, *rest = *end;
            *end = NULL;
            heddle_status status = settle_partition(settler, p, part, err);
            if (status != HEDDLE_OK) {
                *end = rest;
                return status;
            }
            inbox->first = rest;
            free_settlements(settler, part);
        }
        inbox_init(inbox);
    }
    return HEDDLE_OK;
}

static struct settlement **after_lanes(struct settlement **link, int lanes)
{
    while (*link && lanes-- > 0)
        link = &(*link)->next;
    return link;
}

/* Results that somebody asked for after the operation was claimed. */
struct late {
    struct settler *settler;
    const struct settlement *settlements;
    unsigned partition;
    heddle_status status;
    struct heddle_error *err;
};

static void deliver_late(void *argument, struct heddle_text id)
{
    struct late *late = argument;

    for (const struct settlement *s = late->settlements; s; s = s->next)
        for (size_t i = s->first; i < s->first + s->count; i++) {
            const struct claimed_operation *claimed = &s->claim->operations[i];
            struct heddle_text own = {claimed->operation.id, HEDDLE_ID_SIZE};
            if (late->status == HEDDLE_OK && text_equal(own, id))
                late->status = lanes_reply(late->settler->link, &late->settler->command,
                                           late->partition, late->settler->options.result_ttl_ms,
                                           own, claimed->result, late->err);
        }
}

static heddle_status settle_partition(struct settler *settler, unsigned partition,
                                      struct settlement *settlements, struct heddle_error *err)
{
    const struct settler_options *options = &settler->options;
    struct late late = {settler, settlements, partition, HEDDLE_OK, err};

    heddle_status status =
        lanes_settle_send(settler->link, &settler->command, partition, options->incarnation,
                          options->result_ttl_ms, settlements, err);
    fault_point("settle_queued");
    if (status == HEDDLE_OK)
        status = lanes_settle_receive(settler->link, deliver_late, &late, err);
    if (status == HEDDLE_OK)
        status = late.status;
    fault_point("settled");
    for (const struct settlement *s = settlements; status == HEDDLE_OK && s; s = s->next)
        if (s->disposition != LANE_KEEP && s->claim->events)
            status = publish_events(settler, s->claim, err);
    return status;
}

static heddle_status publish_events(struct settler *settler, const struct claim *claim,
                                    struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (const struct claim_event *event = claim->events; status == HEDDLE_OK && event;
         event = event->next) {
        AUTO_REPLY reply = NULL;
        status =
            redis_callf(settler->link, &reply, err, "PUBLISH", "heddle:events", event->json, NULL);
    }
    return status;
}

static void free_settlements(struct settler *settler, struct settlement *settlements)
{
    while (settlements) {
        struct settlement *next = settlements->next;
        if (settlements->disposition != LANE_KEEP) {
            holdings_remove(settler->holdings, settlements->claim);
            claim_free(settlements->claim);
        }
        free(settlements);
        settlements = next;
    }
}

static void inbox_init(struct inbox *inbox)
{
    inbox->first = NULL;
    inbox->last = &inbox->first;
}

static void inbox_push(struct inbox *inbox, struct settlement *settlement)
{
    settlement->next = NULL;
    *inbox->last = settlement;
    inbox->last = &settlement->next;
}
