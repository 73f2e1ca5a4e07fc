/* The pipeline of a Postgres connection. Runs on the owner's thread; see pg.h.
 *
 * Whatever is sent is noted in `expected`; answers come in that order. Each exchange ends with a
 * sync: a failure makes the server skip everything up to it, which is read as skipped. */
#include "link/pg_internal.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "link/refusal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BINARY_MAX = 16 }; /* parameters */

static const struct heddle_statement begin = {"heddle_begin", "begin", 0};
static const struct heddle_statement begin_read = {"heddle_begin_read", "begin read only", 0};
static const struct heddle_statement commit = {"heddle_commit", "commit", 0};
static const struct heddle_statement rollback = {"heddle_rollback", "rollback", 0};

/* As libpq takes them; sizes and formats are NULL where all are texts. */
struct parameters {
    const char *const *values;
    const int *sizes, *formats;
};

static bool send_statement(struct pg_link *link, const struct heddle_statement *statement,
                           const char *const *params);
static bool send_with(struct pg_link *link, const struct heddle_statement *statement,
                      const struct parameters *params);
static bool send_sync(struct pg_link *link);
static heddle_status flush_alone(struct pg_link *link, struct heddle_rows **rows,
                                 struct heddle_error *err);
static heddle_status answer_all(struct pg_link *link, PGresult **rows, struct heddle_error *err);
static heddle_status answer_one(struct pg_link *link, const struct expectation *expected,
                                PGresult **rows, struct heddle_error *err);
static bool ends_session(const PGresult *result);
static bool next_result(struct pg_link *link, PGresult **result);
static heddle_status fail_result(const PGresult *result, const struct heddle_statement *statement,
                                 struct heddle_error *err);
static heddle_status lost(struct pg_link *link, const char *reason, struct heddle_error *err);
static void start_deadline(struct pg_link *link);

heddle_status pg_begin(struct pg_link *link, bool is_read_only, struct heddle_error *err)
{
    heddle_status status = pg_connect(link, err);

    if (status == HEDDLE_OK)
        status = pg_queue(link, is_read_only ? &begin_read : &begin, NULL, err);
    if (status == HEDDLE_OK && !link->options.with_prepared_statements)
        status = pg_queue(link, &link->timeouts, NULL, err);
    if (status == HEDDLE_OK)
        link->in_transaction = true;
    return status;
}

heddle_status pg_queue(struct pg_link *link, const struct heddle_statement *statement,
                       const char *const *params, struct heddle_error *err)
{
    if (!link->conn)
        return lost(link, "not connected", err);
    if (!send_statement(link, statement, params))
        return lost(link, PQerrorMessage(link->conn), err);
    return HEDDLE_OK;
}

heddle_status pg_queue_binary(struct pg_link *link, const struct heddle_statement *statement,
                              const struct heddle_text *bytes, struct heddle_error *err)
{
    const char *values[BINARY_MAX];
    int sizes[BINARY_MAX], formats[BINARY_MAX];

    if (!link->conn)
        return lost(link, "not connected", err);
    assert(statement->param_count <= BINARY_MAX);
    for (int i = 0; i < statement->param_count; i++) {
        values[i] = bytes[i].data;
        sizes[i] = (int)bytes[i].size;
        formats[i] = 1;
    }
    if (!send_with(link, statement, &(struct parameters){values, sizes, formats}))
        return lost(link, PQerrorMessage(link->conn), err);
    return HEDDLE_OK;
}

heddle_status pg_flush(struct pg_link *link, struct heddle_rows **rows, struct heddle_error *err)
{
    PGresult *result = NULL;

    if (!link->conn)
        return lost(link, "not connected", err);
    start_deadline(link);
    /* A sync, not a mere flush: it commits nothing inside a transaction, and only behind one do the
     * server's timeouts run for a client that hangs. */
    if (!send_sync(link))
        return lost(link, PQerrorMessage(link->conn), err);
    pg_cancel_open(link);
    heddle_status status = answer_all(link, rows ? &result : NULL, err);
    pg_cancel_shut(link);
    if (status == HEDDLE_OK && rows)
        *rows = (struct heddle_rows *)(void *)result;
    return status;
}

heddle_status pg_commit(struct pg_link *link, struct heddle_error *err)
{
    PGresult *result = NULL;

    if (!link->conn)
        return lost(link, "not connected", err);
    start_deadline(link);
    /* From here on libpq may flush, and the server does not wait for the sync. */
    link->commit_is_sent = true;
    if (!send_statement(link, &commit, NULL) || !send_sync(link))
        return lost(link, PQerrorMessage(link->conn), err);
    heddle_status status = answer_all(link, &result, err);
    link->commit_is_sent = false;
    if (status != HEDDLE_OK)
        return status;

    /* COMMIT of a failed transaction answers OK, with the tag ROLLBACK. */
    bool is_committed = strcmp(PQcmdStatus(result), "COMMIT") == 0;
    PQclear(result);
    link->in_transaction = false;
    if (!is_committed)
        return heddle_fail(err, HEDDLE_RETRY, "commit", "Postgres answered COMMIT with ROLLBACK");
    return HEDDLE_OK;
}

