/* See postgres.h: the server's side. */
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fake_server fake;

enum { ENTER_DECISION_PARAM = 3 };

static void execute(PGconn *conn, const struct message *message);
static bool take_fault(PGconn *conn, const struct message *message, const struct kind *kind);
static void answer(PGconn *conn, PGresult *result, bool with_end);
static PGresult *result_error(const char *sqlstate);
static void fail_statement(PGconn *conn, const char *sqlstate);

void fake_reset(void)
{
    assert_int_equal(fake.connections_open, 0);
    assert_int_equal(fake.results_live, 0);
    fake = (struct fake_server){0};
}

void fake_set_fault(struct fake_fault fault)
{
    const struct fake_server before = fake;

    fake = (struct fake_server){
        .fault = fault,
        .has_ledger_row = before.has_ledger_row,
        .effects = before.effects,
        .attempts = before.attempts,
        .attempt_claim = before.attempt_claim,
        .connections_open = before.connections_open,
        .transactions_open = before.transactions_open,
        .results_live = before.results_live,
    };
    memcpy(fake.ledger_state, before.ledger_state, sizeof fake.ledger_state);
}

void fake_set_faults(const struct fake_fault *faults, int count)
{
    fake_set_fault(count > 0 ? faults[0] : (struct fake_fault){.kind = FAKE_NO_FAULT});
    fake.more = count > 0 ? faults + 1 : NULL;
    fake.more_count = count > 0 ? count - 1 : 0;
}

/* The fault has happened: it is the next one's turn. */
static void take_turns(void)
{
    if (fake.more_count == 0) {
        fake.has_failed = true;
        return;
    }
    fake.fault = *fake.more++;
    fake.more_count--;
    fake.fault.at += fake.fault.kind < FAKE_STATEMENT_FAILS ? fake.calls : fake.statements;
}

bool fake_call_fails(PGconn *conn, enum fake_call call)
{
    const enum fake_fault_kind kind = fake.fault.kind;

    fake.calls++;
    fake.calls_of[call]++;
    if ((kind != FAKE_CALL_FAILS_UNSENT && kind != FAKE_CALL_FAILS_SENT) || fake.has_failed ||
        fake.calls != fake.fault.at)
        return false;
    take_turns();
    if (conn) {
        if (kind == FAKE_CALL_FAILS_SENT)
            server_take(conn, conn->sent, conn->sent_count);
        conn->sent_count = kind == FAKE_CALL_FAILS_SENT ? 0 : conn->sent_count;
        conn->status = CONNECTION_BAD;
        server_drop(conn);
    }
    return true;
}

void server_take(PGconn *conn, struct message *messages, int count)
{
    for (int i = 0; i < count; i++) {
        struct message *message = &messages[i];
        if (!conn->is_gone && !conn->is_silent)
            execute(conn, message);
        for (int p = 0; p < WIRE_PARAMS_MAX; p++)
            free(message->params[p]);
    }
}

void server_drop(PGconn *conn)
{
    fake.transactions_open -= conn->is_in_transaction;
    conn->is_in_transaction = false;
    conn->is_gone = true;
}

PGresult *result_new(ExecStatusType status)
{
    PGresult *result = calloc(1, sizeof *result);

    result->status = status;
    result->tag = result->text = "";
    fake.results_live++;
    return result;
}

static const char *sql_of(const PGconn *conn, const struct message *message)
{
    if (message->sql)
        return message->sql;
    for (int i = 0; i < conn->prepared_count; i++)
        if (strcmp(conn->prepared[i].name, message->name) == 0)
            return conn->prepared[i].sql;
    return NULL;
}

static void execute(PGconn *conn, const struct message *message)
{
    if (message->kind == MESSAGE_SYNC) {
        conn->is_skipping = false;
        answer(conn, result_new(PGRES_PIPELINE_SYNC), false);
    }
    if (message->kind == MESSAGE_SYNC || message->kind == MESSAGE_FLUSH) {
        conn->readable_count = conn->answer_count;
        return;
    }
    if (conn->is_skipping) {
        answer(conn, result_new(PGRES_PIPELINE_ABORTED), true);
        return;
    }
    const char *sql = sql_of(conn, message);
    if (!sql) {
        fail_statement(conn, "26000");
        return;
    }
    const struct kind *kind = kind_of(sql);
    if (take_fault(conn, message, kind))
        return;
    if (message->kind == MESSAGE_PREPARE) {
        assert_true(conn->prepared_count < WIRE_PREPARED_MAX);
        struct message known = {.name = message->name};
        if (sql_of(conn, &known)) {
            fail_statement(conn, "42P05");
            return;
        }
        conn->prepared[conn->prepared_count++] = (struct prepared_statement){message->name, sql};
        answer(conn, result_new(PGRES_COMMAND_OK), true);
    } else if (conn->has_failed && !ends_transaction(kind)) {
        fail_statement(conn, "25P02");
    } else if (why_not(kind, message)) {
        fail_statement(conn, why_not(kind, message));
    } else {
        answer(conn, mean(conn, kind, message), true);
    }
}

