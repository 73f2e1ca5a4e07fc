/* Signals of a processor (signals.h). Runs on the main thread. */
#include "app/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* The one list. */
static const struct signal_row {
    int number;
    enum signal_wish wish;
} rows[] = {
    {SIGTERM, SIGNAL_DRAIN}, {SIGINT, SIGNAL_DRAIN},   {SIGQUIT, SIGNAL_STOP},
    {SIGTSTP, SIGNAL_QUIET}, {SIGCONT, SIGNAL_RESUME}, {SIGTTIN, SIGNAL_REPORT},
    {SIGHUP, SIGNAL_NONE},
};

enum { ROW_COUNT = sizeof rows / sizeof *rows, STOP_SECONDS = 1 };

/* Written before the handlers are installed. */
static struct {
    void (*stop)(void *argument);
    void *argument;
    int exit_code;
} armed;

static sigset_t taken(void);
static sigset_t stopping(void);
static void change_mask(int how, sigset_t set);
static void stop_soon(int number);
static void stop_now(int number);

void signals_block(void)
{
    change_mask(SIG_BLOCK, taken());
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

void signals_arm_stop(void (*stop)(void *argument), void *argument, int exit_code)
{
    struct sigaction soon = {.sa_handler = stop_soon}, now = {.sa_handler = stop_now};

    armed.stop = stop;
    armed.argument = argument;
    armed.exit_code = exit_code;
    sigemptyset(&soon.sa_mask);
    sigemptyset(&now.sa_mask);
    sigaction(SIGQUIT, &soon, NULL);
    sigaction(SIGALRM, &now, NULL);
    change_mask(SIG_UNBLOCK, stopping());
}

static sigset_t taken(void)
{
    sigset_t set = stopping();

    for (size_t i = 0; i < ROW_COUNT; i++)
        sigaddset(&set, rows[i].number);
    return set;
}

static sigset_t stopping(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGALRM);
    return set;
}

static void change_mask(int how, sigset_t set)
{
    if (pthread_sigmask(how, &set, NULL) != 0)
        abort();
}

static void stop_soon(int number)
{
    (void)number;
    armed.stop(armed.argument);
    alarm(STOP_SECONDS);
}

static void stop_now(int number)
{
    (void)number;
    _exit(armed.exit_code);
}
