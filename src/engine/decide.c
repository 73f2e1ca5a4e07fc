/* What is decided about an operation, in the ledger before Redis acts on it. See run.h. */
#include "base/fault.h"
#include "base/log.h"
#include "engine/handlers.h"
#include "engine/run.h"
#include "ledger/ledger.h"
#include "ledger/uow.h"

static heddle_status write_decision(struct run *run, struct heddle_uow *uow,
                                    struct heddle_error *err);
static heddle_status write_end(struct run *run, struct heddle_uow *uow, struct heddle_error *err);
static struct ledger_attempt attempt_of(const struct run *run);
static heddle_status recall(struct run *run, struct heddle_error *err);

heddle_status run_begin(struct run *run, struct heddle_uow *uow, enum run_unit what,
                        struct heddle_error *err)
{
    heddle_status status = uow_begin(uow, run->link, what == RUN_READS, err);

    if (status != HEDDLE_OK)
        return status;
    const struct verdict *verdict = &run->verdict;
    const char *decision = verdict->state ? verdict->state : heddle_end_name(verdict->end);
    bool enters = run->is_recorded && (what == RUN_EFFECTS || what == RUN_DECISION);
    status = enters ? ledger_enter_recorded(uow, &run->claimed->operation, &run->lock,
                                            what == RUN_DECISION ? decision : NULL, err)
                    : uow_lock(uow, &run->lock, err);
    if (status != HEDDLE_OK)
        uow_rollback(uow);
    return status;
}

heddle_status run_ask(struct run *run, struct heddle_error *err)
{
    enum ledger_answer answer;
    struct outcome found;
    struct heddle_uow uow;

    heddle_status status = run_begin(run, &uow, RUN_EFFECTS, err);
    if (status != HEDDLE_OK)
        return status;
    status =
        ledger_find(&uow, &run->claimed->operation, &run->task.claim->arena, &answer, &found, err);
    uow_rollback(&uow);
    return status;
}

heddle_status run_decide(struct run *run, struct heddle_error *err)
{
    const struct verdict *verdict = &run->verdict;
    const bool leaves_lane = verdict->disposition == LANE_RELEASE;
    const bool goes_on = verdict->end == HEDDLE_END_NONE;
    struct heddle_uow uow;

    run->reason = LEDGER_IS_FREE;
    /* A refusal of a read, or that it is tried again, is Redis' to remember. */
    if (run_leaves_no_row(run) &&
        (verdict->end == HEDDLE_END_FAILED || verdict->disposition == LANE_WAIT))
        return HEDDLE_OK;
    heddle_status status = run_begin(run, &uow, leaves_lane ? RUN_DECISION : RUN_CHARGE, err);
    if (status != HEDDLE_OK)
        return status;
    status = write_decision(run, &uow, err);
    if (status != HEDDLE_OK) {
        uow_rollback(&uow);
        return status;
    }
    fault_point("decision_queued");
    status = uow_commit(&uow, err);
    fault_point("decision_ended");
    if (status != HEDDLE_OK)
        return run_resolve(run, status, err);
    run->is_recorded = goes_on;
    run->is_in_ledger = !goes_on;
    run->claimed->is_parked = goes_on && leaves_lane;
    return HEDDLE_OK;
}

heddle_status run_resolve(struct run *run, heddle_status status, struct heddle_error *err)
{
    run->reason = LEDGER_IS_FREE;
    post_phase(run->post, PHASE_DECIDE);
    if (status == HEDDLE_OK)
        return HEDDLE_OK;
    if (status == HEDDLE_UNKNOWN) {
        run_log(HEDDLE_LOG_WARNING, "commit_unknown", run, err);
        return recall(run, err);
    }
    run->reason = ledger_reason_for(err);
    switch (run->reason) {
    case LEDGER_IS_ENDED:
    case LEDGER_IS_TRIED:
        return recall(run, err);
    case LEDGER_IS_STRAY:
        if (!run->claimed->is_journaled) {
            run->is_recorded = false;
            return HEDDLE_RETRY;
        }
        run_log(HEDDLE_LOG_ERROR, "operation_stray", run, err);
        run->outcome = outcome_failed(HEDDLE_END_DEAD, err, &run->task.claim->arena);
        return HEDDLE_OK;
    case LEDGER_IS_PARKED:
        run->claimed->is_parked = true;
        return HEDDLE_PERMANENT;
    case LEDGER_IS_FREE:
    case LEDGER_IS_GAP:
    case LEDGER_IS_CANCELLED:
    case LEDGER_IS_HALTED:
    case LEDGER_IS_HELD:
        break;
    }
    return status;
}

