/* A measurement: operations are submitted, and processors work them off. Main thread. */
#ifndef APP_BENCH_DRAIN_H
#define APP_BENCH_DRAIN_H

#include "app/bench/meter.h"
#include "app/bench/plan.h"

#include <stdbool.h>

struct scene;

struct drain {
    struct bench_plan plan;
    struct meter_reading submit_from, submit_to; /* around the submission of all */
    struct meter_reading run_from, run_to;       /* around their execution */
    int64_t submit_us;   /* the client's calls alone, without the making of what it submits */
    int64_t call_us[3];  /* p50, p99, p99.9 of those calls */
    int64_t rss_max_kib; /* of a processor */
    bool is_right;
    char verdict[512]; /* what was counted */
};

/* Any status but HEDDLE_OK: nothing was measured. Leaves the scene as it was. */
heddle_status drain_measure(const struct invocation *invocation, struct scene *scene,
                            struct drain *drain, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* What was measured, for people or as JSON. */
void drain_print(const struct drain *drain, const struct invocation *invocation,
                 const char *conditions);

#endif
