/* See supervisor.h. One thread: it waits for signals, children's deaths among them. */
#include "engine/supervisor.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "heddle/version.h"
#include "link/redis.h"
#include "queue/command.h"
#include "queue/lanes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RESTART_BASE_MS = 50,
    RESTART_CAP_MS = 10000,
    HEALTHY_MS = 10000, /* a child that lived so long starts with a clean record */
    IDLE_MS = 60000,
    STARTING_MS = 10,     /* until all are ready: how often it looks */
    STOP_GRACE_MS = 2000, /* beyond drain_ms: then a child is killed */
};

struct child {
    struct board *board;
    pid_t pid; /* 0: not running */
    int64_t started_ms;
    int64_t restart_ms; /* when it is to be started */
    int failures;       /* in a row */
    bool was_ready;     /* once: it can start */
    bool is_quarantine;
};

struct supervisor {
    const struct supervisor_options *options;
    struct child *children; /* the last one is the quarantine: it ends when no suspect is left */
    int child_count;
    struct redis_link *redis;
    struct command command;
    sigset_t signals;
    bool has_suspects; /* since the quarantine was last started */
    bool is_announced; /* every processor has been ready once */
    bool is_stopping;
    int64_t kill_ms;
    int exit_code;
};

static bool open_supervisor(struct supervisor *supervisor);
static void close_supervisor(struct supervisor *supervisor);
static void start_due(struct supervisor *supervisor);
static void start(struct supervisor *supervisor, struct child *child);
static void announce(struct supervisor *supervisor);
static void await_signal(struct supervisor *supervisor);
static void stop(struct supervisor *supervisor, int number);
static void reap(struct supervisor *supervisor);
static void mourn(struct supervisor *supervisor, struct child *child, int wait_status);
static bool free_lanes(struct supervisor *supervisor, struct child *child, bool is_crash);
static bool is_any_alive(const struct supervisor *supervisor);

int supervisor_run(const struct supervisor_options *options)
{
    struct supervisor supervisor = {.options = options, .child_count = options->processes + 1};

    if (!open_supervisor(&supervisor))
        return 4;
    while (!supervisor.is_stopping || is_any_alive(&supervisor)) {
        if (!supervisor.is_stopping)
            start_due(&supervisor);
        announce(&supervisor);
        await_signal(&supervisor);
        reap(&supervisor);
    }
    close_supervisor(&supervisor);
    return supervisor.exit_code;
}

static bool open_supervisor(struct supervisor *supervisor)
{
    static const int taken[] = {SIGCHLD, SIGTERM, SIGINT, SIGQUIT};
    const struct supervisor_options *options = supervisor->options;
    struct heddle_error err;

    sigemptyset(&supervisor->signals);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        sigaddset(&supervisor->signals, taken[i]);
    sigprocmask(SIG_BLOCK, &supervisor->signals, NULL);
    command_init(&supervisor->command);
    supervisor->children =
        memory_take_zeroed((size_t)supervisor->child_count, sizeof *supervisor->children);
    if (redis_new(options->redis, options->redis_timeout_ms, &supervisor->redis, &err) != HEDDLE_OK)
        return false;
    for (int i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        child->is_quarantine = i == options->processes;
        child->board = board_new(child->is_quarantine ? 1 : options->workers);
        if (!child->board)
            return false;
    }
    return true;
}

static void close_supervisor(struct supervisor *supervisor)
{
    for (int i = 0; i < supervisor->child_count; i++)
        board_free(supervisor->children[i].board);
    free(supervisor->children);
    redis_free(supervisor->redis);
    command_done(&supervisor->command);
}

static void start_due(struct supervisor *supervisor)
{
    for (int i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        if (child->pid == 0 && child->restart_ms <= clock_now_ms())
            start(supervisor, child);
    }
}

