/* Signals of `heddle run` (signals.h). Runs on the main thread. */
#include "app/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* The one list; a wish of its own is what a further signal needs. */
static const struct signal_row {
    int number;
    enum signal_wish wish;
} rows[] = {
    {SIGTERM, SIGNAL_DRAIN},
    {SIGINT, SIGNAL_DRAIN},
    {SIGQUIT, SIGNAL_STOP},
};

enum { ROW_COUNT = sizeof rows / sizeof *rows };

/* Written before the handler is installed. */
static int stop_exit_code;

static sigset_t taken(void);
static void stop_now(int number);

void signals_block(void)
{
    sigset_t set = taken();
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        abort();
}

enum signal_wish signals_wait(int64_t timeout_ms)
{
    const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};
    sigset_t set = taken();

    int number = timeout_ms < 0 ? sigwaitinfo(&set, NULL) : sigtimedwait(&set, NULL, &timeout);
    if (number < 0)
        return SIGNAL_NONE;
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].number == number)
            return rows[i].wish;
    abort();
}

void signals_arm_stop(int exit_code)
{
    struct sigaction action = {.sa_handler = stop_now};
    sigset_t set = taken();

    stop_exit_code = exit_code;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ROW_COUNT; i++)
        sigaction(rows[i].number, &action, NULL);
    if (pthread_sigmask(SIG_UNBLOCK, &set, NULL) != 0)
        abort();
}

static sigset_t taken(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ROW_COUNT; i++)
        sigaddset(&set, rows[i].number);
    return set;
}

static void stop_now(int number)
{
    (void)number;
    _exit(stop_exit_code);
}
