/* See watchdog.h. */
#include "engine/watchdog.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"

#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    /* While something is cancelled and has not ended: its next statement is cancelled too. */
    INSIST_EVERY_MS = 50,
    LOOK_MS = 60000,
};

struct watchdog {
    struct watchdog_options options;
    struct roster *roster;
    struct holdings *holdings;
    int wake_fd;
    atomic_bool is_stopping, is_quitting;
    pthread_t thread;
};

static void *watchdog_body(void *argument);
static int64_t look_at(struct watchdog *watchdog, int number, const struct sight *sight);
static void give_up(struct watchdog *watchdog, int number, const struct sight *sight);
static void wake(struct watchdog *watchdog);
static int64_t left_ms(int64_t deadline_ms, int64_t age_ms);
static void log_sight(enum heddle_log_level level, const char *event, int number,
                      const struct sight *sight);

struct watchdog *watchdog_new(const struct watchdog_options *options, struct roster *roster,
                              struct holdings *holdings)
{
    struct watchdog *watchdog = memory_take_zeroed(1, sizeof *watchdog);

    watchdog->options = *options;
    watchdog->roster = roster;
    watchdog->holdings = holdings;
    watchdog->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watchdog->wake_fd < 0)
        abort();
    return watchdog;
}

void watchdog_free(struct watchdog *watchdog)
{
    if (!watchdog)
        return;
    close(watchdog->wake_fd);
    free(watchdog);
}

void watchdog_start(struct watchdog *watchdog)
{
    thread_start(&watchdog->thread, "heddle-watch", watchdog_body, watchdog);
}

void watchdog_stop(struct watchdog *watchdog)
{
    atomic_store(&watchdog->is_stopping, true);
    wake(watchdog);
    thread_join(watchdog->thread);
}

void watchdog_cancel(struct watchdog *watchdog, const char *id)
{
    bool is_found = holdings_cancel(watchdog->holdings, text_of(id), CANCEL_ASKED);

    heddle_log(HEDDLE_LOG_INFO, "cancel_asked", "id=%s found=%s", LOG_TEXT(id),
               is_found ? "true" : "false");
    if (is_found)
        wake(watchdog);
}

void watchdog_quit(struct watchdog *watchdog)
{
    atomic_store(&watchdog->is_quitting, true);
    wake(watchdog);
}

static void *watchdog_body(void *argument)
{
    struct watchdog *watchdog = argument;
    struct pollfd woken = {.fd = watchdog->wake_fd, .events = POLLIN};
    eventfd_t ignored;

    while (!atomic_load(&watchdog->is_stopping)) {
        /* What is begun behind our back can't be due sooner. */
        int64_t wait_ms = left_ms(watchdog->options.soft_ms, 0);
        if (left_ms(watchdog->options.hard_ms, 0) < wait_ms)
            wait_ms = watchdog->options.hard_ms;
        for (int i = 0; i < roster_count(watchdog->roster); i++) {
            struct sight sight;
            int64_t due_ms =
                roster_see(watchdog->roster, i, &sight) ? look_at(watchdog, i, &sight) : wait_ms;
            if (due_ms < wait_ms)
                wait_ms = due_ms;
        }
        if (atomic_load(&watchdog->is_quitting) && wait_ms > INSIST_EVERY_MS)
            wait_ms = INSIST_EVERY_MS;
        poll(&woken, 1, (int)wait_ms);
        (void)!eventfd_read(watchdog->wake_fd, &ignored);
    }
    return NULL;
}

/* Returns when to look again. */
static int64_t look_at(struct watchdog *watchdog, int number, const struct sight *sight)
{
    const int64_t age_ms = sight->age_us / 1000;
    const int64_t until_soft_ms = left_ms(watchdog->options.soft_ms, age_ms);
    const int64_t until_hard_ms = left_ms(watchdog->options.hard_ms, age_ms);
    enum cancel_cause cause = atomic_load(&watchdog->is_quitting) ? CANCEL_QUIT
                              : until_soft_ms == 0                ? CANCEL_DEADLINE
                                                                  : CANCEL_NONE;

    if (until_hard_ms == 0)
        give_up(watchdog, number, sight);
    if (cause > sight->cause) {
        if (cause == CANCEL_DEADLINE)
            log_sight(HEDDLE_LOG_WARNING, "operation_overdue", number, sight);
        roster_cancel(watchdog->roster, number, sight, cause);
    }
    if (cause == CANCEL_NONE && sight->cause == CANCEL_NONE)
        return until_soft_ms < until_hard_ms ? until_soft_ms : until_hard_ms;
    roster_interrupt(watchdog->roster, number);
    return until_hard_ms < INSIST_EVERY_MS ? until_hard_ms : INSIST_EVERY_MS;
}

/* A thread can't be ended, so the process is. As after a crash, the board says of which worker. */
static void give_up(struct watchdog *watchdog, int number, const struct sight *sight)
{
    log_sight(HEDDLE_LOG_ERROR, "worker_stuck", number, sight);
    if (watchdog->options.board)
        atomic_store(&watchdog->options.board->crashed, number);
    abort();
}

static void wake(struct watchdog *watchdog)
{
    eventfd_write(watchdog->wake_fd, 1);
}

static int64_t left_ms(int64_t deadline_ms, int64_t age_ms)
{
    if (deadline_ms == 0)
        return LOOK_MS;
    return age_ms < deadline_ms ? deadline_ms - age_ms : 0;
}

static void log_sight(enum heddle_log_level level, const char *event, int number,
                      const struct sight *sight)
{
    heddle_log(level, event, "id=%s lane=%s op=%s phase=%s worker=%d age_ms=%" PRId64, sight->id,
               LOG_TEXT(sight->lane), sight->op, phase_name(sight->phase), number,
               sight->age_us / 1000);
}
