/* A process that the supervisor has forked, or is about to: its board, its life, its death. */
#ifndef ENGINE_CHILD_H
#define ENGINE_CHILD_H

#include "engine/board.h"
#include "engine/supervisor.h"
#include "queue/command.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct redis_link;

struct child {
    struct child *next; /* of the supervisor's */
    struct board *board;
    pid_t pid; /* 0: not running */
    int generation;
    int64_t started_ms;
    int64_t restart_ms; /* when it is to be started; INT64_MAX: not */
    int64_t kill_ms;    /* when it is killed, having been told to end; INT64_MAX: was not told */
    int failures;       /* in a row */
    bool has_been_ready;
    bool is_quarantine;
};

/* NULL where there is no memory. */
struct child *child_new(int generation, int workers, bool is_quarantine);
void child_free(struct child *child);

/* Forks. In the child it does not return. Where that fails it is to be started again later. */
void child_start(struct child *child, const struct supervisor_options *options, bool is_quiet);

/* True where it runs, has started, and claims unless it is quiet. */
bool child_is_ready(const struct child *child);

/* Tells it to end, by `number`; after `grace_ms` it is killed. */
void child_end(struct child *child, int number, int64_t grace_ms);

/* It has died (waitpid): when it is to be started again is set, with backoff. */
void child_died(struct child *child);

/* How it died. */
struct death {
    bool is_clean; /* exit 0 */
    bool is_crash; /* by a signal */
    int code;      /* of its exit, or the signal */
};

struct death death_of(int wait_status);

/* Frees its lanes. True where an operation is suspected of the crash: of the thread that crashed,
 * or, where nobody could say, none: a process that was killed did not die of its operations. */
bool child_free_lanes(const struct child *child, const struct death *death,
                      struct redis_link *redis, struct command *command, int poison_crashes);

#endif
