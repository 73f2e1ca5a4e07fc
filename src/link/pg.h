/* A connection to Postgres: non-blocking pipeline mode, deadlines, errors
 * classified by SQLSTATE.
 *
 * Confined to one thread, but for pg_cancel. The only user of libpq. Statements are queued and
 * answered in order; the first failure is kept, what stood behind it in the
 * pipeline does not run. After a lost connection or a timeout the link is closed,
 * never reused. */
#ifndef LINK_PG_H
#define LINK_PG_H

#include "heddle/error.h"
#include "heddle/uow.h"

#include <stdint.h>

struct pg_link;

struct pg_options {
    const char *conninfo;         /* libpq connection string; copied */
    const char *application_name; /* seen in pg_stat_activity; copied */
    int connect_timeout_ms;
    int statement_timeout_ms;        /* 0: the server's own */
    int lock_timeout_ms;             /* 0: the server's own */
    int idle_transaction_timeout_ms; /* 0: the server's own */
    int deadline_ms;                 /* the client's patience with one exchange, COMMIT included */
    bool with_prepared_statements;   /* off for poolers that can't */
};

/* Checks the connection string only. HEDDLE_FATAL with what is wrong with it. */
heddle_status pg_new(const struct pg_options *options, struct pg_link **link,
                     struct heddle_error *err) HEDDLE_MUST_CHECK;
void pg_free(struct pg_link *link);

/* Connects where it is not connected. HEDDLE_RETRY: can't be reached, or refused: libpq gives no
 * SQLSTATE here, err has the server's words. */
heddle_status pg_connect(struct pg_link *link, struct heddle_error *err) HEDDLE_MUST_CHECK;
void pg_close(struct pg_link *link);
bool pg_is_connected(const struct pg_link *link);

/* True between transactions, with nothing queued: it may serve another owner. */
bool pg_is_idle(const struct pg_link *link);

/* True where nothing is queued that has not been answered. */
bool pg_is_answered(const struct pg_link *link);

/* Backend pid of the connection, 0 where there is none. */
int pg_backend_pid(const struct pg_link *link);

/* The server's version as 150020; 0 where not connected. */
int pg_server_version(const struct pg_link *link);

/* Queues BEGIN (connecting first where needed), READ ONLY where asked for. */
heddle_status pg_begin(struct pg_link *link, bool is_read_only,
                       struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Appends a statement to the pipeline. Nothing waits. HEDDLE_RETRY: lost. */
heddle_status pg_queue(struct pg_link *link, const struct heddle_statement *statement,
                       const char *const *params, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same with array parameters: bytes[i] is a parameter in binary format. */
heddle_status pg_queue_binary(struct pg_link *link, const struct heddle_statement *statement,
                              const struct heddle_text *bytes,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Answers everything queued so far. `*rows`, where asked for, holds the rows of
 * the last statement; the caller frees it with pg_rows_free. At the first failure
 * returns its status (RETRY or PERMANENT, err->sqlstate set); the pipeline is
 * then resynchronized and the transaction, if any, is failed: roll back.
 * Connection lost or deadline passed: HEDDLE_RETRY, the link is closed. */
heddle_status pg_flush(struct pg_link *link, struct heddle_rows **rows,
                       struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Queues COMMIT, answers everything, ends the pipeline's segment. HEDDLE_UNKNOWN
 * where the link was lost after COMMIT was sent; HEDDLE_RETRY where Postgres
 * answered with the tag ROLLBACK, or an earlier statement failed with a
 * passing fault; HEDDLE_PERMANENT where it failed for good. */
heddle_status pg_commit(struct pg_link *link, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Ends the transaction without effects. Whatever fails here closes the link and is logged, so it
 * never hides the error that caused the rollback. Safe in any state. */
void pg_rollback(struct pg_link *link);

/* A query of one statement outside any transaction block. */
heddle_status pg_query(struct pg_link *link, const struct heddle_statement *statement,
                       const char *const *params, struct heddle_rows **rows,
                       struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same with parameters as pg_queue_binary takes them. */
heddle_status pg_query_binary(struct pg_link *link, const struct heddle_statement *statement,
                              const struct heddle_text *bytes, struct heddle_rows **rows,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Several statements without parameters as one script, outside the pipeline:
 * for migrations. */
heddle_status pg_script(struct pg_link *link, const char *sql,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Waits for a notification that this connection listens for, for `other_fd` to be readable (-1:
 * none) or for the timeout. Between transactions only. */
heddle_status pg_await_notification(struct pg_link *link, int other_fd, int64_t timeout_ms,
                                    bool *is_notified, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* True for an error that tells of the server or the way to it, not of a statement: it is away,
 * full, a standby. */
bool pg_is_outage(const struct heddle_error *err);

/* Cancels what the link waits for in pg_flush; it fails there with 57014, HEDDLE_RETRY. Where the
 * link waits for nothing, or for a COMMIT and what was sent with it, it does nothing. `is_meant` is
 * asked while the link can't move on to anything else: false, and nothing is cancelled. Returns
 * true where a cancel was sent. From any thread, for as long as the link exists. Blocks while
 * Postgres is asked, and so does the link's owner. */
bool pg_cancel(struct pg_link *link, bool (*is_meant)(void *argument), void *argument);

void pg_rows_free(struct heddle_rows *rows);
void pg_rows_cleanup(struct heddle_rows **rows);
#define AUTO_ROWS __attribute__((cleanup(pg_rows_cleanup))) struct heddle_rows *

/* What an SQLSTATE asks for: HEDDLE_RETRY (40001, 40P01, 55P03, 57014, 57P0x,
 * 08xxx, 53xxx, 58xxx …) or HEDDLE_PERMANENT. */
heddle_status pg_classify(const char *sqlstate);

#endif
