/* The fetcher: claims lanes for the workers of this processor.
 *
 * One thread with two Redis links: one to claim, one to be woken (wakes.h). It looks into
 * partitions that may have ready lanes (heat.h). */
#ifndef ENGINE_FETCHER_H
#define ENGINE_FETCHER_H

#include "engine/holdings.h"
#include "engine/reporter.h"
#include "engine/runqueue.h"
#include "engine/settler.h"
#include "engine/watchdog.h"
#include "heddle/error.h"

#include <stdint.h>

struct fetcher;
struct handlers;
struct wakes;

struct fetcher_options {
    const char *redis;
    int redis_timeout_ms;
    unsigned partitions;
    const char *incarnation;
    int64_t lease_ms;
    int lanes_max, operations_max;
    int user_concurrency; /* 1: a lane is handed over whole */
    bool is_quarantine;   /* adopts suspects, one at a time, and claims nothing else */
};

/* What it works with; outlives it. */
struct fetcher_parts {
    struct handlers *handlers;
    struct runqueue *queue;
    struct holdings *holdings;
    struct settler *settler;
    struct watchdog *watchdog;
    struct reporter *reporter;
    struct relay *const *relay; /* made after it */
    struct wakes *wakes;        /* its own from start to stop */
};

heddle_status fetcher_new(const struct fetcher_options *options, const struct fetcher_parts *parts,
                          struct fetcher **fetcher, struct heddle_error *err) HEDDLE_MUST_CHECK;
void fetcher_free(struct fetcher *fetcher);
void fetcher_start(struct fetcher *fetcher);

/* For a quarantine: the last look at every partition found no suspect. Thread-safe. */
bool fetcher_is_idle(struct fetcher *fetcher);

/* While it is quiet it claims nothing, and gives back what no worker has begun. Thread-safe. */
void fetcher_set_quiet(struct fetcher *fetcher, bool is_quiet);

/* There are other handlers now, perhaps for lanes that are halted. Thread-safe. */
void fetcher_tell(struct fetcher *fetcher);

/* Ends the thread: nothing is claimed after this returned. */
void fetcher_stop(struct fetcher *fetcher);

#endif