void pg_rollback(struct pg_link *link)
{
    struct heddle_error err = {0};

    if (!link->conn || (!link->in_transaction && link->expected_count == 0))
        return;
    start_deadline(link);
    /* What is still queued is answered first; its failures are what the rollback is for. */
    bool is_sent = send_sync(link);
    if (is_sent)
        (void)!answer_all(link, NULL, &err);
    if (is_sent && link->conn && link->in_transaction) {
        link->in_transaction = false;
        if (!send_statement(link, &rollback, NULL) || !send_sync(link) ||
            answer_all(link, NULL, &err) != HEDDLE_OK)
            is_sent = false;
    }
    if (!is_sent || !link->conn || PQtransactionStatus(link->conn) != PQTRANS_IDLE) {
        heddle_log(HEDDLE_LOG_WARNING, "rollback_failed", "text=%s", LOG_TEXT(err.text));
        pg_close(link);
    }
}

heddle_status pg_query(struct pg_link *link, const struct heddle_statement *statement,
                       const char *const *params, struct heddle_rows **rows,
                       struct heddle_error *err)
{
    heddle_status status = pg_connect(link, err);
    if (status == HEDDLE_OK)
        status = pg_queue(link, statement, params, err);
    return status == HEDDLE_OK ? flush_alone(link, rows, err) : status;
}

heddle_status pg_query_binary(struct pg_link *link, const struct heddle_statement *statement,
                              const struct heddle_text *bytes, struct heddle_rows **rows,
                              struct heddle_error *err)
{
    heddle_status status = pg_connect(link, err);
    if (status == HEDDLE_OK)
        status = pg_queue_binary(link, statement, bytes, err);
    return status == HEDDLE_OK ? flush_alone(link, rows, err) : status;
}

/* Outside a transaction: nothing that is waited for here is cancelled. */
static heddle_status flush_alone(struct pg_link *link, struct heddle_rows **rows,
                                 struct heddle_error *err)
{
    PGresult *result = NULL;

    start_deadline(link);
    if (!send_sync(link))
        return lost(link, PQerrorMessage(link->conn), err);
    heddle_status status = answer_all(link, rows ? &result : NULL, err);
    if (status == HEDDLE_OK && rows)
        *rows = (struct heddle_rows *)(void *)result;
    return status;
}

heddle_status pg_script(struct pg_link *link, const char *sql, struct heddle_error *err)
{
    heddle_status status = pg_connect(link, err);
    if (status != HEDDLE_OK)
        return status;
    if (!PQexitPipelineMode(link->conn) || PQsetnonblocking(link->conn, 0) != 0)
        return lost(link, PQerrorMessage(link->conn), err);
    PGresult *result = PQexec(link->conn, sql);
    ExecStatusType outcome = PQresultStatus(result);
    if (outcome != PGRES_COMMAND_OK && outcome != PGRES_TUPLES_OK)
        status = fail_result(result, NULL, err);
    PQclear(result);
    if (PQsetnonblocking(link->conn, 1) != 0 || !PQenterPipelineMode(link->conn))
        pg_close(link);
    return status;
}

static bool send_statement(struct pg_link *link, const struct heddle_statement *statement,
                           const char *const *params)
{
    return send_with(link, statement, &(struct parameters){params, NULL, NULL});
}

static bool send_with(struct pg_link *link, const struct heddle_statement *statement,
                      const struct parameters *params)
{
    const int count = statement->param_count;

    if (!link->options.with_prepared_statements || !statement->name) {
        if (!PQsendQueryParams(link->conn, statement->sql, count, NULL, params->values,
                               params->sizes, params->formats, 0))
            return false;
        pg_expect(link, EXPECT_ROWS, statement);
        return true;
    }
    if (!pg_prepared_find(link, statement)) {
        if (!PQsendPrepare(link->conn, statement->name, statement->sql, 0, NULL))
            return false;
        pg_expect(link, EXPECT_PREPARE, statement);
        pg_prepared_add(link, statement);
    }
    if (!PQsendQueryPrepared(link->conn, statement->name, count, params->values, params->sizes,
                             params->formats, 0))
        return false;
    pg_expect(link, EXPECT_ROWS, statement);
    return true;
}

