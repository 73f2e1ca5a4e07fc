/* See runqueue.h. Pushed by the fetcher, popped by workers, closed by the processor's owner. */
#include "engine/runqueue.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/thread.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    /* What is claimed ahead, others can't execute: so much of the workers' time at most. */
    AHEAD_US = 100000,
    PACE_WINDOW_US = 10000,
};

struct runqueue {
    struct mutex mutex;
    struct condition filled;
    struct claim_list claims GUARDED;
    bool is_closed GUARDED;
    bool is_wanted GUARDED;    /* the fetcher waits for room */
    bool is_by_half GUARDED;   /* for half of the queue */
    int present GUARDED;       /* workers */
    size_t idle GUARDED;       /* those that wait for a claim */
    size_t operations GUARDED; /* of the claims */
    size_t pace GUARDED;       /* operations that the workers take in AHEAD_US */
    size_t taken GUARDED;      /* since window_us */
    int64_t window_us GUARDED;
    size_t capacity, operations_max;
    runqueue_way *way;
    void *argument;
    int room_fd;
};

static void take_all_locked(struct runqueue *queue, struct claim_list *rest) REQUIRES(queue->mutex);
static struct room room_locked(const struct runqueue *queue, bool by_half) REQUIRES(queue->mutex);
static void note_pace_locked(struct runqueue *queue, size_t taken) REQUIRES(queue->mutex);
static bool take_wish_locked(struct runqueue *queue) REQUIRES(queue->mutex);
static struct claim *take_first_locked(struct runqueue *queue) REQUIRES(queue->mutex);
static bool is_like_locked(const struct runqueue *queue, const struct claim *claim,
                           size_t operations) REQUIRES(queue->mutex);
static size_t claim_rest(const struct claim *claim);

struct runqueue *runqueue_new(size_t capacity, size_t operations, runqueue_way *way, void *argument)
{
    struct runqueue *queue = memory_take_zeroed(1, sizeof *queue);

    mutex_init(&queue->mutex);
    condition_init(&queue->filled);
    claim_list_init(&queue->claims);
    queue->capacity = capacity;
    queue->operations_max = operations;
    queue->way = way;
    queue->argument = argument;
    queue->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->room_fd < 0)
        abort();
    return queue;
}

void runqueue_free(struct runqueue *queue)
{
    struct claim_list rest;
    struct claim *claim;

    if (!queue)
        return;
    runqueue_close(queue, &rest);
    while ((claim = claim_list_pop(&rest)))
        claim_free(claim);
    close(queue->room_fd);
    condition_done(&queue->filled);
    mutex_done(&queue->mutex);
    free(queue);
}

int runqueue_room_fd(const struct runqueue *queue)
{
    return queue->room_fd;
}

struct room runqueue_room(struct runqueue *queue, bool by_half)
{
    eventfd_t ignored;

    /* First: whoever makes room from here on is heard. */
    (void)!eventfd_read(queue->room_fd, &ignored);
    mutex_lock(&queue->mutex);
    struct room room = room_locked(queue, by_half);
    queue->is_wanted = room.claims == 0;
    queue->is_by_half = by_half;
    mutex_unlock(&queue->mutex);
    return room;
}

size_t runqueue_count(struct runqueue *queue)
{
    mutex_lock(&queue->mutex);
    size_t count = queue->claims.count;
    mutex_unlock(&queue->mutex);
    return count;
}

void runqueue_push(struct runqueue *queue, struct claim_list *claims)
{
    struct claim *claim;
    size_t count = claims->count;

    for (claim = claims->first; claim; claim = claim->next)
        claim->way = queue->way(queue->argument, claim);
    mutex_lock(&queue->mutex);
    while ((claim = claim_list_pop(claims))) {
        queue->operations += claim_rest(claim);
        claim_list_push(&queue->claims, claim);
    }
    mutex_unlock(&queue->mutex);
    if (count == 1)
        condition_signal(&queue->filled);
    else if (count > 1)
        condition_broadcast(&queue->filled);
}

bool runqueue_pop(struct runqueue *queue, struct appetite appetite, struct claim_list *claims)
{
    claim_list_init(claims);
    mutex_lock(&queue->mutex);
    queue->idle++;
    while (queue->claims.count == 0 && !queue->is_closed)
        condition_wait(&queue->filled, &queue->mutex);
    queue->idle--;
    const size_t share = (queue->claims.count + queue->idle) / (queue->idle + 1);
    if (appetite.claims > share)
        appetite.claims = share;
    struct claim *claim = take_first_locked(queue);
    if (claim) {
        size_t operations = claim_rest(claim);
        claim_list_push(claims, claim);
        while (claim->way != WAY_ALONE && claims->count < appetite.claims &&
               operations < appetite.operations &&
               is_like_locked(queue, claim, appetite.operations - operations)) {
            struct claim *next = take_first_locked(queue);
            operations += claim_rest(next);
            claim_list_push(claims, next);
        }
        /* What a bundle has no room for comes back. */
        if (claim->way != WAY_ALONE && operations > appetite.operations)
            operations = appetite.operations;
        note_pace_locked(queue, operations);
    }
    bool tell = claim && take_wish_locked(queue);
    mutex_unlock(&queue->mutex);
    if (tell)
        eventfd_write(queue->room_fd, 1);
    return claim != NULL;
}

