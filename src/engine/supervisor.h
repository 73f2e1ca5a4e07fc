/* The supervisor: forks processors, before any thread exists, and starts those anew that die.
 *
 * The lanes of a dead child are free at once. Operations that were on a crashing thread are
 * suspects: their lanes go to a quarantine process that tries each alone. One that crashes there is
 * charged, and given up after `poison_crashes`; its neighbours are charged nothing. */
#ifndef ENGINE_SUPERVISOR_H
#define ENGINE_SUPERVISOR_H

#include "engine/board.h"
#include "heddle/error.h"

#include <stdbool.h>
#include <stdint.h>

struct supervisor_options {
    int processes;
    int workers;       /* of a processor: slots of its board */
    const char *redis; /* borrowed */
    int redis_timeout_ms;
    int poison_crashes;
    int64_t drain_ms;
    /* The child's life, in the child: its exit code. Signals of the supervisor arrive there too. */
    int (*child)(void *argument, struct board *board, bool is_quarantine);
    void *argument;
};

/* Runs until TERM or INT (children drain), QUIT (they stop now), or a child can't start at all; the
 * signals are taken by waiting. Returns the exit code of the process: the worst of its children. */
int supervisor_run(const struct supervisor_options *options);

#endif
