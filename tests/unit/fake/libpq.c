/* libpq's functions as the linker's --wrap hands them over: the client's side of the wire. */
#include "wire.h"

#include "link/pg_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { IDLE_READS_MAX = 100, CONNECT_ROUNDS = 2 };

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

bool __real_pg_wait(const struct pg_link *link, bool for_write, int64_t deadline_us);

static bool push(PGconn *conn, struct message message, int count, const char *const *params);
static void arrive(PGconn *conn, int count);

/* Nobody waits for a server that has fallen silent: the deadline has passed, as it were. */
bool __wrap_pg_wait(const struct pg_link *link, bool for_write, int64_t deadline_us)
{
    return !link->conn->is_silent && __real_pg_wait(link, for_write, deadline_us);
}

PGconn *__wrap_PQconnectStartParams(const char *const *keywords, const char *const *values,
                                    int expand)
{
    (void)keywords;
    (void)values;
    (void)expand;
    if (fake_call_fails(NULL, FAKE_CONNECT_START))
        return NULL;
    PGconn *conn = calloc(1, sizeof *conn);
    conn->status = CONNECTION_STARTED;
    conn->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    fake.connections++;
    fake.connections_open++;
    return conn;
}

PostgresPollingStatusType __wrap_PQconnectPoll(PGconn *conn)
{
    if (fake_call_fails(conn, FAKE_CONNECT_POLL))
        return PGRES_POLLING_FAILED;
    if (++conn->poll_rounds < CONNECT_ROUNDS)
        return PGRES_POLLING_READING;
    conn->status = CONNECTION_OK;
    return PGRES_POLLING_OK;
}

void __wrap_PQfinish(PGconn *conn)
{
    if (!conn)
        return;
    if (!conn->is_gone)
        server_drop(conn);
    for (int i = conn->taken_count; i < conn->answer_count; i++)
        PQclear(conn->answers[i].result);
    for (int i = 0; i < conn->sent_count; i++)
        for (int p = 0; p < WIRE_PARAMS_MAX; p++)
            free(conn->sent[i].params[p]);
    close(conn->fd);
    free(conn);
    fake.connections_open--;
}

/* Nobody cancels here. */
PGcancel *__wrap_PQgetCancel(PGconn *conn)
{
    (void)conn;
    return NULL;
}

void __wrap_PQfreeCancel(PGcancel *cancel)
{
    (void)cancel;
}

ConnStatusType __wrap_PQstatus(const PGconn *conn)
{
    return conn ? conn->status : CONNECTION_BAD;
}

PGTransactionStatusType __wrap_PQtransactionStatus(const PGconn *conn)
{
    if (!conn || conn->status != CONNECTION_OK)
        return PQTRANS_UNKNOWN;
    if (conn->taken_count < conn->answer_count || conn->sent_count > 0)
        return PQTRANS_ACTIVE;
    if (!conn->is_in_transaction)
        return PQTRANS_IDLE;
    return conn->has_failed ? PQTRANS_INERROR : PQTRANS_INTRANS;
}

char *__wrap_PQerrorMessage(const PGconn *conn)
{
    static char message[] = "the connection is gone, says the test\n";
    (void)conn;
    return message;
}

PQnoticeProcessor __wrap_PQsetNoticeProcessor(PGconn *conn, PQnoticeProcessor process, void *arg)
{
    (void)conn;
    (void)arg;
    return process;
}

int __wrap_PQsocket(const PGconn *conn)
{
    return conn->fd;
}

int __wrap_PQbackendPID(const PGconn *conn)
{
    return conn->fd;
}

int __wrap_PQsetnonblocking(PGconn *conn, int is_wanted)
{
    (void)is_wanted;
    return fake_call_fails(conn, FAKE_SET_NONBLOCKING) ? -1 : 0;
}

int __wrap_PQenterPipelineMode(PGconn *conn)
{
    return !fake_call_fails(conn, FAKE_ENTER_PIPELINE);
}

int __wrap_PQsendPrepare(PGconn *conn, const char *name, const char *sql, int count,
                         const Oid *types)
{
    (void)types;
    const struct message message = {.kind = MESSAGE_PREPARE, .name = name, .sql = sql};
    return push(conn, message, count, NULL) && !fake_call_fails(conn, FAKE_SEND_PREPARE);
}

int __wrap_PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *params,
                               const int *sizes, const int *formats, int result_format)
{
    (void)sizes;
    (void)formats;
    (void)result_format;
    const struct message message = {.kind = MESSAGE_EXECUTE, .name = name};
    return push(conn, message, count, params) && !fake_call_fails(conn, FAKE_SEND_QUERY_PREPARED);
}

int __wrap_PQsendQueryParams(PGconn *conn, const char *sql, int count, const Oid *types,
                             const char *const *params, const int *sizes, const int *formats,
                             int result_format)
{
    (void)types;
    (void)sizes;
    (void)formats;
    (void)result_format;
    const struct message message = {.kind = MESSAGE_EXECUTE, .sql = sql};
    return push(conn, message, count, params) && !fake_call_fails(conn, FAKE_SEND_QUERY_PARAMS);
}

