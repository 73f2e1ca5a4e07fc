/* Making a link, opening and closing its connection. Runs on the owner's thread. */
#include "link/pg_internal.h"

#include "base/arena.h"
#include "base/clock.h"
#include "heddle/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *session_options(const struct pg_options *options, const PQconninfoOption *parsed);
static void ignore_notice(void *argument, const char *message);
static heddle_status connect_failed(struct pg_link *link, struct heddle_error *err,
                                    const char *reason);

heddle_status pg_new(const struct pg_options *options, struct pg_link **link,
                     struct heddle_error *err)
{
    char *problem = NULL;
    PQconninfoOption *parsed = PQconninfoParse(options->conninfo, &problem);

    if (!parsed) {
        heddle_fail(err, HEDDLE_FATAL, PG_WHERE, "bad connection string: %s",
                    problem ? problem : "out of memory");
        PQfreemem(problem);
        return HEDDLE_FATAL;
    }
    struct pg_link *fresh = memory_take_zeroed(1, sizeof *fresh);
    fresh->options = *options;
    fresh->conninfo = memory_copy(options->conninfo, strlen(options->conninfo));
    fresh->application_name =
        memory_copy(options->application_name, strlen(options->application_name));
    fresh->session_options = session_options(options, parsed);
    PQconninfoFree(parsed);
    if (asprintf(&fresh->timeouts_sql,
                 "select set_config('statement_timeout', '%d', true),"
                 " set_config('lock_timeout', '%d', true),"
                 " set_config('idle_in_transaction_session_timeout', '%d', true)",
                 options->statement_timeout_ms, options->lock_timeout_ms,
                 options->idle_transaction_timeout_ms) < 0)
        memory_exhausted();
    fresh->timeouts = (struct heddle_statement){"heddle_timeouts", fresh->timeouts_sql, 0};
    pg_cancel_init(&fresh->cancel);
    *link = fresh;
    return HEDDLE_OK;
}

void pg_free(struct pg_link *link)
{
    if (!link)
        return;
    pg_close(link);
    pg_cancel_done(&link->cancel);
    free(link->expected);
    free(link->prepared);
    free(link->conninfo);
    free(link->application_name);
    free(link->session_options);
    free(link->timeouts_sql);
    free(link);
}

heddle_status pg_connect(struct pg_link *link, struct heddle_error *err)
{
    if (link->conn && PQstatus(link->conn) == CONNECTION_OK)
        return HEDDLE_OK;
    pg_close(link);
    return pg_open(link, err);
}

void pg_close(struct pg_link *link)
{
    pg_cancel_disarm(link);
    PQfinish(link->conn);
    link->conn = NULL;
    link->in_transaction = false;
    link->commit_is_sent = false;
    link->expected_count = 0;
    link->prepared_count = 0;
}

heddle_status pg_open(struct pg_link *link, struct heddle_error *err)
{
    /* Defaults first: what stands in the connection string overrides them. */
    const char *const keywords[] = {"keepalives_idle",
                                    "keepalives_interval",
                                    "keepalives_count",
                                    "tcp_user_timeout",
                                    "fallback_application_name",
                                    "dbname",
                                    "options",
                                    NULL};
    const char *const values[] = {
        "5", "2", "3", "10000", link->application_name, link->conninfo, link->session_options,
        NULL};
    const int64_t deadline_us = clock_now_us() + (int64_t)link->options.connect_timeout_ms * 1000;

    link->conn = PQconnectStartParams(keywords, values, 1);
    if (!link->conn || PQstatus(link->conn) == CONNECTION_BAD)
        return connect_failed(link, err, NULL);
    PQsetNoticeProcessor(link->conn, ignore_notice, NULL);

    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED)
            return connect_failed(link, err, NULL);
        if (!pg_wait(link, state == PGRES_POLLING_WRITING, deadline_us))
            return connect_failed(link, err, "no connection within the time limit");
        state = PQconnectPoll(link->conn);
    }
    if (PQsetnonblocking(link->conn, 1) != 0 || !PQenterPipelineMode(link->conn))
        return connect_failed(link, err, NULL);
    pg_cancel_arm(link);
    return HEDDLE_OK;
}

bool pg_is_connected(const struct pg_link *link)
{
    return link->conn && PQstatus(link->conn) == CONNECTION_OK;
}

bool pg_is_idle(const struct pg_link *link)
{
    return pg_is_connected(link) && !link->in_transaction && link->expected_count == 0 &&
           PQtransactionStatus(link->conn) == PQTRANS_IDLE;
}

bool pg_is_answered(const struct pg_link *link)
{
    return link->expected_count == 0;
}

int pg_backend_pid(const struct pg_link *link)
{
    return link->conn ? PQbackendPID(link->conn) : 0;
}

int pg_server_version(const struct pg_link *link)
{
    return link->conn ? PQserverVersion(link->conn) : 0;
}

bool pg_wait(const struct pg_link *link, bool for_write, int64_t deadline_us)
{
    struct pollfd poll_fd = {.fd = PQsocket(link->conn),
                             .events = (short)(for_write ? POLLIN | POLLOUT : POLLIN)};

    for (;;) {
        int64_t left_us = deadline_us - clock_now_us();
        if (left_us <= 0)
            return false;
        struct timespec left = {left_us / 1000000, left_us % 1000000 * 1000};
        int ready = ppoll(&poll_fd, 1, &left, NULL);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

static char *session_options(const struct pg_options *options, const PQconninfoOption *parsed)
{
    const char *own = "";
    char *text = NULL;

    for (; parsed->keyword; parsed++)
        if (strcmp(parsed->keyword, "options") == 0 && parsed->val)
            own = parsed->val;
    /* A pooler refuses start-up parameters: there, each transaction sets its own. The server's side
     * of TCP: what a host that vanished held, a session's lock perhaps, is free soon. */
    int size = options->with_prepared_statements
                   ? asprintf(&text,
                              "-c statement_timeout=%d -c lock_timeout=%d"
                              " -c idle_in_transaction_session_timeout=%d"
                              " -c client_connection_check_interval=1000"
                              " -c tcp_keepalives_idle=%d -c tcp_keepalives_interval=1"
                              " -c tcp_user_timeout=%d %s",
                              options->statement_timeout_ms, options->lock_timeout_ms,
                              options->idle_transaction_timeout_ms, options->deadline_ms / 2000 + 1,
                              options->deadline_ms, own)
                   : asprintf(&text, "%s", own);
    if (size < 0)
        memory_exhausted();
    return text;
}

static void ignore_notice(void *argument, const char *message)
{
    (void)argument;
    (void)message;
}

static heddle_status connect_failed(struct pg_link *link, struct heddle_error *err,
                                    const char *reason)
{
    if (!reason)
        reason = link->conn ? PQerrorMessage(link->conn) : "out of memory";
    heddle_fail(err, HEDDLE_RETRY, PG_WHERE, "%s", reason);
    pg_close(link);
    return HEDDLE_RETRY;
}
