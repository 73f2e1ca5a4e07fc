/* What pg.c shares with its neighbours, and nobody else includes. */
#ifndef LINK_PG_INTERNAL_H
#define LINK_PG_INTERNAL_H

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

struct pg_link {
    struct pg_options options;
    char *conninfo;
    char *application_name;
    char *session_options; /* start-up parameter `options` */
    char *timeouts_sql;    /* the same per transaction, behind a pooler */
    struct heddle_statement timeouts;

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

/* Waits until the socket is readable (or writable where asked): false at the deadline. */
bool pg_wait(const struct pg_link *link, bool for_write, int64_t deadline_us);

#endif
