/* See listener.h. A channel that is lost stays lost: what drains has an end. */
#include "engine/listener.h"

#include "base/arena.h"
#include "base/thread.h"
#include "engine/reporter.h"
#include "engine/wakes.h"
#include "engine/watchdog.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct listener {
    struct wakes *wakes;
    struct watchdog *watchdog;
    struct reporter *reporter;
    int stop_fd;
    pthread_t thread;
};

static void *listener_body(void *argument);
static void hear(struct listener *listener);

struct listener *listener_start(struct wakes *wakes, struct watchdog *watchdog,
                                struct reporter *reporter)
{
    struct listener *listener = memory_take_zeroed(1, sizeof *listener);

    listener->wakes = wakes;
    listener->watchdog = watchdog;
    listener->reporter = reporter;
    listener->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listener->stop_fd < 0)
        abort();
    thread_start(&listener->thread, "heddle-listen", listener_body, listener);
    return listener;
}

void listener_stop(struct listener *listener)
{
    eventfd_write(listener->stop_fd, 1);
    thread_join(listener->thread);
    close(listener->stop_fd);
    free(listener);
}

static void *listener_body(void *argument)
{
    struct listener *listener = argument;
    struct pollfd fds[] = {{.fd = listener->stop_fd, .events = POLLIN}, {.events = POLLIN}};

    hear(listener);
    while (!fds[0].revents) {
        fds[1].fd = wakes_fd(listener->wakes);
        poll(fds, 2, -1);
        if (fds[1].revents)
            hear(listener);
    }
    return NULL;
}

static void hear(struct listener *listener)
{
    struct heddle_error err;
    struct wake wake;

    while (wakes_next(listener->wakes, &wake, &err) == HEDDLE_OK && wake.kind != WAKE_NONE)
        switch (wake.kind) {
        case WAKE_CANCEL:
            watchdog_cancel(listener->watchdog, wake.id);
            break;
        case WAKE_REPORT:
            reporter_ask(listener->reporter, &wake.report);
            break;
        case WAKE_NONE:
        case WAKE_PARTITION:
        case WAKE_YIELD:
        case WAKE_SHARES:
            break;
        }
}
