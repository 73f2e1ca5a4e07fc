/* How many operations this processor has ended in the last seconds, how, and how long they took
 * since their submission.
 *
 * The settler writes, whoever reports reads: no lock, for each number is atomic alone. */
#ifndef ENGINE_GAUGE_H
#define ENGINE_GAUGE_H

#include "base/histogram.h"
#include "heddle/operation.h"

#include <stdint.h>

struct gauge;
struct settlement;

enum { GAUGE_SECONDS = 5 };

struct gauge *gauge_new(void);
void gauge_free(struct gauge *gauge);

/* By the settler alone: these have been settled. Takes a NULL gauge: nobody counts. */
void gauge_note(struct gauge *gauge, const struct settlement *settlements,
                const struct settlement *end);

/* Of the last GAUGE_SECONDS whole seconds, or of as many as the gauge is old. */
struct gauge_reading {
    int seconds; /* 1 at least */
    uint64_t done, failed, dead, cancelled;
    struct histogram latency_us;
};

/* From any thread. */
void gauge_read(struct gauge *gauge, struct gauge_reading *reading);

#endif
