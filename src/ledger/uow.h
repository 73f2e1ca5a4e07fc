/* The unit of work, as its owner sees it; handlers see heddle/uow.h.
 *
 * It always ends: committed, rolled back, or released with its connection. It
 * begins with the lane's advisory lock, which ends with the transaction. Statements go
 * out with the first one whose rows are wanted, so a unit of work without
 * branches is two round trips: everything before the result, and the end. */
#ifndef LEDGER_UOW_H
#define LEDGER_UOW_H

#include "heddle/uow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The names of the statements that take a lane's lock, as errors tell them. */
#define UOW_LANE_LOCK "heddle_lane_lock"
#define UOW_STRAND_LOCK "heddle_strand_lock"

struct pg_link;

struct heddle_uow {
    struct pg_link *link;      /* borrowed; one owner, one unit of work at a time */
    heddle_status failed;      /* the first failure; HEDDLE_OK: none */
    bool has_savepoint;        /* one was asked for */
    bool has_lost_savepoint;   /* the last could not be set */
    struct heddle_rows **rows; /* of its queries, owned */
    size_t rows_count, rows_capacity;
};

/* Begins on a link that is idle. HEDDLE_RETRY: can't be reached; nothing is left to end. */
heddle_status uow_begin(struct heddle_uow *uow, struct pg_link *link, bool is_read_only,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Takes the lane's lock, not waiting: where another transaction holds it, the unit of work fails
 * with HEDDLE_RETRY (55P03) at its next query or its commit. */
heddle_status uow_lock_lane(struct heddle_uow *uow, int64_t lane_key,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* What a unit of work takes of a lane (keys: base/digest.h): all of it, or as a strand, beside
 * others, a thread and one of the places that there are. */
struct lane_lock {
    int64_t lane_key;
    bool is_strand;
    int64_t thread_key, place_key;
};

/* Likewise. */
heddle_status uow_lock(struct heddle_uow *uow, const struct lane_lock *lock,
                       struct heddle_error *err) HEDDLE_MUST_CHECK;

/* heddle_uow_query_arrays without waiting, as heddle_uow_send. */
heddle_status uow_send_arrays(struct heddle_uow *uow, const struct heddle_statement *statement,
                              struct heddle_array *const *params,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Marks the place that uow_rollback_to goes back to; the last mark is the one. Waits for nothing
 * but what was sent since another mark. */
heddle_status uow_savepoint(struct heddle_uow *uow, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Makes what follows up to uow_rollback_to read only, without waiting. Behind a savepoint. */
heddle_status uow_read_only(struct heddle_uow *uow, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Waits for whatever has been sent. */
heddle_status uow_flush(struct heddle_uow *uow, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Undoes all since the savepoint, a failure too. Not HEDDLE_OK: the unit of work is lost, with the
 * connection, or because the savepoint could not be set. */
heddle_status uow_rollback_to(struct heddle_uow *uow, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Ends it. HEDDLE_OK: durable. HEDDLE_UNKNOWN: look it up (ledger_find), on a new connection.
 * Any other status: rolled back. Where a statement has failed before, nothing is committed and
 * that statement's status is returned, whatever the handler made of it. */
heddle_status uow_commit(struct heddle_uow *uow, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Ends it without effects. Never fails: at worst the connection is closed. */
void uow_rollback(struct heddle_uow *uow);

#endif
