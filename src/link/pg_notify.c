/* Notifications on a connection that listens. Runs on the owner's thread; see pg.h. */
#include "link/pg_internal.h"

#include <errno.h>
#include <poll.h>

static bool take_notifications(struct pg_link *link);

heddle_status pg_await_notification(struct pg_link *link, int other_fd, int64_t timeout_ms,
                                    bool *is_notified, struct heddle_error *err)
{
    if (!pg_is_connected(link))
        return heddle_fail(err, HEDDLE_RETRY, PG_WHERE, "not connected");
    *is_notified = take_notifications(link);
    if (*is_notified)
        return HEDDLE_OK;

    struct pollfd fds[] = {{.fd = PQsocket(link->conn), .events = POLLIN},
                           {.fd = other_fd, .events = POLLIN}};
    if (poll(fds, 2, (int)timeout_ms) < 0 && errno != EINTR)
        return heddle_fail(err, HEDDLE_RETRY, PG_WHERE, "poll failed");
    if (fds[0].revents && !PQconsumeInput(link->conn)) {
        heddle_fail(err, HEDDLE_RETRY, PG_WHERE, "%s", PQerrorMessage(link->conn));
        pg_close(link);
        return HEDDLE_RETRY;
    }
    *is_notified = take_notifications(link);
    return HEDDLE_OK;
}

static bool take_notifications(struct pg_link *link)
{
    bool is_any = false;
    PGnotify *notification;

    while ((notification = PQnotifies(link->conn))) {
        PQfreemem(notification);
        is_any = true;
    }
    return is_any;
}