static PGresult *odd_result(const struct fake_shape *shape)
{
    PGresult *result = result_new((ExecStatusType)shape->status);

    result->rows = shape->rows;
    result->columns = shape->columns;
    for (int i = 0; i < shape->columns && i < WIRE_FIELDS_MAX; i++)
        result->fields[i] = shape->field;
    return result;
}

/* True where the fault is this statement's, and has happened. */
static bool take_fault(PGconn *conn, const struct message *message, const struct kind *kind)
{
    const struct fake_fault before = fake.fault, *const fault = &before;

    fake.statements++;
    if (fault->kind < FAKE_STATEMENT_FAILS || fake.has_failed)
        return false;
    if (fault->statement
            ? strcmp(fault->statement, kind->name) != 0 || message->kind == MESSAGE_PREPARE
            : fault->at != fake.statements)
        return false;
    if (fault->skip > 0) {
        fake.fault.skip--;
        return false;
    }
    const bool is_refused = why_not(kind, message) || (conn->has_failed && !ends_transaction(kind));
    const bool can_lie = message->kind == MESSAGE_EXECUTE && kind->meaning != MEANS_BEGIN &&
                         !ends_transaction(kind) && !is_refused;
    if (fault->kind >= FAKE_FAILS_UNNOTICED && !can_lie)
        return false;
    take_turns();
    switch (fault->kind) {
    case FAKE_STATEMENT_FAILS:
        fail_statement(conn, fault->sqlstate);
        /* What fails at COMMIT is rolled back by the server itself. */
        if (kind->meaning == MEANS_COMMIT && message->kind == MESSAGE_EXECUTE) {
            server_end(conn, true);
            conn->is_in_vain = true;
        }
        break;
    case FAKE_SERVER_SAYS_GOODBYE:
        answer(conn, result_error(fault->sqlstate), true);
        conn->answers[conn->answer_count - 2].result->severity = "FATAL";
        conn->readable_count = conn->answer_count;
        server_drop(conn);
        break;
    case FAKE_LOST_AFTER:
    case FAKE_SILENT_AFTER:
        if (message->kind == MESSAGE_EXECUTE && !is_refused)
            PQclear(mean(conn, kind, message));
        __attribute__((fallthrough));
    case FAKE_LOST_BEFORE:
    case FAKE_SILENT_BEFORE:
        conn->is_silent = fault->kind >= FAKE_SILENT_BEFORE;
        server_drop(conn);
        break;
    case FAKE_FAILS_UNNOTICED:
        conn->has_failed = conn->is_in_transaction;
        answer(conn, result_new(PGRES_COMMAND_OK), true);
        break;
    case FAKE_ANSWERS_ODDLY:
        PQclear(mean(conn, kind, message));
        answer(conn, odd_result(&fault->shape), true);
        break;
    case FAKE_NO_FAULT:
    case FAKE_CALL_FAILS_UNSENT:
    case FAKE_CALL_FAILS_SENT:
        break;
    }
    return true;
}

static void fail_statement(PGconn *conn, const char *sqlstate)
{
    answer(conn, result_error(sqlstate), true);
    conn->has_failed = conn->is_in_transaction;
    conn->is_in_vain = !conn->is_in_transaction;
    conn->is_skipping = true;
}

static PGresult *result_error(const char *sqlstate)
{
    PGresult *result = result_new(PGRES_FATAL_ERROR);

    snprintf(result->sqlstate, sizeof result->sqlstate, "%s", sqlstate);
    result->text = "as the test told";
    result->severity = "ERROR";
    return result;
}

static void answer(PGconn *conn, PGresult *result, bool with_end)
{
    assert_true(conn->answer_count + 2 <= WIRE_QUEUE_MAX);
    conn->answers[conn->answer_count++].result = result;
    if (with_end)
        conn->answers[conn->answer_count++].result = NULL;
}
