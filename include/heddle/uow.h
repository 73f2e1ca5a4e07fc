/* The unit of work, as a handler's apply and its repositories see it: a
 * Postgres transaction that somebody else begins, commits and rolls back.
 *
 * A unit of work belongs to one worker; nothing here may be called from
 * another thread. After a function returned anything but HEDDLE_OK the
 * transaction is lost: return that status, do not try to go on. */
#ifndef HEDDLE_UOW_H
#define HEDDLE_UOW_H

#include "heddle/error.h"
#include "heddle/operation.h"

/* A statement, kept in static storage. It is prepared once per connection
 * under `name`, where the configuration allows prepared statements. */
struct heddle_statement {
    const char *name;
    const char *sql;
    int param_count;
};

/* The rows of a query; freed by the unit of work when it ends. */
struct heddle_rows;

/* Runs the statement and waits for its rows. `params` holds param_count texts,
 * NULL for SQL null; `rows` may be NULL where they don't matter.
 * HEDDLE_RETRY: serialization failure, deadlock, lock or statement timeout,
 * connection lost. HEDDLE_PERMANENT: the statement itself is at fault;
 * err->sqlstate tells (23505 for a unique violation). */
heddle_status heddle_uow_query(struct heddle_uow *uow, const struct heddle_statement *statement,
                               const char *const *params, const struct heddle_rows **rows,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Sends the statement without waiting: its failure surfaces at the next query
 * or at the commit, and its rows are dropped. Saves a round trip. Where the
 * COMMIT is sent right behind it, nobody cancels it: only its own timeout does. */
heddle_status heddle_uow_send(struct heddle_uow *uow, const struct heddle_statement *statement,
                              const char *const *params,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A parameter that is an array, for statements over many rows: built element by element, in memory
 * of the task, which it must not outlive. */
struct heddle_array;

struct heddle_array *heddle_array_new(struct heddle_task *task);

/* Appends an element; copied. NULL is SQL null. */
void heddle_array_add(struct heddle_array *array, const char *text);

/* The array as a parameter's text; valid until the next element is added. */
const char *heddle_array_text(const struct heddle_array *array);

/* Number of rows. */
int heddle_rows_count(const struct heddle_rows *rows);

/* The text of a field, NULL for SQL null or outside the rows. Lives as long as
 * the unit of work. */
const char *heddle_rows_text(const struct heddle_rows *rows, int row, int column);

/* Number of rows that an INSERT, UPDATE or DELETE touched. */
int heddle_rows_affected(const struct heddle_rows *rows);

#endif
