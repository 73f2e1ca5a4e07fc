/* See child.h. Runs in the supervisor, which has one thread. */
#include "engine/child.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "link/redis.h"
#include "queue/lanes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RESTART_BASE_MS = 50, /* least wait, but after the first death of a healthy child: then none */
    RESTART_CAP_MS = 10000,
    HEALTHY_MS = 10000, /* a child that lived so long starts with a clean record */
};

static heddle_status suspect(const struct board_slot *slot, const char *incarnation,
                             struct redis_link *redis, struct command *command, int poison_crashes,
                             struct heddle_error *err);
static int64_t backoff_ms(int failures);

struct child *child_new(int generation, int workers, bool is_quarantine)
{
    struct board *board = board_new(is_quarantine ? 1 : workers);
    if (!board)
        return NULL;

    struct child *child = memory_take_zeroed(1, sizeof *child);
    child->board = board;
    child->generation = generation;
    child->kill_ms = INT64_MAX;
    child->is_quarantine = is_quarantine;
    return child;
}

void child_free(struct child *child)
{
    if (!child)
        return;
    board_free(child->board);
    free(child);
}

void child_start(struct child *child, const struct supervisor_options *options, bool is_quiet)
{
    char incarnation[128];
    pid_t parent = getpid();

    incarnation_name(incarnation, sizeof incarnation);
    board_reset(child->board, incarnation);
    atomic_store(&child->board->is_quiet, is_quiet);
    child->started_ms = clock_now_ms();
    child->restart_ms = INT64_MAX;
    child->kill_ms = INT64_MAX;
    child->pid = fork();
    if (child->pid < 0) {
        child->pid = 0;
        child_died(child);
        return;
    }
    if (child->pid > 0)
        return;
    /* A supervisor that is killed leaves nobody behind. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0);
    _exit(options->child(options->argument, child->board, child->is_quarantine));
}

bool child_is_ready(const struct child *child)
{
    return child->pid > 0 && atomic_load(&child->board->is_ready);
}

void child_end(struct child *child, int number, int64_t grace_ms)
{
    if (child->pid == 0)
        return;
    int64_t kill_ms = clock_now_ms() + grace_ms;
    if (kill_ms < child->kill_ms)
        child->kill_ms = kill_ms;
    kill(child->pid, number);
}

void child_died(struct child *child)
{
    child->pid = 0;
    child->kill_ms = INT64_MAX;
    child->has_been_ready |= atomic_load(&child->board->is_ready);
    child->failures = clock_now_ms() - child->started_ms > HEALTHY_MS ? 1 : child->failures + 1;
    child->restart_ms = clock_now_ms() + backoff_ms(child->failures);
}

struct death death_of(int wait_status)
{
    const bool is_crash = WIFSIGNALED(wait_status);

    return (struct death){
        .is_clean = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0,
        .is_crash = is_crash,
        .code = is_crash ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status),
    };
}

bool child_free_lanes(const struct child *child, const struct death *death,
                      struct redis_link *redis, struct command *command, int poison_crashes)
{
    struct board *board = child->board;
    int crashed = atomic_load(&board->crashed);
    bool has_suspect = death->is_crash && crashed >= 0 && crashed < board->slot_count &&
                       atomic_load(&board->slots[crashed].is_busy);
    struct heddle_error err;
    heddle_status status = HEDDLE_OK;

    if (has_suspect)
        status = suspect(&board->slots[crashed], board->incarnation, redis, command,
                         child->is_quarantine ? poison_crashes : 0, &err);
    if (status == HEDDLE_OK)
        status = lanes_release_everywhere(redis, command, board->incarnation, &err);
    if (status != HEDDLE_OK) {
        redis_close(redis);
        /* Then its lease frees them. */
        heddle_log(HEDDLE_LOG_WARNING, "release_failed", "text=%s", LOG_TEXT(err.text));
    }
    return has_suspect && status == HEDDLE_OK;
}

/* Each lane of a bundle is suspected; in the quarantine, where operations go alone, one of them
 * will be found guilty. */
static heddle_status suspect(const struct board_slot *slot, const char *incarnation,
                             struct redis_link *redis, struct command *command, int poison_crashes,
                             struct heddle_error *err)
{
    const int pointed = atomic_load(&slot->pointed);
    const int first = pointed == BOARD_ALL ? 0 : pointed;
    const int end = pointed == BOARD_ALL ? slot->count : pointed + 1;
    heddle_status status = HEDDLE_OK;

    for (int i = first; status == HEDDLE_OK && i < end; i++) {
        const struct board_lane *lane = &slot->lanes[i];
        status = lanes_suspect(redis, command, lane->partition, incarnation, lane->name, lane->id,
                               poison_crashes, err);
        heddle_log(HEDDLE_LOG_ERROR, "operation_suspected", "id=%s lane=%s charged=%s", lane->id,
                   LOG_TEXT(lane->name), poison_crashes > 0 ? "true" : "false");
    }
    return status;
}

static int64_t backoff_ms(int failures)
{
    if (failures == 1)
        return 0;
    return RESTART_BASE_MS + clock_backoff_ms(failures - 1, RESTART_BASE_MS, RESTART_CAP_MS);
}
