/* A measurement: what processors cost that have nothing to do. Main thread. */
#ifndef APP_BENCH_IDLE_H
#define APP_BENCH_IDLE_H

#include "app/bench/course.h"

/* Measures, prints. Any status but HEDDLE_OK: nothing was measured. */
heddle_status idle_measure(struct course *course, const char *conditions,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
