/* See settler.h. */
#include "engine/settler.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/log.h"
#include "engine/gauge.h"
#include "engine/late.h"
#include "link/redis.h"
#include "queue/strands.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A call settles up to BATCH_LANES_MAX lanes, and not many more operations. */
enum {
    BATCH_LANES_MAX = 256,
    BATCH_OPERATIONS = 1024,
    OPERATIONS_MAX = 4096, /* that wait; then no more is claimed */
    RETRY_BASE_MS = 10,
    RETRY_CAP_MS = 1000,
};

/* Settlements of one partition, in the order in which they were taken. */
struct inbox {
    struct settlement *first, **last;
};

/* What a call was sent for. */
struct part {
    struct settler *settler;
    unsigned partition;
};

struct settler {
    struct settler_options options;
    struct holdings *holdings;
    struct redis_link *link;
    struct command command;
    pthread_t thread;
    struct inbox *batch;       /* by partition; the thread's own, as are: */
    struct settlement ***sent; /* by partition: behind what a call has been sent for; NULL: none */
    struct inbox settled;      /* acknowledged; what is late, and events, have still to be told */
    struct late late;          /* results that somebody asked for after the claim */

    struct mutex mutex;
    struct condition filled;
    struct inbox inbox GUARDED;
    size_t operations GUARDED; /* taken and not settled */
    bool is_room_wanted GUARDED;
    int room_fd;
    bool is_finishing GUARDED;
    int64_t deadline_us GUARDED; /* of finishing */
    bool has_left GUARDED;       /* finished with something unsettled */
};

static void *settler_body(void *argument);
static void take(struct settler *settler, const struct settlement *settlement);
static struct settlement *take_all(struct settler *settler);
static bool may_go_on(struct settler *settler);
static void sort(struct settler *settler, struct settlement *settlements);
static heddle_status settle_batch(struct settler *settler, struct heddle_error *err);
static bool has_batch(const struct settler *settler);
static heddle_status send_batch(struct settler *settler, struct heddle_error *err);
static heddle_status send_part(struct settler *settler, unsigned partition,
                               struct heddle_error *err);
static heddle_status receive_part(struct settler *settler, unsigned partition,
                                  struct heddle_error *err);
static void note_late(void *argument, struct heddle_text id);
static heddle_status tell(struct settler *settler, struct heddle_error *err);
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
    fresh->sent = memory_take_zeroed(options->partitions, sizeof *fresh->sent);
    inbox_init(&fresh->settled);
    for (unsigned p = 0; p < options->partitions; p++)
        inbox_init(&fresh->batch[p]);
    command_init(&fresh->command);
    mutex_init(&fresh->mutex);
    condition_init(&fresh->filled);
    inbox_init(&fresh->inbox);
    fresh->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fresh->room_fd < 0)
        abort();
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
    free_settlements(settler, settler->settled.first);
    free(settler->batch);
    free(settler->sent);
    late_done(&settler->late);
    redis_free(settler->link);
    command_done(&settler->command);
    close(settler->room_fd);
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
    struct settlement part = *settlement;

    if (!settlement->claim->strands) {
        take(settler, settlement);
        return;
    }
    /* Whoever joins last settles the lane, and then all of this may be freed. */
    part.disposition = LANE_KEEP;
    if (part.count > 0 || part.cost_us > 0)
        take(settler, &part);
    if (settlement->disposition != LANE_KEEP && strands_join(settlement, &part))
        take(settler, &part);
}

bool settler_has_room(struct settler *settler)
{
    eventfd_t ignored;

    (void)!eventfd_read(settler->room_fd, &ignored);
    mutex_lock(&settler->mutex);
    bool has_room = settler->operations < OPERATIONS_MAX;
    settler->is_room_wanted = !has_room;
    mutex_unlock(&settler->mutex);
    return has_room;
}

