/* Between the wrapped functions (libpq.c), the server (postgres.c) and what its statements mean
 * (statements.c). */
#ifndef FAKE_WIRE_H
#define FAKE_WIRE_H

#include "postgres.h"

#include <libpq-fe.h>

enum { WIRE_PARAMS_MAX = 12, WIRE_QUEUE_MAX = 256, WIRE_FIELDS_MAX = 7, WIRE_PREPARED_MAX = 64 };

enum message_kind { MESSAGE_PREPARE, MESSAGE_EXECUTE, MESSAGE_FLUSH, MESSAGE_SYNC };

struct message {
    enum message_kind kind;
    const char *name; /* of the prepared statement; NULL: none */
    const char *sql;
    char *params[WIRE_PARAMS_MAX];
};

struct pg_result {
    ExecStatusType status;
    char sqlstate[6];
    const char *text, *tag, *severity;
    int rows, columns;
    const char *fields[WIRE_FIELDS_MAX];
};

/* An answer; NULL ends a statement's. */
struct answer {
    PGresult *result;
};

struct prepared_statement {
    const char *name, *sql;
};

struct pg_conn {
    ConnStatusType status;
    int poll_rounds;
    int fd; /* always readable, unless the server is silent */
    bool is_silent;
    bool is_gone;                        /* the server's end is closed */
    bool is_skipping;                    /* up to the next sync, for a statement has failed */
    struct message sent[WIRE_QUEUE_MAX]; /* the client's buffer */
    int sent_count;
    struct answer answers[WIRE_QUEUE_MAX];
    int answer_count, readable_count, arrived_count, taken_count;
    int idle_reads;
    struct prepared_statement prepared[WIRE_PREPARED_MAX];
    int prepared_count;
    bool is_in_vain; /* BEGIN or COMMIT has failed, and a ROLLBACK may follow */
    /* The transaction. */
    bool is_in_transaction, has_failed, has_ledger_row;
    char ledger_state[16];
    int effects;
    int attempts, attempt_claim;
};

enum meaning {
    MEANS_BEGIN,
    MEANS_COMMIT,
    MEANS_ROLLBACK,
    MEANS_ENTER,
    MEANS_RECORD,
    MEANS_CHARGE,
    MEANS_BURY,
    MEANS_FINISH,
    MEANS_FIND,
    MEANS_EFFECT,
    MEANS_READ
};

/* Statements by a piece of their text. */
struct kind {
    const char *name, *piece;
    enum meaning meaning;
};

const struct kind *statement_kind(const char *sql);

/* The SQLSTATE with which the message can't enter its operation; NULL: it can. */
const char *statement_why_not(const char *sql, const struct message *message);

/* Executes it; the answer. */
PGresult *statement_mean(PGconn *conn, const struct kind *kind, const struct message *message);

/* COMMIT or ROLLBACK; the tag of the answer. */
const char *statement_end(PGconn *conn, bool is_commit);

/* Executes the messages that have arrived. Frees their parameters. */
void server_take(PGconn *conn, struct message *messages, int count);

/* The server's end is closed: its transaction is over. */
void server_drop(PGconn *conn);

PGresult *result_new(ExecStatusType status);

/* True where the test wants this fallible call to fail; counts it. */
bool fake_call_fails(PGconn *conn, enum fake_call call);

#endif
