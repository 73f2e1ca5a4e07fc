/* The fetcher: claims lanes for the workers of this processor.
 *
 * One thread with two Redis links: one to claim, one to be woken (wakes.h). It looks into
 * partitions that may have ready lanes (heat.h). */
#ifndef ENGINE_FETCHER_H
#define ENGINE_FETCHER_H

#include "engine/holdings.h"
#include "engine/runqueue.h"
#include "engine/watchdog.h"
#include "heddle/error.h"

#include <stdint.h>

struct fetcher;

struct fetcher_options {
    const char *redis;
    int redis_timeout_ms;
    unsigned partitions;
    const char *incarnation;
    int64_t lease_ms;
    int lanes_max, operations_max;
    const struct heddle_handler *const *handlers; /* NULL-terminated */
    bool is_quarantine; /* adopts suspects, one at a time, and claims nothing else */
};

/* Borrows the queue, the holdings and the watchdog. */
heddle_status fetcher_new(const struct fetcher_options *options, struct runqueue *queue,
                          struct holdings *holdings, struct watchdog *watchdog,
                          struct fetcher **fetcher, struct heddle_error *err) HEDDLE_MUST_CHECK;
void fetcher_free(struct fetcher *fetcher);
void fetcher_start(struct fetcher *fetcher);

/* For a quarantine: the last look at every partition found no suspect. Thread-safe. */
bool fetcher_is_idle(struct fetcher *fetcher);

/* Ends the thread: nothing is claimed after this returned. */
void fetcher_stop(struct fetcher *fetcher);

#endif
