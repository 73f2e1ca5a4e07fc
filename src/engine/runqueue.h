/* Claims on their way from the fetcher to the workers: a bounded FIFO. Thread-safe. */
#ifndef ENGINE_RUNQUEUE_H
#define ENGINE_RUNQUEUE_H

#include "queue/claim.h"

struct runqueue;

struct runqueue *runqueue_new(size_t capacity);
/* Frees the claims that are left in it. Takes NULL. */
void runqueue_free(struct runqueue *queue);

/* Readable (poll) when a claim was taken since runqueue_room last answered 0. */
int runqueue_room_fd(const struct runqueue *queue);

/* How many claims fit now. */
size_t runqueue_room(struct runqueue *queue);

/* Takes all claims of the list. The caller has asked for the room. */
void runqueue_push(struct runqueue *queue, struct claim_list *claims);

/* The oldest claim, waiting for one; NULL once the queue is closed. */
struct claim *runqueue_pop(struct runqueue *queue);

/* Those that no worker has begun come out in `rest`; the queue stays open. */
void runqueue_empty(struct runqueue *queue, struct claim_list *rest);

/* No pop returns a claim any more; those that are left come out in `rest`. */
void runqueue_close(struct runqueue *queue, struct claim_list *rest);

#endif
