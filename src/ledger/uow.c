/* The unit of work. Runs on its worker's thread; see uow.h and heddle/uow.h. */
#include "ledger/uow.h"

#include "base/arena.h"
#include "base/array.h"
#include "link/pg.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARRAYS_MAX = 16 };

static const struct heddle_statement lane_lock = {UOW_LANE_LOCK, "select heddle.lane_lock($1)", 1};
static const struct heddle_statement strand_lock = {UOW_STRAND_LOCK,
                                                    "select heddle.strand_lock($1, $2, $3)", 3};

static const struct heddle_statement savepoint = {"heddle_savepoint", "savepoint heddle", 0};
static const struct heddle_statement read_only = {"heddle_read_only", "set transaction read only",
                                                  0};
static const struct heddle_statement rollback_to = {"heddle_rollback_to",
                                                    "rollback to savepoint heddle", 0};

static heddle_status refuse(const struct heddle_uow *uow, const struct heddle_statement *statement,
                            struct heddle_error *err);
static heddle_status take_rows(struct heddle_uow *uow, const struct heddle_rows **rows,
                               struct heddle_error *err);
static heddle_status note(struct heddle_uow *uow, heddle_status status,
                          const struct heddle_error *err);
static void keep_rows(struct heddle_uow *uow, struct heddle_rows *rows);
static void end(struct heddle_uow *uow);

heddle_status uow_begin(struct heddle_uow *uow, struct pg_link *link, bool is_read_only,
                        struct heddle_error *err)
{
    assert(!pg_is_connected(link) || pg_is_idle(link));
    *uow = (struct heddle_uow){.link = link};
    heddle_status status = pg_begin(link, is_read_only, err);
    if (status != HEDDLE_OK)
        pg_close(link);
    return status;
}

heddle_status uow_lock_lane(struct heddle_uow *uow, int64_t lane_key, struct heddle_error *err)
{
    char key[24];
    const char *const params[] = {key};

    snprintf(key, sizeof key, "%" PRId64, lane_key);
    return heddle_uow_send(uow, &lane_lock, params, err);
}

heddle_status uow_lock(struct heddle_uow *uow, const struct lane_lock *lock,
                       struct heddle_error *err)
{
    char lane[24], thread[24], place[24];
    const char *const params[] = {lane, thread, place};

    if (!lock->is_strand)
        return uow_lock_lane(uow, lock->lane_key, err);
    snprintf(lane, sizeof lane, "%" PRId64, lock->lane_key);
    snprintf(thread, sizeof thread, "%" PRId64, lock->thread_key);
    snprintf(place, sizeof place, "%" PRId64, lock->place_key);
    return heddle_uow_send(uow, &strand_lock, params, err);
}

heddle_status uow_savepoint(struct heddle_uow *uow, struct heddle_error *err)
{
    /* What fails before it fails it too; the first one has none before it to go back to. */
    heddle_status status = uow->has_savepoint ? uow_flush(uow, err) : HEDDLE_OK;
    uow->has_lost_savepoint = status != HEDDLE_OK;
    uow->has_savepoint = true;
    return status == HEDDLE_OK ? heddle_uow_send(uow, &savepoint, NULL, err) : status;
}

heddle_status uow_read_only(struct heddle_uow *uow, struct heddle_error *err)
{
    return heddle_uow_send(uow, &read_only, NULL, err);
}

heddle_status uow_flush(struct heddle_uow *uow, struct heddle_error *err)
{
    if (uow->failed != HEDDLE_OK || pg_is_answered(uow->link))
        return uow->failed;
    return note(uow, pg_flush(uow->link, NULL, err), err);
}

heddle_status uow_rollback_to(struct heddle_uow *uow, struct heddle_error *err)
{
    struct heddle_error ignored;

    /* What is under way is answered first: behind a failure the server would skip the rollback. */
    (void)!uow_flush(uow, &ignored);
    /* Its place is that of an earlier one, whose effects are wanted. */
    if (uow->has_lost_savepoint)
        return refuse(uow, &rollback_to, err);
    heddle_status status = pg_queue(uow->link, &rollback_to, NULL, err);
    if (status == HEDDLE_OK)
        status = pg_flush(uow->link, NULL, err);
    uow->failed = status;
    return status;
}