int settler_room_fd(const struct settler *settler)
{
    return settler->room_fd;
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

static void take(struct settler *settler, const struct settlement *settlement)
{
    struct settlement *own = memory_take(sizeof *own);

    *own = *settlement;
    mutex_lock(&settler->mutex);
    bool was_empty = settler->inbox.first == NULL;
    inbox_push(&settler->inbox, own);
    settler->operations += own->count;
    mutex_unlock(&settler->mutex);
    if (was_empty)
        condition_signal(&settler->filled);
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

/* Settles everything in `batch`, a part of each partition at a time; what has been settled is gone
 * from it when this fails. */
static heddle_status settle_batch(struct settler *settler, struct heddle_error *err)
{
    const unsigned partitions = settler->options.partitions;
    heddle_status status = tell(settler, err);

    while (status == HEDDLE_OK && has_batch(settler)) {
        status = send_batch(settler, err);
        fault_point("settle_queued");
        for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++)
            if (settler->sent[p])
                status = receive_part(settler, p, err);
        fault_point("settled");
        if (status == HEDDLE_OK)
            status = tell(settler, err);
    }
    return status;
}

static bool has_batch(const struct settler *settler)
{
    unsigned p = 0;

    while (p < settler->options.partitions && !settler->batch[p].first)
        p++;
    return p < settler->options.partitions;
}

static heddle_status send_batch(struct settler *settler, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (unsigned p = 0; p < settler->options.partitions; p++) {
        settler->sent[p] = NULL;
        if (status == HEDDLE_OK && settler->batch[p].first)
            status = send_part(settler, p, err);
    }
    return status;
}

static heddle_status send_part(struct settler *settler, unsigned partition,
                               struct heddle_error *err)
{
    const struct settler_options *options = &settler->options;
    struct settlement **end = &settler->batch[partition].first;
    size_t operations = 0;

    for (int lanes = 0; *end && lanes < BATCH_LANES_MAX && operations < BATCH_OPERATIONS; lanes++) {
        operations += (*end)->count;
        end = &(*end)->next;
    }
    struct settlement *rest = *end;
    *end = NULL;
    heddle_status status =
        lanes_settle_send(settler->link, &settler->command, partition, options->incarnation,
                          options->result_ttl_ms, settler->batch[partition].first, err);
    *end = rest;
    settler->sent[partition] = end;
    return status;
}

static heddle_status receive_part(struct settler *settler, unsigned partition,
                                  struct heddle_error *err)
{
    struct inbox *inbox = &settler->batch[partition];
    struct settlement *first = inbox->first;
    struct part part = {settler, partition};

    heddle_status status = lanes_settle_receive(settler->link, note_late, &part, err);
    if (status != HEDDLE_OK)
        return status;
    inbox->first = *settler->sent[partition];
    gauge_note(settler->options.gauge, first, inbox->first);
    if (!inbox->first)
        inbox_init(inbox);
    *settler->sent[partition] = NULL;
    *settler->settled.last = first;
    settler->settled.last = settler->sent[partition];
    return HEDDLE_OK;
}

static void note_late(void *argument, struct heddle_text id)
{
    const struct part *part = argument;
    struct settler *settler = part->settler;

    late_note(&settler->late, part->partition, settler->batch[part->partition].first,
              *settler->sent[part->partition], id);
}

/* Tells what is to be told of `settled`, and frees it. */
static heddle_status tell(struct settler *settler, struct heddle_error *err)
{
    heddle_status status = late_tell(&settler->late, settler->link, &settler->command,
                                     settler->options.result_ttl_ms, err);

    for (const struct settlement *s = settler->settled.first; status == HEDDLE_OK && s; s = s->next)
        if (s->disposition != LANE_KEEP && s->claim->events)
            status = late_publish(settler->link, s->claim, err);
    if (status != HEDDLE_OK)
        return status;
    free_settlements(settler, settler->settled.first);
    inbox_init(&settler->settled);
    return HEDDLE_OK;
}

static void free_settlements(struct settler *settler, struct settlement *settlements)
{
    size_t operations = 0;

    while (settlements) {
        struct settlement *next = settlements->next;
        operations += settlements->count;
        if (settlements->disposition != LANE_KEEP) {
            holdings_remove(settler->holdings, settlements->claim);
            claim_free(settlements->claim);
        }
        free(settlements);
        settlements = next;
    }
    mutex_lock(&settler->mutex);
    settler->operations -= operations;
    bool tell = settler->is_room_wanted && settler->operations < OPERATIONS_MAX / 2;
    settler->is_room_wanted &= !tell;
    mutex_unlock(&settler->mutex);
    if (tell)
        eventfd_write(settler->room_fd, 1);
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
