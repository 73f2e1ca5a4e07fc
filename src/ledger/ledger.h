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
struct lane_lock;

/* Inserts the operation's row before its effects, without waiting. Where the id has a row, the
 * whole transaction fails, with whatever was sent behind: LEDGER_IS_ENDED. */
heddle_status ledger_enter(struct heddle_uow *uow, const struct heddle_operation *operation,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same for an operation that has a row: one of the journal, or one that was tried before. Takes
 * the lane's lock; the transaction fails unless the operation may run now: see ledger_reason_for.
 * `decision`: how it ends or goes on (the name of a state), which is all that follows; NULL: it is
 * to run. A halted one may be decided about, a cancelled one may be "cancelled". */
heddle_status ledger_enter_recorded(struct heddle_uow *uow,
                                    const struct heddle_operation *operation,
                                    const struct lane_lock *lock, const char *decision,
                                    struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Completes the row that either inserted, without waiting. */
heddle_status ledger_finish(struct heddle_uow *uow, const struct heddle_operation *operation,
                            const struct outcome *outcome,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Inserts a row that has ended at once: the decision to refuse or to cancel. Fails like
 * ledger_enter. */
heddle_status ledger_decide(struct heddle_uow *uow, const struct heddle_operation *operation,
                            const struct outcome *outcome,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Inserts the row of an operation that has failed and goes on, or is dead: with all that trying it
 * again takes. Fails like ledger_enter. */
heddle_status ledger_record(struct heddle_uow *uow, const struct heddle_operation *operation,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* An attempt that failed. An operation is tried once in a claim, so it is charged once. */
struct ledger_attempt {
    const char *error; /* JSON */
    const char *processor;
    uint64_t claim_seq;
};

/* The attempt failed, and the operation goes on as `state`: retrying, parked for wait_ms, or
 * halted. LEDGER_IS_CANCELLED where it was cancelled meanwhile. Repeated, it changes nothing. */
heddle_status ledger_charge(struct heddle_uow *uow, const struct heddle_operation *operation,
                            const struct ledger_attempt *attempt, const char *state,
                            int64_t wait_ms, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* It has just ended dead by the attempt: a letter for the operator. */
heddle_status ledger_bury(struct heddle_uow *uow, const struct heddle_operation *operation,
                          const struct ledger_attempt *attempt,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Why the ledger failed a transaction. */
enum ledger_reason {
    LEDGER_IS_FREE, /* it did not: the failure is another's */
    LEDGER_IS_ENDED,
    LEDGER_IS_GAP,    /* another operation of the lane comes first: Redis has lost that one */
    LEDGER_IS_STRAY,  /* it does not know the operation: a submission that was never committed */
    LEDGER_IS_PARKED, /* it is in no lane now */
    LEDGER_IS_CANCELLED,
    LEDGER_IS_HALTED, /* it halts its lane until an operator decides */
    LEDGER_IS_TRIED,  /* more often than Redis says */
    LEDGER_IS_HELD,   /* another transaction has the lane: a zombie's, or a decision's */
};

enum ledger_reason ledger_reason_for(const struct heddle_error *err);

enum ledger_answer {
    LEDGER_UNKNOWN,    /* no row */
    LEDGER_UNFINISHED, /* this operation; the outcome's code is the number of its last attempt */
    LEDGER_ENDED,      /* this operation; the outcome is filled */
    LEDGER_CONFLICT,   /* another operation has the id */
};

/* What the ledger says of the id. Texts of the outcome lie in the arena. */
heddle_status ledger_find(struct heddle_uow *uow, const struct heddle_operation *operation,
                          struct arena *arena, enum ledger_answer *answer, struct outcome *outcome,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