heddle_status uow_commit(struct heddle_uow *uow, struct heddle_error *err)
{
    heddle_status status = uow->failed;

    if (status == HEDDLE_OK)
        status = pg_commit(uow->link, err);
    else
        heddle_fail(err, status, "commit", "a statement of the unit of work had failed");
    if (status != HEDDLE_OK)
        pg_rollback(uow->link);
    end(uow);
    return status;
}

void uow_rollback(struct heddle_uow *uow)
{
    pg_rollback(uow->link);
    end(uow);
}

heddle_status heddle_uow_query(struct heddle_uow *uow, const struct heddle_statement *statement,
                               const char *const *params, const struct heddle_rows **rows,
                               struct heddle_error *err)
{
    heddle_status status = heddle_uow_send(uow, statement, params, err);

    return status == HEDDLE_OK ? take_rows(uow, rows, err) : status;
}

heddle_status heddle_uow_query_arrays(struct heddle_uow *uow,
                                      const struct heddle_statement *statement,
                                      struct heddle_array *const *params,
                                      const struct heddle_rows **rows, struct heddle_error *err)
{
    heddle_status status = uow_send_arrays(uow, statement, params, err);

    return status == HEDDLE_OK ? take_rows(uow, rows, err) : status;
}

heddle_status uow_send_arrays(struct heddle_uow *uow, const struct heddle_statement *statement,
                              struct heddle_array *const *params, struct heddle_error *err)
{
    struct heddle_text bytes[ARRAYS_MAX];

    if (uow->failed != HEDDLE_OK)
        return refuse(uow, statement, err);
    assert(statement->param_count <= ARRAYS_MAX);
    for (int i = 0; i < statement->param_count; i++)
        bytes[i] = array_bytes(params[i]);
    return note(uow, pg_queue_binary(uow->link, statement, bytes, err), err);
}

heddle_status heddle_uow_send(struct heddle_uow *uow, const struct heddle_statement *statement,
                              const char *const *params, struct heddle_error *err)
{
    if (uow->failed != HEDDLE_OK)
        return refuse(uow, statement, err);
    return note(uow, pg_queue(uow->link, statement, params, err), err);
}

static heddle_status refuse(const struct heddle_uow *uow, const struct heddle_statement *statement,
                            struct heddle_error *err)
{
    return heddle_fail(err, uow->failed, statement->name,
                       "a statement of the unit of work had failed");
}

static heddle_status take_rows(struct heddle_uow *uow, const struct heddle_rows **rows,
                               struct heddle_error *err)
{
    struct heddle_rows *fresh = NULL;

    heddle_status status = note(uow, pg_flush(uow->link, &fresh, err), err);
    if (status != HEDDLE_OK)
        return status;
    keep_rows(uow, fresh);
    if (rows)
        *rows = fresh;
    return HEDDLE_OK;
}

static heddle_status note(struct heddle_uow *uow, heddle_status status,
                          const struct heddle_error *err)
{
    if (uow->failed == HEDDLE_OK)
        uow->failed = status;
    if (status != HEDDLE_OK && strcmp(err->where, savepoint.name) == 0)
        uow->has_lost_savepoint = true;
    return status;
}

static void keep_rows(struct heddle_uow *uow, struct heddle_rows *rows)
{
    if (uow->rows_count == uow->rows_capacity) {
        uow->rows_capacity = uow->rows_capacity ? uow->rows_capacity * 2 : 4;
        uow->rows = memory_resize(uow->rows, uow->rows_capacity * sizeof *uow->rows);
    }
    uow->rows[uow->rows_count++] = rows;
}

static void end(struct heddle_uow *uow)
{
    for (size_t i = 0; i < uow->rows_count; i++)
        pg_rows_free(uow->rows[i]);
    free(uow->rows);
    uow->rows = NULL;
    uow->rows_count = uow->rows_capacity = 0;
}