static bool send_sync(struct pg_link *link)
{
    if (!PQpipelineSync(link->conn))
        return false;
    pg_expect(link, EXPECT_SYNC, NULL);
    return true;
}

/* Reads an answer to everything expected; keeps the first failure, and the rows of the last
 * statement where they are asked for. */
static heddle_status answer_all(struct pg_link *link, PGresult **rows, struct heddle_error *err)
{
    heddle_status first = HEDDLE_OK;
    PGresult *last = NULL;

    for (size_t i = 0; i < link->expected_count; i++) {
        const struct expectation expected = link->expected[i];
        heddle_status status = answer_one(link, &expected, &last, first == HEDDLE_OK ? err : NULL);
        if (!link->conn) {
            PQclear(last);
            return first != HEDDLE_OK ? first : status;
        }
        if (first == HEDDLE_OK)
            first = status;
    }
    link->expected_count = 0;
    if (first != HEDDLE_OK)
        pg_prepared_drop_unanswered(link);
    if (first == HEDDLE_OK && rows)
        *rows = last;
    else
        PQclear(last);
    return first;
}

/* The answer to one expectation. Replaces `*rows` by a statement's rows. */
static heddle_status answer_one(struct pg_link *link, const struct expectation *expected,
                                PGresult **rows, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    PGresult *result, *end = NULL;

    if (!next_result(link, &result))
        return lost(link, NULL, err);
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        return expected->kind == EXPECT_SYNC ? HEDDLE_OK : lost(link, "answers out of step", err);
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (expected->kind == EXPECT_PREPARE)
            pg_prepared_find(link, expected->statement)->is_ready = true;
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    default:
        status = fail_result(result, expected->statement, err);
        if (ends_session(result)) {
            /* The server told why, so a COMMIT behind this statement did not run – unless this was
             * COMMIT, or the words are libpq's own. */
            bool is_told = PQresultErrorField(result, PG_DIAG_SQLSTATE) != NULL;
            if (link->commit_is_sent && (expected->statement == &commit || !is_told))
                status = HEDDLE_UNKNOWN;
            PQclear(result);
            pg_close(link);
            return status;
        }
    }
    if (expected->kind == EXPECT_ROWS && status == HEDDLE_OK) {
        PQclear(*rows);
        *rows = result;
    } else {
        PQclear(result);
    }
    /* A NULL ends each statement. */
    if (!next_result(link, &end) || end) {
        PQclear(end);
        if (status == HEDDLE_OK)
            return lost(link, NULL, err);
        pg_close(link);
    }
    return status;
}

/* True where nothing follows: the server said goodbye, or libpq speaks of a lost connection. */
static bool ends_session(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return !severity || strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0;
}

/* The next result, NULL where a statement's results end. False: lost, or too late. */
static bool next_result(struct pg_link *link, PGresult **result)
{
    int unsent = PQflush(link->conn);

    while (unsent >= 0 && PQisBusy(link->conn)) {
        if (!pg_wait(link, unsent > 0, link->deadline_us))
            return false;
        if (!PQconsumeInput(link->conn))
            return false;
        if (unsent > 0)
            unsent = PQflush(link->conn);
    }
    if (unsent < 0)
        return false;
    *result = PQgetResult(link->conn);
    return *result || PQstatus(link->conn) == CONNECTION_OK;
}

static heddle_status fail_result(const PGresult *result, const struct heddle_statement *statement,
                                 struct heddle_error *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *where = statement ? statement->name : "script";

    if (!sqlstate)
        sqlstate = "";
    heddle_status status = heddle_fail(err, pg_classify(sqlstate), where ? where : "statement",
                                       "%s", text ? text : PQresultErrorMessage(result));
    if (text && !refusal_read(text, &status, err))
        (void)refusal_read_code(sqlstate, text, &status, err);
    if (err)
        snprintf(err->sqlstate, sizeof err->sqlstate, "%s", sqlstate);
    return status;
}

/* Closes the link: what would arrive on it answers nothing any more. The
 * server may have committed before the link died, so only the ledger can tell. */
static heddle_status lost(struct pg_link *link, const char *reason, struct heddle_error *err)
{
    heddle_status status = link->commit_is_sent ? HEDDLE_UNKNOWN : HEDDLE_RETRY;

    if (!reason && link->conn)
        reason = clock_now_us() >= link->deadline_us ? "no answer within the time limit"
                                                     : PQerrorMessage(link->conn);
    heddle_fail(err, status, PG_WHERE, "%s", reason && *reason ? reason : "connection lost");
    pg_close(link);
    return status;
}

static void start_deadline(struct pg_link *link)
{
    link->deadline_us = clock_now_us() + (int64_t)link->options.deadline_ms * 1000;
}
