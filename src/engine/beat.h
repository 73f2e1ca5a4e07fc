/* The beat: says that this processor lives, and frees the lanes of those that don't.
 *
 * One thread with a Redis link of its own, so that nothing else can hold it up. */
#ifndef ENGINE_BEAT_H
#define ENGINE_BEAT_H

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

heddle_status beat_new(const struct beat_options *options, struct beat **beat,
                       struct heddle_error *err) HEDDLE_MUST_CHECK;
void beat_free(struct beat *beat);
void beat_start(struct beat *beat);

/* Ends the thread, then frees every lane that this processor still holds. */
void beat_stop(struct beat *beat);

#endif
