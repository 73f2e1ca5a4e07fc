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

/* A statement, kept in static storage. It is prepared once per connection under `name`, where the
 * configuration allows prepared statements. One without a name is not, and need not outlive its
 * unit of work. */
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
 * err->sqlstate tells (23505 for a unique violation). HEDDLE_REFUSED: a function that it called did
 * so, by raising HE400, HE403, HE404, HE409, HE410 or HE413. */
heddle_status heddle_uow_query(struct heddle_uow *uow, const struct heddle_statement *statement,
                               const char *const *params, const struct heddle_rows **rows,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Sends the statement without waiting: its failure surfaces at the next query
 * or at the commit, and its rows are dropped. Saves a round trip. Where the
 * COMMIT is sent right behind it, nobody cancels it: only its own timeout does. */
heddle_status heddle_uow_send(struct heddle_uow *uow, const struct heddle_statement *statement,
                              const char *const *params,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Parameters that are arrays, for statements over many rows: a column each, built element by
 * element, in memory of the task, which they must not outlive. Named by Postgres' types, as which
 * the statement takes them: `$1::uuid[]`. */
enum heddle_array_type {
    HEDDLE_ARRAY_BIGINT = 20,
    HEDDLE_ARRAY_TEXT = 25,
    HEDDLE_ARRAY_JSON = 114,
    HEDDLE_ARRAY_UUID = 2950,
};

struct heddle_array;

struct heddle_array *heddle_array_new(struct heddle_task *task, enum heddle_array_type type);

/* Appends an element that is no number; copied. NULL is SQL null. What is added to uuids is the
 * text of one: see heddle_is_uuid. */
void heddle_array_add(struct heddle_array *array, const char *text);

/* Appends an element to bigints. */
void heddle_array_add_number(struct heddle_array *array, int64_t number);

/* heddle_uow_query with param_count arrays as parameters. */
heddle_status heddle_uow_query_arrays(struct heddle_uow *uow,
                                      const struct heddle_statement *statement,
                                      struct heddle_array *const *params,
                                      const struct heddle_rows **rows,
                                      struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Number of rows. */
int heddle_rows_count(const struct heddle_rows *rows);

/* The text of a field, NULL for SQL null or outside the rows. Lives as long as
 * the unit of work. */
const char *heddle_rows_text(const struct heddle_rows *rows, int row, int column);

/* Number of rows that an INSERT, UPDATE or DELETE touched. */
int heddle_rows_affected(const struct heddle_rows *rows);

#endif
