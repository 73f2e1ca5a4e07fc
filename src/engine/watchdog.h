/* The watchdog: ends what runs too long, what a client cancels, and what runs when the processor is
 * told to end now.
 *
 * Past the soft deadline an operation is asked to end early (heddle_task_is_cancelled) and what it
 * waits for in Postgres is cancelled; it comes again, and is charged an attempt. Past the hard
 * deadline the process ends, the operation being suspected of it: see supervisor.h. One thread: to
 * cancel a statement may block, and nothing else should be held up by that. */
#ifndef ENGINE_WATCHDOG_H
#define ENGINE_WATCHDOG_H

#include "engine/board.h"
#include "engine/holdings.h"
#include "engine/roster.h"

#include <stdint.h>

struct watchdog;

struct watchdog_options {
    int64_t soft_ms, hard_ms; /* 0: none */
    struct board *board;      /* NULL: no supervisor */
};

/* Borrows the roster and the holdings. */
struct watchdog *watchdog_new(const struct watchdog_options *options, struct roster *roster,
                              struct holdings *holdings);
void watchdog_free(struct watchdog *watchdog);
void watchdog_start(struct watchdog *watchdog);
void watchdog_stop(struct watchdog *watchdog);

/* A client wants the operation not to happen: whether it is begun or only in hand, it is cancelled.
 * One that has been settled meanwhile is not known here: that is too late. Thread-safe. */
void watchdog_cancel(struct watchdog *watchdog, const char *id);

/* From now on everything that runs is cancelled. Thread-safe and async-signal-safe. */
void watchdog_quit(struct watchdog *watchdog);

#endif