int __wrap_PQsendFlushRequest(PGconn *conn)
{
    const struct message message = {.kind = MESSAGE_FLUSH};
    return push(conn, message, 0, NULL) && !fake_call_fails(conn, FAKE_SEND_FLUSH_REQUEST);
}

/* As libpq's, it pushes what is in the buffer. */
int __wrap_PQpipelineSync(PGconn *conn)
{
    const struct message message = {.kind = MESSAGE_SYNC};

    if (!push(conn, message, 0, NULL) || fake_call_fails(conn, FAKE_PIPELINE_SYNC))
        return 0;
    arrive(conn, conn->sent_count);
    return 1;
}

/* A half at a time, so that a client has to come again. */
int __wrap_PQflush(PGconn *conn)
{
    if (fake_call_fails(conn, FAKE_FLUSH))
        return -1;
    arrive(conn, (conn->sent_count + 1) / 2);
    return conn->sent_count > 0;
}

int __wrap_PQisBusy(PGconn *conn)
{
    return conn->status == CONNECTION_OK && conn->taken_count == conn->arrived_count;
}

int __wrap_PQconsumeInput(PGconn *conn)
{
    if (fake_call_fails(conn, FAKE_CONSUME_INPUT))
        return 0;
    if (conn->arrived_count < conn->readable_count) {
        conn->arrived_count = conn->readable_count;
        return 1;
    }
    if (conn->is_gone) {
        conn->status = CONNECTION_BAD;
        return 0;
    }
    if (++conn->idle_reads > IDLE_READS_MAX)
        fail_msg("the client waits for an answer that nobody owes it");
    return 1;
}

PGresult *__wrap_PQgetResult(PGconn *conn)
{
    /* libpq makes its own result of a failure: one without an SQLSTATE. */
    if (fake_call_fails(conn, FAKE_GET_RESULT)) {
        PGresult *result = result_new(PGRES_FATAL_ERROR);
        result->text = "server closed the connection unexpectedly\n";
        return result;
    }
    if (conn->status != CONNECTION_OK || conn->taken_count == conn->arrived_count)
        return NULL;
    PGresult *result = conn->answers[conn->taken_count++].result;
    if (conn->taken_count == conn->answer_count)
        conn->answer_count = conn->readable_count = conn->arrived_count = conn->taken_count = 0;
    return result;
}

void __wrap_PQclear(PGresult *result)
{
    fake.results_live -= result != NULL;
    free(result);
}

ExecStatusType __wrap_PQresultStatus(const PGresult *result)
{
    return result ? result->status : PGRES_FATAL_ERROR;
}

char *__wrap_PQresultErrorField(const PGresult *result, int code)
{
    if (!result)
        return NULL;
    const char *text = code == PG_DIAG_SQLSTATE                ? result->sqlstate
                       : code == PG_DIAG_MESSAGE_PRIMARY       ? result->text
                       : code == PG_DIAG_SEVERITY_NONLOCALIZED ? result->severity
                                                               : NULL;
    return *result->sqlstate ? (char *)(uintptr_t)text : NULL;
}

char *__wrap_PQresultErrorMessage(const PGresult *result)
{
    return (char *)(uintptr_t)result->text;
}

char *__wrap_PQcmdStatus(PGresult *result)
{
    return (char *)(uintptr_t)result->tag;
}

char *__wrap_PQcmdTuples(PGresult *result)
{
    static char one[] = "1";
    (void)result;
    return one;
}

int __wrap_PQntuples(const PGresult *result)
{
    return result->rows;
}

int __wrap_PQnfields(const PGresult *result)
{
    return result->columns;
}

int __wrap_PQgetisnull(const PGresult *result, int row, int column)
{
    (void)row;
    return result->fields[column] == NULL;
}

char *__wrap_PQgetvalue(const PGresult *result, int row, int column)
{
    (void)row;
    return (char *)(uintptr_t)result->fields[column];
}

/* Into the client's buffer, with copies of the parameters. */
static bool push(PGconn *conn, struct message message, int count, const char *const *params)
{
    if (conn->status != CONNECTION_OK)
        return false;
    assert_true(conn->sent_count < WIRE_QUEUE_MAX && count <= WIRE_PARAMS_MAX);
    for (int i = 0; i < count && params; i++)
        message.params[i] = params[i] ? strdup(params[i]) : NULL;
    conn->sent[conn->sent_count++] = message;
    return true;
}

/* The first `count` messages of the buffer reach the server. */
static void arrive(PGconn *conn, int count)
{
    eventfd_t ignored;

    server_take(conn, conn->sent, count);
    conn->sent_count -= count;
    memmove(conn->sent, conn->sent + count, (size_t)conn->sent_count * sizeof *conn->sent);
    if (conn->is_silent)
        (void)!eventfd_read(conn->fd, &ignored);
}
