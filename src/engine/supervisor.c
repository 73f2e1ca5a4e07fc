/* See supervisor.h. One thread: it waits for signals, children's deaths among them. */
#include "engine/supervisor.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/child.h"
#include "heddle/version.h"
#include "link/redis.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    IDLE_MS = 60000,
    STARTING_MS = 10,      /* while children start: how often it looks whether they are ready */
    DRAIN_GRACE_MS = 2000, /* beyond drain_ms: then a child is killed */
    QUIT_GRACE_MS = 3000,  /* a child gives itself less */
};

struct supervisor {
    struct supervisor_options options; /* of the present generation */
    struct supervisor_options before;  /* of the one before, while is_unproved */
    const void *first_argument;        /* the caller's own */
    int generation;
    bool is_unproved; /* no child of this generation has been ready yet, but the old ones are there
                       */
    struct child *children;
    struct child *quarantine; /* among them; it ends when no suspect is left */
    struct redis_link *redis;
    struct command command;
    sigset_t signals;
    bool has_suspects; /* since the quarantine was last started */
    bool is_announced; /* every processor of the generation has been ready */
    bool is_quiet;
    bool wants_reload;
    bool is_stopping;
    int exit_code;
};

/* Its processors. */
struct census {
    int fresh, ready; /* of this generation */
    int old;          /* of another; they run */
    bool is_any_leaving;
    struct child *next_to_leave;
};

static bool open_supervisor(struct supervisor *supervisor);
static void close_supervisor(struct supervisor *supervisor);
static struct child *add(struct supervisor *supervisor, bool is_quarantine);
static void drop(struct supervisor *supervisor, struct child *child);
static void start_due(struct supervisor *supervisor);
static void await_signal(struct supervisor *supervisor);
static void obey(struct supervisor *supervisor, int number);
static void tell(struct supervisor *supervisor, int number);
static void stop(struct supervisor *supervisor, int number);
static void kill_late(struct supervisor *supervisor);
static void reap(struct supervisor *supervisor);
static void mourn(struct supervisor *supervisor, struct child *child, const struct death *death);
static void note_end(struct supervisor *supervisor, const struct death *death);
static void replace(struct supervisor *supervisor);
static struct census count(const struct supervisor *supervisor);
static void announce(struct supervisor *supervisor);
static void reload(struct supervisor *supervisor);
static void revert(struct supervisor *supervisor, struct child *child);
static void discard(struct supervisor *supervisor, struct supervisor_options *options);
static bool is_any_alive(const struct supervisor *supervisor);

int supervisor_run(const struct supervisor_options *options)
{
    struct supervisor supervisor = {.options = *options, .first_argument = options->argument};

    if (!open_supervisor(&supervisor))
        return 4;
    while (!supervisor.is_stopping || is_any_alive(&supervisor)) {
        if (!supervisor.is_stopping)
            replace(&supervisor);
        if (!supervisor.is_stopping)
            start_due(&supervisor);
        await_signal(&supervisor);
        kill_late(&supervisor);
        reap(&supervisor);
    }
    close_supervisor(&supervisor);
    return supervisor.exit_code;
}

static bool open_supervisor(struct supervisor *supervisor)
{
    static const int taken[] = {SIGCHLD, SIGTERM, SIGINT,  SIGQUIT,
                                SIGTSTP, SIGCONT, SIGTTIN, SIGHUP};
    const struct supervisor_options *options = &supervisor->options;
    struct heddle_error err;

    sigemptyset(&supervisor->signals);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        sigaddset(&supervisor->signals, taken[i]);
    sigprocmask(SIG_BLOCK, &supervisor->signals, NULL);
    command_init(&supervisor->command);
    if (redis_new(options->redis, options->redis_timeout_ms, &supervisor->redis, &err) != HEDDLE_OK)
        return false;
    supervisor->quarantine = add(supervisor, true);
    return true;
}

static void close_supervisor(struct supervisor *supervisor)
{
    while (supervisor->children)
        drop(supervisor, supervisor->children);
    if (supervisor->is_unproved)
        discard(supervisor, &supervisor->before);
    discard(supervisor, &supervisor->options);
    redis_free(supervisor->redis);
    command_done(&supervisor->command);
}

static struct child *add(struct supervisor *supervisor, bool is_quarantine)
{
    struct child *child =
        child_new(supervisor->generation, supervisor->options.workers, is_quarantine);

