/* The beat: says that this processor lives, and frees the lanes of those that don't.
 *
 * It also gives back what Redis believes to be ours and nobody here knows of. One thread with a
 * Redis link of its own, so that nothing else can hold it up. */
#ifndef ENGINE_BEAT_H
#define ENGINE_BEAT_H

#include "engine/holdings.h"
#include "heddle/error.h"

#include <stdint.h>

struct beat;

struct beat_options {
    const char *redis;
    int redis_timeout_ms;
    unsigned partitions;
    const char *incarnation;
    int64_t lease_ms;
};

/* Borrows the holdings. */
heddle_status beat_new(const struct beat_options *options, struct holdings *holdings,
                       struct beat **beat, struct heddle_error *err) HEDDLE_MUST_CHECK;
void beat_free(struct beat *beat);
void beat_start(struct beat *beat);

/* Ends the thread, then frees every lane that this processor still holds. */
void beat_stop(struct beat *beat);

#endif