static void start(struct supervisor *supervisor, struct child *child)
{
    const struct supervisor_options *options = supervisor->options;
    char incarnation[128];
    pid_t parent = getpid();

    incarnation_name(incarnation, sizeof incarnation);
    board_reset(child->board, incarnation);
    child->started_ms = clock_now_ms();
    if (child->is_quarantine)
        supervisor->has_suspects = false;
    child->pid = fork();
    if (child->pid < 0) {
        child->pid = 0;
        child->restart_ms = clock_now_ms() +
                            clock_backoff_ms(++child->failures, RESTART_BASE_MS, RESTART_CAP_MS) +
                            1;
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

static void announce(struct supervisor *supervisor)
{
    const struct supervisor_options *options = supervisor->options;
    bool is_ready = !supervisor->is_announced;

    for (int i = 0; is_ready && i < options->processes; i++)
        is_ready = atomic_load(&supervisor->children[i].board->is_ready);
    if (!is_ready)
        return;
    supervisor->is_announced = true;
    heddle_log(HEDDLE_LOG_INFO, "ready", "version=%s pid=%d processes=%d workers=%d",
               heddle_version(), (int)getpid(), options->processes, options->workers);
}

static void await_signal(struct supervisor *supervisor)
{
    int64_t until_ms = supervisor->is_stopping ? supervisor->kill_ms : INT64_MAX;

    for (int i = 0; !supervisor->is_stopping && i < supervisor->child_count; i++) {
        const struct child *child = &supervisor->children[i];
        if (child->pid == 0 && child->restart_ms < until_ms)
            until_ms = child->restart_ms;
    }
    int64_t left_ms = until_ms == INT64_MAX ? IDLE_MS : until_ms - clock_now_ms();
    if (!supervisor->is_announced && left_ms > STARTING_MS)
        left_ms = STARTING_MS;
    if (left_ms < 0)
        left_ms = 0;
    const struct timespec timeout = {left_ms / 1000, left_ms % 1000 * 1000000};
    int number = sigtimedwait(&supervisor->signals, NULL, &timeout);
    if (number > 0 && number != SIGCHLD)
        stop(supervisor, number);
    if (supervisor->is_stopping && clock_now_ms() >= supervisor->kill_ms)
        stop(supervisor, SIGKILL);
}

static void stop(struct supervisor *supervisor, int number)
{
    if (!supervisor->is_stopping)
        supervisor->kill_ms = clock_now_ms() + supervisor->options->drain_ms + STOP_GRACE_MS;
    supervisor->is_stopping = true;
    for (int i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].pid > 0)
            kill(supervisor->children[i].pid, number);
}

static void reap(struct supervisor *supervisor)
{
    int wait_status;
    pid_t pid;

    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
        for (int i = 0; i < supervisor->child_count; i++)
            if (supervisor->children[i].pid == pid)
                mourn(supervisor, &supervisor->children[i], wait_status);
}

/* Its lanes are free before anything else happens. */
static void mourn(struct supervisor *supervisor, struct child *child, int wait_status)
{
    bool is_clean = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
    bool is_crash = WIFSIGNALED(wait_status);
    bool was_ready = atomic_load(&child->board->is_ready);

    child->pid = 0;
    child->was_ready |= was_ready;
    if (!is_clean && was_ready) {
        supervisor->has_suspects |= free_lanes(supervisor, child, is_crash);
        heddle_log(HEDDLE_LOG_WARNING, "processor_died", "incarnation=%s signal=%d exit=%d",
                   child->board->incarnation, is_crash ? WTERMSIG(wait_status) : 0,
                   is_crash ? 0 : WEXITSTATUS(wait_status));
        struct child *quarantine = &supervisor->children[supervisor->child_count - 1];
        if (supervisor->has_suspects && quarantine->pid == 0)
            quarantine->restart_ms = 0;
    }
    if (supervisor->is_stopping || (!child->was_ready && !is_clean && !is_crash)) {
        /* It can't even start: neither can the others. */
        int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
        if (code > supervisor->exit_code)
            supervisor->exit_code = code;
        if (!supervisor->is_stopping)
            stop(supervisor, SIGTERM);
        return;
    }
    child->failures = clock_now_ms() - child->started_ms > HEALTHY_MS ? 1 : child->failures + 1;
    child->restart_ms =
        child->is_quarantine && is_clean && !supervisor->has_suspects
            ? INT64_MAX
            : clock_now_ms() + clock_backoff_ms(child->failures, RESTART_BASE_MS, RESTART_CAP_MS);
}

/* True where an operation is suspected of the crash: of the thread that crashed, or, where nobody
 * could say, none: a process that was killed did not die of its operations. */
static bool free_lanes(struct supervisor *supervisor, struct child *child, bool is_crash)
{
    const struct supervisor_options *options = supervisor->options;
    struct board *board = child->board;
    int crashed = atomic_load(&board->crashed);
    bool has_suspect = is_crash && crashed >= 0 && crashed < board->slot_count &&
                       atomic_load(&board->slots[crashed].is_busy);
    struct heddle_error err;
    heddle_status status = HEDDLE_OK;

    if (has_suspect) {
        const struct board_slot *slot = &board->slots[crashed];
        status = lanes_suspect(supervisor->redis, &supervisor->command, slot->partition,
                               board->incarnation, slot->lane, slot->id,
                               child->is_quarantine ? options->poison_crashes : 0, &err);
        heddle_log(HEDDLE_LOG_ERROR, "operation_suspected", "id=%s lane=%s charged=%s", slot->id,
                   LOG_TEXT(slot->lane), child->is_quarantine ? "true" : "false");
    }
    if (status == HEDDLE_OK)
        status = lanes_release_everywhere(supervisor->redis, &supervisor->command,
                                          board->incarnation, &err);
    if (status != HEDDLE_OK) {
        redis_close(supervisor->redis);
        /* Then its lease frees them. */
        heddle_log(HEDDLE_LOG_WARNING, "release_failed", "text=%s", LOG_TEXT(err.text));
    }
    return has_suspect && status == HEDDLE_OK;
}

static bool is_any_alive(const struct supervisor *supervisor)
{
    for (int i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].pid > 0)
            return true;
    return false;
}