    if (!child)
        abort();
    /* What the first of its generation could, it can; if not now, then later. */
    child->has_been_ready = supervisor->generation > 0 && !supervisor->is_unproved;
    child->next = supervisor->children;
    supervisor->children = child;
    return child;
}

static void drop(struct supervisor *supervisor, struct child *child)
{
    struct child **link = &supervisor->children;

    while (*link != child)
        link = &(*link)->next;
    *link = child->next;
    child_free(child);
}

static void start_due(struct supervisor *supervisor)
{
    for (struct child *child = supervisor->children; child; child = child->next) {
        if (child->pid > 0 || child->restart_ms > clock_now_ms())
            continue;
        if (child->is_quarantine)
            supervisor->has_suspects = false;
        bool is_before = child->is_quarantine && supervisor->is_unproved;
        child_start(child, is_before ? &supervisor->before : &supervisor->options,
                    supervisor->is_quiet);
    }
}

static void await_signal(struct supervisor *supervisor)
{
    int64_t now_ms = clock_now_ms(), until_ms = now_ms + IDLE_MS;

    for (const struct child *child = supervisor->children; child; child = child->next) {
        int64_t due_ms = child->pid > 0 ? child->kill_ms : child->restart_ms;
        if (child->pid > 0 && !child_is_ready(child) && due_ms > now_ms + STARTING_MS)
            due_ms = now_ms + STARTING_MS;
        if (due_ms < until_ms && (child->pid > 0 || !supervisor->is_stopping))
            until_ms = due_ms;
    }
    int64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    const struct timespec timeout = {left_ms / 1000, left_ms % 1000 * 1000000};
    int number = sigtimedwait(&supervisor->signals, NULL, &timeout);
    if (number > 0)
        obey(supervisor, number);
}

static void obey(struct supervisor *supervisor, int number)
{
    switch (number) {
    case SIGTERM:
    case SIGINT:
        stop(supervisor, supervisor->is_stopping ? SIGQUIT : SIGTERM);
        break;
    case SIGQUIT:
        stop(supervisor, SIGQUIT);
        break;
    case SIGHUP:
        supervisor->wants_reload = true;
        break;
    case SIGTSTP:
    case SIGCONT:
        supervisor->is_quiet = number == SIGTSTP;
        tell(supervisor, number);
        break;
    case SIGTTIN:
        tell(supervisor, number);
        break;
    }
}

static void tell(struct supervisor *supervisor, int number)
{
    for (struct child *child = supervisor->children; child; child = child->next)
        if (child->pid > 0)
            kill(child->pid, number);
}

static void stop(struct supervisor *supervisor, int number)
{
    int64_t grace_ms =
        number == SIGQUIT ? QUIT_GRACE_MS : supervisor->options.drain_ms + DRAIN_GRACE_MS;

    supervisor->is_stopping = true;
    for (struct child *child = supervisor->children; child; child = child->next)
        child_end(child, number, grace_ms);
}

static void kill_late(struct supervisor *supervisor)
{
    for (struct child *child = supervisor->children; child; child = child->next)
        if (child->pid > 0 && clock_now_ms() >= child->kill_ms) {
            heddle_log(HEDDLE_LOG_WARNING, "processor_killed", "incarnation=%s",
                       child->board->incarnation);
            child->kill_ms = INT64_MAX;
            kill(child->pid, SIGKILL);
        }
}

static void reap(struct supervisor *supervisor)
{
    int wait_status;
    pid_t pid;

    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        const struct death death = death_of(wait_status);
        struct child *child = supervisor->children;
        while (child && child->pid != pid)
            child = child->next;
        if (child)
            mourn(supervisor, child, &death);
    }
}

