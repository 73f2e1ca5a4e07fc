/* The client of a benchmark: it submits a plan's operations, window by window. Main thread. */
#ifndef APP_BENCH_LOAD_H
#define APP_BENCH_LOAD_H

#include "app/bench/plan.h"

enum { QUANTILES = 4 }; /* p50, p99, p99.9 and the highest */

struct load {
    int64_t calls_us;           /* the calls alone, without the making of what they submit */
    int64_t call_us[QUANTILES]; /* of a call, as by take_quantiles */
};

heddle_status load_submit(const struct options *options, const struct bench_plan *plan,
                          struct load *load, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Sorts them; all 0 where there is none. */
void take_quantiles(int64_t *values, size_t count, int64_t quantiles[QUANTILES]);

#endif
