/* Between the wrapped functions (libpq.c) and the server (postgres.c). */
#ifndef FAKE_WIRE_H
#define FAKE_WIRE_H

#include "postgres.h"

#include <libpq-fe.h>

enum { WIRE_PARAMS_MAX = 13, WIRE_QUEUE_MAX = 256, WIRE_FIELDS_MAX = 7, WIRE_PREPARED_MAX = 64 };

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

/* Executes the messages that have arrived. Frees their parameters. */
void server_take(PGconn *conn, struct message *messages, int count);

/* The server's end is closed: its transaction is over. */
void server_drop(PGconn *conn);

/* COMMIT or ROLLBACK; the tag of the answer. */
const char *server_end(PGconn *conn, bool is_commit);

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

struct kind {
    const char *name, *piece; /* `piece` is a part of the statement's text */
    enum meaning meaning;
};

const struct kind *kind_of(const char *sql);
bool ends_transaction(const struct kind *kind);

/* Executes the statement, which nothing hinders. */
PGresult *mean(PGconn *conn, const struct kind *kind, const struct message *message);

/* Why a statement can't be executed: an SQLSTATE, or NULL. */
const char *why_not(const struct kind *kind, const struct message *message);

PGresult *result_new(ExecStatusType status);

/* True where the test wants this fallible call to fail; counts it. */
bool fake_call_fails(PGconn *conn, enum fake_call call);

#endif