/* Its lanes are free before anything else happens. */
static void mourn(struct supervisor *supervisor, struct child *child, const struct death *death)
{
    struct child *quarantine = supervisor->quarantine;
    bool was_ready = child_is_ready(child);

    child_died(child);
    if (!death->is_clean && was_ready) {
        supervisor->has_suspects |=
            child_free_lanes(child, death, supervisor->redis, &supervisor->command,
                             supervisor->options.poison_crashes);
        heddle_log(HEDDLE_LOG_WARNING, "processor_died", "incarnation=%s signal=%d exit=%d",
                   child->board->incarnation, death->is_crash ? death->code : 0,
                   death->is_crash ? 0 : death->code);
    }
    if (supervisor->has_suspects && child != quarantine && quarantine->pid == 0)
        quarantine->restart_ms = 0;
    if (child == quarantine && death->is_clean && !supervisor->has_suspects)
        child->restart_ms = INT64_MAX;
    if (supervisor->is_stopping)
        note_end(supervisor, death);
    else if (child != quarantine && child->generation != supervisor->generation)
        drop(supervisor, child);
    else if (!child->has_been_ready && !death->is_clean && supervisor->is_unproved)
        revert(supervisor, child);
    else if (!child->has_been_ready && !death->is_clean && !death->is_crash) {
        /* It can't even start: neither can the others. */
        note_end(supervisor, death);
        stop(supervisor, SIGTERM);
    }
}

static void note_end(struct supervisor *supervisor, const struct death *death)
{
    int code = death->is_crash ? 1 : death->code;

    if (code > supervisor->exit_code)
        supervisor->exit_code = code;
}

/* A step towards what shall be: `processes` children of this generation, and none of another. */
static void replace(struct supervisor *supervisor)
{
    struct census census = count(supervisor);

    if (census.ready > 0 && supervisor->is_unproved) {
        supervisor->is_unproved = false;
        discard(supervisor, &supervisor->before);
    }
    if (census.old == 0 && supervisor->wants_reload) {
        reload(supervisor);
        census = count(supervisor);
    }
    const int wanted = supervisor->options.processes;
    if (census.old == 0 && census.ready == wanted)
        announce(supervisor);
    for (int i = census.fresh; census.old == 0 && i < wanted; i++)
        add(supervisor, false);
    if (census.old == 0 || census.ready < census.fresh || census.is_any_leaving)
        return;
    if (census.fresh == 0 || census.old + census.fresh <= wanted)
        add(supervisor, false);
    else
        child_end(census.next_to_leave, SIGTERM, supervisor->options.drain_ms + DRAIN_GRACE_MS);
}

static struct census count(const struct supervisor *supervisor)
{
    struct census census = {0};

    for (struct child *child = supervisor->children; child; child = child->next) {
        if (child->is_quarantine)
            continue;
        if (child->generation == supervisor->generation) {
            census.fresh++;
            census.ready += child_is_ready(child);
            continue;
        }
        census.old++;
        if (child->kill_ms != INT64_MAX)
            census.is_any_leaving = true;
        else
            census.next_to_leave = child;
    }
    return census;
}

static void announce(struct supervisor *supervisor)
{
    const struct supervisor_options *options = &supervisor->options;

    if (!supervisor->is_announced)
        heddle_log(HEDDLE_LOG_INFO, supervisor->generation == 0 ? "ready" : "reloaded",
                   "version=%s pid=%d processes=%d workers=%d", heddle_version(), (int)getpid(),
                   options->processes, options->workers);
    supervisor->is_announced = true;
}

/* Begins a generation. */
static void reload(struct supervisor *supervisor)
{
    struct supervisor_options fresh = supervisor->options;

    supervisor->wants_reload = false;
    if (!fresh.reload || !fresh.reload(fresh.argument, &fresh))
        return;
    supervisor->before = supervisor->options;
    supervisor->options = fresh;
    supervisor->generation++;
    supervisor->is_unproved = true;
    supervisor->is_announced = false;
    for (struct child *child = supervisor->children, *next; child; child = next) {
        next = child->next;
        if (!child->is_quarantine && child->pid == 0)
            drop(supervisor, child);
    }
}

/* The first child of a generation could not start. Those of the one before are all there. */
static void revert(struct supervisor *supervisor, struct child *child)
{
    heddle_log(HEDDLE_LOG_ERROR, "reload_failed", "reason=\"the new processor did not start\"");
    discard(supervisor, &supervisor->options);
    drop(supervisor, child);
    supervisor->options = supervisor->before;
    supervisor->generation--;
    supervisor->is_unproved = false;
    supervisor->is_announced = true;
}

static void discard(struct supervisor *supervisor, struct supervisor_options *options)
{
    if (options->argument != supervisor->first_argument)
        options->discard(options->argument);
}

static bool is_any_alive(const struct supervisor *supervisor)
{
    for (const struct child *child = supervisor->children; child; child = child->next)
        if (child->pid > 0)
            return true;
    return false;
}
