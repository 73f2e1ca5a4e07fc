/* Claims on their way from the fetcher to the workers: a bounded FIFO. Thread-safe.
 *
 * Workers that can execute are present, those without Postgres are absent. While all are absent
 * there is no room, and what is in the queue goes back by runqueue_pop_orphan. */
#ifndef ENGINE_RUNQUEUE_H
#define ENGINE_RUNQUEUE_H

#include "queue/claim.h"

struct runqueue;

/* Says how the next operations of a claim are executed. On any thread. */
typedef enum claim_way runqueue_way(void *argument, const struct claim *claim);

enum { RUNQUEUE_CLAIMS_PER_WORKER = 2 };

/* Room for so many claims, and at most about so many operations in them; while its workers are
 * slow, for less: RUNQUEUE_CLAIMS_PER_WORKER, or what they take in a tenth of a second. */
struct runqueue *runqueue_new(size_t capacity, size_t operations, runqueue_way *way,
                              void *argument);
/* Frees the claims that are left in it. Takes NULL. */
void runqueue_free(struct runqueue *queue);

/* Readable (poll) when there is room again, as runqueue_room was asked for when it last had none.
 */
int runqueue_room_fd(const struct runqueue *queue);

/* How many claims fit now, and about how many operations in them; `by_half`: none, unless half of
 * the queue is empty. */
struct room {
    size_t claims, operations;
};
struct room runqueue_room(struct runqueue *queue, bool by_half);

/* Claims that wait. */
size_t runqueue_count(struct runqueue *queue);

/* Takes all claims of the list. The caller has asked for the room. */
void runqueue_push(struct runqueue *queue, struct claim_list *claims);

/* What a worker takes at most. */
struct appetite {
    size_t claims, operations; /* 1 at least */
};

/* Takes the oldest claim, waiting for one, and where that is not to be executed alone those behind
 * it that go the same way: as many as there are for each worker that has nothing to do. False, and
 * none, once the queue is closed. */
bool runqueue_pop(struct runqueue *queue, struct appetite appetite, struct claim_list *claims);

/* Takes back claims of which something is left to execute: before all others. Those that it no
 * longer takes, because it is closed, stay in the list. */
void runqueue_put_back(struct runqueue *queue, struct claim_list *claims);

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
