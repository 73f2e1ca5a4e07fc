/* See libpq_faults.h. One thread. */
#include "libpq_faults.h"

#include <libpq-fe.h>

#include <stddef.h>
#include <sys/socket.h>

static struct {
    enum libpq_fault fault;
    int left; /* calls until it happens */
} order;

static const char failing[] =
    "do $$ begin raise exception 'as ordered' using errcode = '40001'; end $$";

#define WRAPPED(type, name, ...)                                                                   \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

WRAPPED(int, PQsendPrepare, PGconn *, const char *, const char *, int, const Oid *);
WRAPPED(int, PQsendQueryPrepared, PGconn *, const char *, int, const char *const *, const int *,
        const int *, int);
WRAPPED(int, PQsendQueryParams, PGconn *, const char *, int, const Oid *, const char *const *,
        const int *, const int *, int);
WRAPPED(int, PQsendFlushRequest, PGconn *);
WRAPPED(int, PQpipelineSync, PGconn *);
WRAPPED(int, PQflush, PGconn *);
WRAPPED(int, PQconsumeInput, PGconn *);
WRAPPED(PGresult *, PQgetResult, PGconn *);
WRAPPED(PostgresPollingStatusType, PQconnectPoll, PGconn *);

void libpq_faults_arm(enum libpq_fault fault, int at)
{
    order.fault = fault;
    order.left = at;
}

bool libpq_faults_disarm(void)
{
    const bool has_happened = order.left <= 0;

    order.fault = LIBPQ_NO_FAULT;
    return has_happened;
}

static void cut(PGconn *conn)
{
    if (PQsocket(conn) >= 0)
        shutdown(PQsocket(conn), SHUT_RDWR);
}

/* True where this call is the one. */
static bool is_due(bool is_statement)
{
    return order.fault != LIBPQ_NO_FAULT &&
           (order.fault != LIBPQ_STATEMENT_FAILS || is_statement) && --order.left == 0;
}

/* Returns whether the connection is to be cut behind the call. */
static bool before(PGconn *conn)
{
    const bool is_due_now = order.fault != LIBPQ_STATEMENT_FAILS && is_due(false);

    if (is_due_now && order.fault == LIBPQ_CUT_BEFORE)
        cut(conn);
    return is_due_now && order.fault == LIBPQ_CUT_AFTER;
}

static void behind(PGconn *conn, bool is_cut)
{
    if (!is_cut)
        return;
    __real_PQflush(conn);
    cut(conn);
}

#define PASS(type, call)                                                                           \
    const bool is_cut = before(conn);                                                              \
    const type result = call;                                                                      \
    behind(conn, is_cut);                                                                          \
    return result

int __wrap_PQsendPrepare(PGconn *conn, const char *name, const char *sql, int count,
                         const Oid *types)
{
    PASS(int, __real_PQsendPrepare(conn, name, sql, count, types));
}

int __wrap_PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *params,
                               const int *sizes, const int *formats, int format)
{
    if (order.fault == LIBPQ_STATEMENT_FAILS && is_due(true))
        return __real_PQsendQueryParams(conn, failing, 0, NULL, NULL, NULL, NULL, 0);
    PASS(int, __real_PQsendQueryPrepared(conn, name, count, params, sizes, formats, format));
}

int __wrap_PQsendQueryParams(PGconn *conn, const char *sql, int count, const Oid *types,
                             const char *const *params, const int *sizes, const int *formats,
                             int format)
{
    if (order.fault == LIBPQ_STATEMENT_FAILS && is_due(true))
        return __real_PQsendQueryParams(conn, failing, 0, NULL, NULL, NULL, NULL, 0);
    PASS(int, __real_PQsendQueryParams(conn, sql, count, types, params, sizes, formats, format));
}

int __wrap_PQsendFlushRequest(PGconn *conn)
{
    PASS(int, __real_PQsendFlushRequest(conn));
}

int __wrap_PQpipelineSync(PGconn *conn)
{
    PASS(int, __real_PQpipelineSync(conn));
}

int __wrap_PQflush(PGconn *conn)
{
    PASS(int, __real_PQflush(conn));
}

int __wrap_PQconsumeInput(PGconn *conn)
{
    PASS(int, __real_PQconsumeInput(conn));
}

PGresult *__wrap_PQgetResult(PGconn *conn)
{
    const bool is_cut = before(conn);
    PGresult *result = __real_PQgetResult(conn);

    behind(conn, is_cut);
    return result;
}

PostgresPollingStatusType __wrap_PQconnectPoll(PGconn *conn)
{
    PASS(PostgresPollingStatusType, __real_PQconnectPoll(conn));
}
