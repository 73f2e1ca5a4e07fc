/* What every measurement needs around it: an empty scene, processors that are ready, a tally and a
 * meter; and the end of all that. Main thread. */
#ifndef APP_BENCH_COURSE_H
#define APP_BENCH_COURSE_H

#include "app/bench/fleet.h"
#include "app/bench/meter.h"
#include "app/bench/plan.h"

#include <stdbool.h>

struct scene;
struct tally;

struct course {
    const struct invocation *invocation;
    struct scene *scene;
    const struct bench_plan *plan;
    struct tally *tally;
    struct fleet fleet;
    struct meter meter;
    bool is_right;
    char verdict[512]; /* what was counted */
};

/* Starts processors and waits until they are ready; `is_quiet`: they begin nothing before fleet_go.
 * course_end follows in any case. */
heddle_status course_begin(struct course *course, const struct invocation *invocation,
                           struct scene *scene, const struct bench_plan *plan, bool is_quiet,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Ends the processors and removes what was written. Passes `status` on, or says what went wrong
 * now. */
heddle_status course_end(struct course *course, heddle_status status,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Returns when every one of `operations` has ended. HEDDLE_PERMANENT: none has for a minute. */
heddle_status course_await_drained(struct course *course, int64_t operations, bool is_durable,
                                   struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Counts what the operations of the plan, and of its backlog, have left behind: `is_right` and
 * `verdict`. */
heddle_status course_verify(struct course *course, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
