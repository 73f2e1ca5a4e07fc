/* What pg.c shares with its neighbours, and nobody else includes. */
#ifndef LINK_PG_INTERNAL_H
#define LINK_PG_INTERNAL_H

#include "base/thread.h"
#include "link/pg.h"

#include <libpq-fe.h>

/* Where an error happened that is the connection's. */
#define PG_WHERE "postgres"

/* struct heddle_rows is libpq's PGresult, under a name that needs none of its headers. */
static inline const PGresult *rows_inside(const struct heddle_rows *rows)
{
    return (const PGresult *)(const void *)rows;
}

/* What waits for an answer in the pipeline. */
enum expectation_kind { EXPECT_PREPARE, EXPECT_ROWS, EXPECT_SYNC };

struct expectation {
    enum expectation_kind kind;
    const struct heddle_statement *statement; /* NULL for a sync */
};

/* A statement that this connection knows, or is about to. */
struct prepared {
    const struct heddle_statement *statement;
    bool is_ready; /* false: sent, not yet answered */
};

/* What other threads may touch: pg_cancel.c. */
struct pg_cancel_state {
    struct mutex mutex;
    struct condition sent;
    PGcancel *request GUARDED;
    bool is_open GUARDED;    /* an exchange without COMMIT is under way */
    bool is_sending GUARDED; /* and another thread is about to cancel it */
};

struct pg_link {
    struct pg_options options;
    char *conninfo;
    char *application_name;
    char *session_options; /* start-up parameter `options` */
    char *timeouts_sql;    /* the same per transaction, behind a pooler */
    struct heddle_statement timeouts;

    struct pg_cancel_state cancel;

    PGconn *conn; /* NULL: not connected */
    bool in_transaction;
    bool commit_is_sent;
    int64_t deadline_us; /* of the exchange under way */
    struct expectation *expected;
    size_t expected_count, expected_capacity;
    struct prepared *prepared;
    size_t prepared_count, prepared_capacity;
};

/* Opens the connection; pg_connect.c. */
heddle_status pg_open(struct pg_link *link, struct heddle_error *err) HEDDLE_MUST_CHECK;

void pg_cancel_init(struct pg_cancel_state *state);
void pg_cancel_done(struct pg_cancel_state *state);

/* Around the life of a connection. */
void pg_cancel_arm(struct pg_link *link);
void pg_cancel_disarm(struct pg_link *link);

/* Around an exchange that may be cancelled. _shut waits for a request that is on its way. */
void pg_cancel_open(struct pg_link *link);
void pg_cancel_shut(struct pg_link *link);

/* Waits until the socket is readable (or writable where asked): false at the deadline. */
bool pg_wait(const struct pg_link *link, bool for_write, int64_t deadline_us);

/* Notes what will be answered. */
void pg_expect(struct pg_link *link, enum expectation_kind kind,
               const struct heddle_statement *statement);

/* NULL where the session has not prepared it. */
struct prepared *pg_prepared_find(struct pg_link *link, const struct heddle_statement *statement);
void pg_prepared_add(struct pg_link *link, const struct heddle_statement *statement);

/* A failure made the server skip what was behind it, PREPAREs included. */
void pg_prepared_drop_unanswered(struct pg_link *link);

#endif
