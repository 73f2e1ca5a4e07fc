/* A measurement: operations are submitted, and processors work them off. Main thread. */
#ifndef APP_BENCH_DRAIN_H
#define APP_BENCH_DRAIN_H

#include "app/bench/course.h"

/* Measures, verifies, prints. Any status but HEDDLE_OK: nothing was measured. */
heddle_status drain_measure(struct course *course, const char *conditions,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
