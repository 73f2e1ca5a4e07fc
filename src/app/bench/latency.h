/* A measurement: operations come at exact gaps, each by itself and whatever became of those before
 * it, as from web servers with a connection a request. Main thread, which starts the clients'. */
#ifndef APP_BENCH_LATENCY_H
#define APP_BENCH_LATENCY_H

#include "app/bench/course.h"

/* Measures, verifies, prints. Any status but HEDDLE_OK: nothing was measured. */
heddle_status latency_measure(struct course *course, const char *conditions,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
