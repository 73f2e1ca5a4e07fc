/* The clients of a latency measurement: threads that take turns, so that each has its time. */
#ifndef APP_BENCH_PACED_H
#define APP_BENCH_PACED_H

#include "heddle/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options;

/* When an operation was due, the call was made and had returned, and its result was there; by
 * clock_now_us. */
struct paced_times {
    int64_t due_us, sent_us, accepted_us, done_us;
};

struct paced {
    const struct options *options;
    const struct heddle_submission *submissions; /* borrowed; with `reply` */
    size_t count;
    int64_t rate; /* a second */
    bool is_durable;
    struct paced_times *times; /* `count`, filled */
};

/* Returns when every result is there. Main thread; the error is of the first that failed. */
heddle_status paced_run(const struct paced *paced, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
