/* The settler: takes results of workers to Redis, in batches, off the workers' threads.
 *
 * One thread with a Redis link of its own. Where Redis does not answer it tries
 * again: settling twice does no harm, for a lane that is not ours any more is left alone. */
#ifndef ENGINE_SETTLER_H
#define ENGINE_SETTLER_H

#include "engine/holdings.h"
#include "heddle/error.h"
#include "queue/lanes.h"

struct gauge;
struct runqueue;
struct settler;

struct settler_options {
    const char *redis;
    int redis_timeout_ms;
    unsigned partitions;
    const char *incarnation;
    int64_t result_ttl_ms;
    struct gauge *gauge; /* told what has ended; outlives the settler. NULL: nobody counts */
};

/* Borrows the holdings. */
heddle_status settler_new(const struct settler_options *options, struct holdings *holdings,
                          struct settler **settler, struct heddle_error *err) HEDDLE_MUST_CHECK;
void settler_free(struct settler *settler);
void settler_start(struct settler *settler);

/* Takes the settlement, which is copied, and, unless it is LANE_KEEP, the claim. Thread-safe. */
void settler_take(struct settler *settler, const struct settlement *settlement);

/* False where so much waits to be settled that no more is to be claimed. Thread-safe. */
bool settler_has_room(struct settler *settler);

/* Readable (poll) when there is room again since settler_has_room last said no. */
int settler_room_fd(const struct settler *settler);

/* Takes a claim of which nothing more is executed here. Thread-safe. */
void settler_release(struct settler *settler, struct claim *claim);
/* The same with all of the list. */
void settler_release_all(struct settler *settler, struct claim_list *claims);

/* The same with every claim that no worker has begun. Thread-safe. */
void settler_release_unbegun(struct settler *settler, struct runqueue *queue);

/* Settles what it was given, then ends the thread; gives up at `deadline_us`. True where nothing
 * is left. */
bool settler_finish(struct settler *settler, int64_t deadline_us);

#endif