void runqueue_put_back(struct runqueue *queue, struct claim_list *claims)
{
    struct claim_list turned;
    struct claim *claim;

    if (claims->count == 0)
        return;
    claim_list_init(&turned);
    while ((claim = claim_list_pop(claims))) {
        claim->way = queue->way(queue->argument, claim);
        claim_list_push_front(&turned, claim);
    }
    mutex_lock(&queue->mutex);
    bool is_closed = queue->is_closed;
    while ((claim = claim_list_pop(&turned))) {
        claim_list_push_front(is_closed ? claims : &queue->claims, claim);
        queue->operations += is_closed ? 0 : claim_rest(claim);
    }
    mutex_unlock(&queue->mutex);
    condition_broadcast(&queue->filled);
}

void runqueue_empty(struct runqueue *queue, struct claim_list *rest)
{
    mutex_lock(&queue->mutex);
    take_all_locked(queue, rest);
    mutex_unlock(&queue->mutex);
}

void runqueue_join(struct runqueue *queue)
{
    mutex_lock(&queue->mutex);
    queue->present++;
    bool tell = take_wish_locked(queue);
    mutex_unlock(&queue->mutex);
    if (tell)
        eventfd_write(queue->room_fd, 1);
}

void runqueue_leave(struct runqueue *queue)
{
    mutex_lock(&queue->mutex);
    queue->present--;
    mutex_unlock(&queue->mutex);
}

struct claim *runqueue_pop_orphan(struct runqueue *queue)
{
    mutex_lock(&queue->mutex);
    struct claim *claim = queue->present == 0 ? take_first_locked(queue) : NULL;
    mutex_unlock(&queue->mutex);
    return claim;
}

bool runqueue_is_closed(struct runqueue *queue)
{
    mutex_lock(&queue->mutex);
    bool is_closed = queue->is_closed;
    mutex_unlock(&queue->mutex);
    return is_closed;
}

void runqueue_close(struct runqueue *queue, struct claim_list *rest)
{
    mutex_lock(&queue->mutex);
    queue->is_closed = true;
    take_all_locked(queue, rest);
    mutex_unlock(&queue->mutex);
    condition_broadcast(&queue->filled);
}

static void take_all_locked(struct runqueue *queue, struct claim_list *rest)
{
    struct claim *claim;

    claim_list_init(rest);
    while ((claim = take_first_locked(queue)))
        claim_list_push(rest, claim);
}

static struct room room_locked(const struct runqueue *queue, bool by_half)
{
    const size_t least = RUNQUEUE_CLAIMS_PER_WORKER * (size_t)queue->present;
    const size_t deep = queue->pace < queue->operations_max ? queue->pace : queue->operations_max;
    struct room room = {0, 0};

    if (queue->claims.count >= queue->capacity || queue->operations >= queue->operations_max)
        return room;
    if (queue->operations < deep && queue->present > 0)
        room = (struct room){queue->capacity - queue->claims.count, deep - queue->operations};
    if (by_half && (room.claims < queue->capacity / 2 || room.operations < deep / 2))
        room = (struct room){0, 0};
    /* Whatever they take, none of them waits for the fetcher. */
    if (queue->claims.count < least && room.claims < least - queue->claims.count)
        room =
            (struct room){least - queue->claims.count, queue->operations_max - queue->operations};
    return room;
}

/* Workers took so many more operations. */
static void note_pace_locked(struct runqueue *queue, size_t taken)
{
    const int64_t now_us = clock_now_us(), elapsed_us = now_us - queue->window_us;

    queue->taken += taken;
    if (elapsed_us < PACE_WINDOW_US)
        return;
    const size_t pace = (size_t)((int64_t)queue->taken * AHEAD_US / elapsed_us);
    queue->pace = pace > queue->pace / 2 ? pace : queue->pace / 2;
    queue->taken = 0;
    queue->window_us = now_us;
}

/* Whether the fetcher waits for the room that there is; it is told once. */
static bool take_wish_locked(struct runqueue *queue)
{
    bool is_wanted = queue->is_wanted && room_locked(queue, queue->is_by_half).claims > 0;

    queue->is_wanted &= !is_wanted;
    return is_wanted;
}

static struct claim *take_first_locked(struct runqueue *queue)
{
    struct claim *claim = claim_list_pop(&queue->claims);

    if (claim)
        queue->operations -= claim_rest(claim);
    return claim;
}

/* Whether the first claim goes the same way, with so many operations at most. */
static bool is_like_locked(const struct runqueue *queue, const struct claim *claim,
                           size_t operations)
{
    const struct claim *first = queue->claims.first;

    return first && first->way == claim->way && claim_rest(first) <= operations;
}

static size_t claim_rest(const struct claim *claim)
{
    return claim->operation_count - claim->done;
}
