/* The ledger: the row that is fence and receipt of an operation.
 *
 * These functions take a unit of work and never end it. */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"
#include "ledger/outcome.h"

#include <stdbool.h>

struct heddle_uow;

/* Inserts the operation's row before its effects, without waiting. Where the id has a row, the
 * whole transaction fails, with whatever was sent behind: see ledger_is_duplicate. */
heddle_status ledger_enter(struct heddle_uow *uow, const struct heddle_operation *operation,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same for an operation of the journal, with the lane's lock: the transaction fails unless the
 * operation is the next one of its lane. See ledger_is_duplicate, ledger_is_gap, ledger_is_stray.
 */
heddle_status ledger_enter_journaled(struct heddle_uow *uow,
                                     const struct heddle_operation *operation, int64_t lane_key,
                                     struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Completes the row that either inserted, without waiting. */
heddle_status ledger_finish(struct heddle_uow *uow, const struct heddle_operation *operation,
                            const struct outcome *outcome,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Inserts a row that has ended at once: the decision to refuse or to give up. Fails like
 * ledger_enter. */
heddle_status ledger_decide(struct heddle_uow *uow, const struct heddle_operation *operation,
                            const struct outcome *outcome,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* True where a transaction failed because the operation has ended already. */
bool ledger_is_duplicate(const struct heddle_error *err);

/* … because another operation of the lane comes first: Redis has lost that one. */
bool ledger_is_gap(const struct heddle_error *err);

/* … because the journal does not know the operation: its submission was never committed. */
bool ledger_is_stray(const struct heddle_error *err);

enum ledger_answer {
    LEDGER_UNKNOWN,  /* no row */
    LEDGER_ENDED,    /* this operation; the outcome is filled */
    LEDGER_CONFLICT, /* another operation has the id */
};

/* What the ledger says of the id. Texts of the outcome lie in the arena. */
heddle_status ledger_find(struct heddle_uow *uow, const struct heddle_operation *operation,
                          struct arena *arena, enum ledger_answer *answer, struct outcome *outcome,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
