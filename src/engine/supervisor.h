/* The supervisor: forks processors, before any thread exists, and starts those anew that die.
 *
 * The lanes of a dead child are free at once. Operations that were on a crashing thread are
 * suspects: their lanes go to a quarantine process that tries each alone. One that crashes there is
 * charged, and given up after `poison_crashes`; its neighbours are charged nothing.
 *
 * Children of one set of options are a *generation*. HUP begins the next one: its children take the
 * place of the old, one after the other, each ready before another is told to end, so that work
 * goes on all the time. A generation whose first child can't start is given up, and the old one
 * stays. */
#ifndef ENGINE_SUPERVISOR_H
#define ENGINE_SUPERVISOR_H

#include "engine/board.h"
#include "heddle/error.h"

#include <stdbool.h>
#include <stdint.h>

struct supervisor_options {
    int processes;
    int workers;       /* of a processor: slots of its board */
    const char *redis; /* borrowed; the same in all generations */
    int redis_timeout_ms;
    int poison_crashes;
    int64_t drain_ms;
    /* The child's life, in the child: its exit code. */
    int (*child)(void *argument, struct board *board, bool is_quarantine);
    /* HUP: the options of the next generation, with an argument of its own. False where they can't
     * be had, which is logged. NULL: HUP does nothing. */
    bool (*reload)(void *argument, struct supervisor_options *fresh);
    /* Frees an argument that came from `reload`, when no child needs it any more. */
    void (*discard)(void *argument);
    void *argument;
};

/* Runs until a child can't start at all, or a signal ends it; signals are taken by waiting. TERM
 * and INT: children drain; again, or QUIT: they stop now. TSTP: they are quiet, until CONT. HUP:
 * see above. TTIN: they report. Returns the exit code of the process: the worst of its children. */
int supervisor_run(const struct supervisor_options *options);

#endif
