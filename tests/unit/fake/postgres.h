/* A Postgres of paper, behind libpq's own functions (`-Wl,--wrap`), whose calls and statements
 * fail as a test tells. It knows transactions, one ledger row and a count of effects: enough to
 * see whether what the client believes is what happened.
 *
 * What a client sends lies in its buffer until it is flushed; the server executes it when it
 * arrives, and its answers can be read once a flush or sync was asked for. One thread. */
#ifndef FAKE_POSTGRES_H
#define FAKE_POSTGRES_H

#include <stdbool.h>

enum fake_fault_kind {
    FAKE_NO_FAULT,
    /* of a call of libpq: */
    FAKE_CALL_FAILS_UNSENT, /* it fails; what lay in the buffer never arrived */
    FAKE_CALL_FAILS_SENT,   /* it fails; the server got all of it */
    /* of a statement at the server: */
    FAKE_STATEMENT_FAILS,     /* with the SQLSTATE */
    FAKE_SERVER_SAYS_GOODBYE, /* FATAL with the SQLSTATE instead of executing it, then it closes */
    FAKE_LOST_BEFORE,         /* the connection breaks before it is executed */
    FAKE_LOST_AFTER,          /* … after it was executed, before it is answered */
    FAKE_SILENT_BEFORE,       /* no answer comes any more; it was not executed */
    FAKE_SILENT_AFTER,        /* likewise, but it was */
    /* of one inside a transaction; BEGIN, COMMIT and ROLLBACK speak the truth: */
    FAKE_FAILS_UNNOTICED, /* the transaction has failed, and the answer is well */
    FAKE_ANSWERS_ODDLY,   /* executed, and answered in the shape */
};

struct fake_shape {
    int status; /* of libpq's ExecStatusType */
    int rows, columns;
    const char *field; /* each of them; NULL: null */
};

struct fake_fault {
    enum fake_fault_kind kind;
    int at;                /* the n-th fallible call, or statement; 0: by `statement` */
    const char *statement; /* of the table in postgres.c */
    int skip;              /* of the statements with that name, these many pass first */
    const char *sqlstate;
    struct fake_shape shape;
};

/* Fallible calls, in the order in which a connection meets them. */
enum fake_call {
    FAKE_CONNECT_START,
    FAKE_CONNECT_POLL,
    FAKE_SET_NONBLOCKING,
    FAKE_ENTER_PIPELINE,
    FAKE_SEND_PREPARE,
    FAKE_SEND_QUERY_PREPARED,
    FAKE_SEND_QUERY_PARAMS,
    FAKE_SEND_FLUSH_REQUEST,
    FAKE_PIPELINE_SYNC,
    FAKE_FLUSH,
    FAKE_CONSUME_INPUT,
    FAKE_GET_RESULT,
    FAKE_CALLS
};

struct fake_server {
    struct fake_fault fault; /* set by the test; happens once */
    bool has_failed;         /* it has happened, and all that follow it */
    /* Those that follow, their `at` counted from the one before; the caller's. */
    const struct fake_fault *more;
    int more_count;

    /* What is committed. */
    bool has_ledger_row;
    char ledger_state[16];
    int effects;                 /* statements that change something */
    int attempts, attempt_claim; /* that failed, and the claim of the last */

    /* What has been seen. */
    int begins, commits, rollbacks, empty_rollbacks; /* the last: with nothing to end */
    int calls, statements;
    int calls_of[FAKE_CALLS];
    int connections, connections_open, transactions_open, results_live;
};

extern struct fake_server fake;

/* Forgets everything; the test fails where a connection or a result is left. */
void fake_reset(void);

/* The same, but for what is committed: for the next run against the same database. */
void fake_set_fault(struct fake_fault fault);

/* The same for several, one after the other. */
void fake_set_faults(const struct fake_fault *faults, int count);

#endif