bool run_leaves_no_row(const struct run *run)
{
    return run->handler && !run->is_recorded &&
           handlers_is_row_less(run->handler, &run->claimed->operation);
}

static heddle_status write_decision(struct run *run, struct heddle_uow *uow,
                                    struct heddle_error *err)
{
    const struct verdict *verdict = &run->verdict;
    const struct heddle_operation *operation = &run->claimed->operation;
    const struct ledger_attempt attempt = attempt_of(run);
    heddle_status status = HEDDLE_OK;

    if (!run->is_recorded &&
        (verdict->end == HEDDLE_END_FAILED || verdict->end == HEDDLE_END_CANCELLED))
        return ledger_decide(uow, operation, &run->outcome, err);
    if (!run->is_recorded)
        status = ledger_record(uow, operation, err);
    if (status == HEDDLE_OK && verdict->end != HEDDLE_END_NONE)
        return write_end(run, uow, err);
    if (status == HEDDLE_OK)
        status = ledger_charge(uow, operation, &attempt, verdict->state, verdict->wait_ms, err);
    return status;
}

static heddle_status write_end(struct run *run, struct heddle_uow *uow, struct heddle_error *err)
{
    const struct heddle_operation *operation = &run->claimed->operation;
    const struct ledger_attempt attempt = attempt_of(run);

    heddle_status status = ledger_finish(uow, operation, &run->outcome, err);
    if (status == HEDDLE_OK && run->verdict.end == HEDDLE_END_DEAD)
        status = ledger_bury(uow, operation, &attempt, err);
    return status;
}

static struct ledger_attempt attempt_of(const struct run *run)
{
    return (struct ledger_attempt){run->error, run->shared->incarnation, run->task.claim->seq};
}

/* Asks the ledger what became of the operation. The lane's lock makes the answer final: whoever
 * ran it before us has ended. */
static heddle_status recall(struct run *run, struct heddle_error *err)
{
    struct claim *claim = run->task.claim;
    struct heddle_operation *operation = &run->claimed->operation;
    const struct heddle_error cause = *err;
    enum ledger_answer answer;
    struct outcome found;
    struct heddle_uow uow;

    run->reason = LEDGER_IS_FREE;
    heddle_status status = run_begin(run, &uow, RUN_READS, err);
    if (status == HEDDLE_OK) {
        status = ledger_find(&uow, operation, &claim->arena, &answer, &found, err);
        uow_rollback(&uow);
    }
    fault_point("recalled");
    /* Whatever keeps the ledger from answering, the operation has not failed of it: as where
     * somebody else has the lane. */
    if (status != HEDDLE_OK) {
        run->reason = LEDGER_IS_HELD;
        return HEDDLE_RETRY;
    }
    switch (answer) {
    case LEDGER_ENDED:
        run->outcome = found;
        run->is_in_ledger = true;
        return HEDDLE_OK;
    case LEDGER_CONFLICT:
        heddle_refuse(err, HEDDLE_KIND_CONFLICT, "the id is in use by another operation");
        run->outcome = outcome_failed(HEDDLE_END_FAILED, err, &claim->arena);
        return HEDDLE_OK;
    case LEDGER_UNFINISHED:
        /* The ledger remembers attempts that Redis has forgotten. */
        if (found.code >= operation->attempt)
            operation->attempt = found.code + 1;
        run->is_recorded = true;
        break;
    case LEDGER_UNKNOWN:
        break;
    }
    *err = cause;
    return HEDDLE_RETRY;
}
