/* Claims on their way from the fetcher to the workers: a bounded FIFO. Thread-safe.
 *
 * Workers that can execute are present, those without Postgres are absent. While all are absent
 * there is no room, and what is in the queue goes back by runqueue_pop_orphan. */
#ifndef ENGINE_RUNQUEUE_H
#define ENGINE_RUNQUEUE_H

#include "queue/claim.h"

struct runqueue;

struct runqueue *runqueue_new(size_t capacity);
/* Frees the claims that are left in it. Takes NULL. */
void runqueue_free(struct runqueue *queue);

/* Readable (poll) when there may be room again since runqueue_room last answered 0. */
int runqueue_room_fd(const struct runqueue *queue);

/* How many claims fit now. */
size_t runqueue_room(struct runqueue *queue);

/* Takes all claims of the list. The caller has asked for the room. */
void runqueue_push(struct runqueue *queue, struct claim_list *claims);

/* The oldest claim, waiting for one; NULL once the queue is closed. */
struct claim *runqueue_pop(struct runqueue *queue);

/* Those that no worker has begun come out in `rest`; the queue stays open. */
void runqueue_empty(struct runqueue *queue, struct claim_list *rest);
void runqueue_join(struct runqueue *queue);  /* the caller is present */
void runqueue_leave(struct runqueue *queue); /* no longer */

/* The oldest claim where nobody is present, else NULL. Does not wait. */
struct claim *runqueue_pop_orphan(struct runqueue *queue);

bool runqueue_is_closed(struct runqueue *queue);

/* No pop returns a claim any more; those that are left come out in `rest`. */
void runqueue_close(struct runqueue *queue, struct claim_list *rest);

#endif
