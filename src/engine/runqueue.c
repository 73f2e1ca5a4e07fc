/* See runqueue.h. Pushed by the fetcher, popped by workers, closed by the processor's owner. */
#include "engine/runqueue.h"

#include "base/arena.h"
#include "base/thread.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct runqueue {
    struct mutex mutex;
    struct condition filled;
    struct claim_list claims GUARDED;
    bool is_closed GUARDED;
    bool is_wanted GUARDED; /* the fetcher waits for room */
    int present GUARDED;    /* workers */
    size_t capacity;
    int room_fd;
};

static void take_all_locked(struct runqueue *queue, struct claim_list *rest) REQUIRES(queue->mutex);
static bool take_wish_locked(struct runqueue *queue) REQUIRES(queue->mutex);

struct runqueue *runqueue_new(size_t capacity)
{
    struct runqueue *queue = memory_take_zeroed(1, sizeof *queue);

    mutex_init(&queue->mutex);
    condition_init(&queue->filled);
    claim_list_init(&queue->claims);
    queue->capacity = capacity;
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

size_t runqueue_room(struct runqueue *queue)
{
    eventfd_t ignored;
    size_t room = 0;

    /* First: whoever makes room from here on is heard. */
    (void)!eventfd_read(queue->room_fd, &ignored);
    mutex_lock(&queue->mutex);
    if (queue->present > 0 && queue->capacity > queue->claims.count)
        room = queue->capacity - queue->claims.count;
    queue->is_wanted = room == 0;
    mutex_unlock(&queue->mutex);
    return room;
}

void runqueue_push(struct runqueue *queue, struct claim_list *claims)
{
    struct claim *claim;
    size_t count = claims->count;

    mutex_lock(&queue->mutex);
    while ((claim = claim_list_pop(claims)))
        claim_list_push(&queue->claims, claim);
    mutex_unlock(&queue->mutex);
    if (count == 1)
        condition_signal(&queue->filled);
    else if (count > 1)
        condition_broadcast(&queue->filled);
}

struct claim *runqueue_pop(struct runqueue *queue)
{
    mutex_lock(&queue->mutex);
    while (queue->claims.count == 0 && !queue->is_closed)
        condition_wait(&queue->filled, &queue->mutex);
    struct claim *claim = claim_list_pop(&queue->claims);
    bool tell = claim && take_wish_locked(queue);
    mutex_unlock(&queue->mutex);
    if (tell)
        eventfd_write(queue->room_fd, 1);
    return claim;
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
    struct claim *claim = queue->present == 0 ? claim_list_pop(&queue->claims) : NULL;
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
    while ((claim = claim_list_pop(&queue->claims)))
        claim_list_push(rest, claim);
}

/* Whether the fetcher waits for room; it is told once. */
static bool take_wish_locked(struct runqueue *queue)
{
    bool is_wanted = queue->is_wanted;

    queue->is_wanted = false;
    return is_wanted;
}
