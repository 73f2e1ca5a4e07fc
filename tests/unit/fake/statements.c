/* See postgres.h: what statements do, for the server that executes them. */
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Statements by a piece of their text, the more special first. */
static const struct kind kinds[] = {
    {"begin", "begin", MEANS_BEGIN},
    {"commit", "commit", MEANS_COMMIT},
    {"rollback", "rollback", MEANS_ROLLBACK},
    {"lane_lock", "heddle.lane_lock", MEANS_READ},
    {"enter_recorded", "heddle.enter(", MEANS_ENTER},
    {"ledger_record", "payload, options) values", MEANS_RECORD},
    {"charge", "heddle.charge(", MEANS_CHARGE},
    {"bury", "heddle.bury(", MEANS_BURY},
    {"ledger_decide", "code, result, error, finished_at) values", MEANS_ENTER},
    {"ledger_enter", "insert into heddle.operations", MEANS_ENTER},
    {"ledger_finish", "update heddle.operations", MEANS_FINISH},
    {"ledger_find", "select digest =", MEANS_FIND},
    {"threads_insert", "insert into chat.threads", MEANS_EFFECT},
    {"threads_update", "update chat.threads set title = case", MEANS_EFFECT},
    {"threads_archive", "update chat.threads set status = 'archived'", MEANS_EFFECT},
    {"threads_rename", "update chat.threads set title = $3", MEANS_EFFECT},
    {"messages_insert", "insert into chat.messages", MEANS_EFFECT},
    {"threads_list", "with mark as", MEANS_READ},
    {"other", "", MEANS_READ},
};

enum { ENTER_DECISION_PARAM = 3, DECIDE_STATE_PARAM = 9, FINISH_STATE_PARAM = 1 };
enum { CHARGE_STATE_PARAM = 2, CHARGE_CLAIM_PARAM = 6 };

const struct kind *kind_of(const char *sql)
{
    const struct kind *kind = kinds;

    while (!strstr(sql, kind->piece))
        kind++;
    return kind;
}

/* What an unfinished row says. */
static bool has_ended(const char *state)
{
    return strcmp(state, "queued") != 0 && strcmp(state, "retrying") != 0 &&
           strcmp(state, "parked") != 0 && strcmp(state, "halted") != 0;
}

static void set_state(PGconn *conn, const char *state)
{
    conn->has_ledger_row = true;
    snprintf(conn->ledger_state, sizeof conn->ledger_state, "%s", state);
}

const char *why_not(const struct kind *kind, const struct message *message)
{
    const char *decision = message->params[ENTER_DECISION_PARAM];
    const bool is_there = fake.has_ledger_row, is_over = is_there && has_ended(fake.ledger_state);

    if (kind->meaning == MEANS_CHARGE)
        return is_over ? "HD001" : NULL;
    if (!is_there || (kind->meaning != MEANS_ENTER && kind->meaning != MEANS_RECORD))
        return NULL;
    if (strcmp(kind->name, "enter_recorded") != 0)
        return "23505";
    if (strcmp(fake.ledger_state, "parked") == 0)
        return "HD004";
    if (strcmp(fake.ledger_state, "halted") == 0 &&
        (!decision || *decision == 'f' || *decision == 'd'))
        return "HD006";
    return is_over ? "HD001" : NULL;
}

static void begin(PGconn *conn)
{
    assert_false(conn->is_in_transaction);
    fake.begins++;
    fake.transactions_open++;
    conn->is_in_transaction = true;
    conn->has_failed = conn->has_ledger_row = false;
    conn->effects = conn->attempts = 0;
}

const char *server_end(PGconn *conn, bool is_commit)
{
    bool commits = is_commit && !conn->has_failed;

    fake.empty_rollbacks += !is_commit && !conn->is_in_transaction && !conn->is_in_vain;
    conn->is_in_vain = false;
    if (commits && conn->is_in_transaction) {
        fake.commits++;
        fake.effects += conn->effects;
        fake.attempts += conn->attempts;
        if (conn->attempts > 0)
            fake.attempt_claim = conn->attempt_claim;
        if (conn->has_ledger_row) {
            fake.has_ledger_row = true;
            memcpy(fake.ledger_state, conn->ledger_state, sizeof fake.ledger_state);
        }
    }
    fake.rollbacks += !is_commit;
    fake.transactions_open -= conn->is_in_transaction;
    conn->is_in_transaction = conn->has_failed = false;
    return commits ? "COMMIT" : "ROLLBACK";
}

static PGresult *row(int columns, const char *first)
{
    PGresult *result = result_new(PGRES_TUPLES_OK);

    result->rows = 1;
    result->columns = columns;
    result->fields[0] = first;
    return result;
}

/* What the ledger has of the operation, as ledger.c's `find` selects it. */
static PGresult *find(void)
{
    PGresult *result = row(WIRE_FIELDS_MAX, "t");

    result->rows = fake.has_ledger_row;
    result->fields[1] = has_ended(fake.ledger_state) ? "t" : "f";
    result->fields[2] = fake.ledger_state;
    result->fields[3] = "200";
    result->fields[4] = "{\"recalled\":true}";
    result->fields[6] = "1";
    return result;
}

PGresult *mean(PGconn *conn, const struct kind *kind, const struct message *message)
{
    PGresult *result = NULL;

    switch (kind->meaning) {
    case MEANS_BEGIN:
        begin(conn);
        break;
    case MEANS_COMMIT:
    case MEANS_ROLLBACK:
        result = result_new(PGRES_COMMAND_OK);
        result->tag = server_end(conn, kind->meaning == MEANS_COMMIT);
        return result;
    case MEANS_ENTER:
        set_state(conn, message->params[DECIDE_STATE_PARAM] ? message->params[DECIDE_STATE_PARAM]
                                                            : "running");
        break;
    case MEANS_RECORD:
        set_state(conn, "retrying");
        break;
    case MEANS_CHARGE:
        assert_true(conn->has_ledger_row || fake.has_ledger_row);
        set_state(conn, message->params[CHARGE_STATE_PARAM]);
        conn->attempt_claim = atoi(message->params[CHARGE_CLAIM_PARAM]);
        conn->attempts += conn->attempt_claim != fake.attempt_claim;
        break;
    case MEANS_BURY:
        assert_string_equal(conn->ledger_state, "dead");
        conn->attempts++;
        break;
    case MEANS_FINISH:
        assert_true(conn->has_ledger_row);
        set_state(conn, message->params[FINISH_STATE_PARAM]);
        break;
    case MEANS_FIND:
        return find();
    case MEANS_EFFECT:
        conn->effects++;
        return row(1, "{\"id\":\"x\"}");
    case MEANS_READ:
        return row(2, "some text");
    }
    return result_new(PGRES_COMMAND_OK);
}

bool ends_transaction(const struct kind *kind)
{
    return kind->meaning == MEANS_COMMIT || kind->meaning == MEANS_ROLLBACK;
}
