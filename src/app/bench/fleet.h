/* The processors of a benchmark: children of this process, supervised as those of `heddle run`.
 *
 * On the main thread, before it has started any other. */
#ifndef APP_BENCH_FLEET_H
#define APP_BENCH_FLEET_H

#include "app/command.h"

#include <stdbool.h>
#include <sys/types.h>

struct tally;

struct fleet {
    const struct invocation *invocation;
    struct tally *tally;
    bool is_quiet; /* they begin nothing before fleet_go */
    pid_t supervisor;
};

/* Forks them. They are not ready yet: whoever waits for that asks fleet_is_alive as well. */
heddle_status fleet_start(struct fleet *fleet, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* They begin. */
void fleet_go(const struct fleet *fleet);

/* False once one could not start: why stands on stderr. */
bool fleet_is_alive(struct fleet *fleet);

/* Drains and ends them. False where that was not a clean end. A fleet that is not alive is fine. */
bool fleet_stop(struct fleet *fleet);

#endif
