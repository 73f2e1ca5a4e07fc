/* The ledger's rows of a bundle (ledger.h): the same, by statements over many operations.
 *
 * These functions take a unit of work and never end it. They are used in this order:
 * receipts_lock, receipts_enter, the effects, receipts_write. */
#ifndef LEDGER_RECEIPTS_H
#define LEDGER_RECEIPTS_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"
#include "ledger/outcome.h"

#include <stdbool.h>

struct heddle_uow;

/* An operation that is executed for the first time, and how it ended. */
struct receipt {
    const struct heddle_operation *operation;
    const struct outcome *outcome;
    bool is_journaled; /* the journal has its row */
};

/* Takes the lanes' locks, each at most once, in this order; not waiting. Where somebody else has
 * one, the transaction fails: HEDDLE_RETRY. */
heddle_status receipts_lock(struct heddle_uow *uow, const int64_t *lane_keys, size_t count,
                            struct arena *arena, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Takes the places of those that are journaled, a lane's in their order. The transaction fails
 * where one of them is not to be run now. */
heddle_status receipts_enter(struct heddle_uow *uow, const struct receipt *receipts, size_t count,
                             struct arena *arena, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* True where the error is that of one of these functions, and not of an effect. */
bool receipts_have_failed(const struct heddle_error *err);

/* Writes how they ended. The transaction fails where the ledger knows a direct one already. Memory
 * of the parameters is the arena's, as above. */
heddle_status receipts_write(struct heddle_uow *uow, const struct receipt *receipts, size_t count,
                             struct arena *arena, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
