/* The way of an operation inside a worker: user lock → check → prepare → unit of work {ledger,
 * effects} → after commit. The file to read first. Runs on a worker's thread. */
#include "engine/run.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/policy.h"
#include "base/text.h"
#include "engine/handlers.h"
#include "engine/hooks.h"
#include "ledger/ledger.h"
#include "ledger/uow.h"
#include "link/pg.h"

#include <stdio.h>
#include <string.h>

enum {
    DECISIONS_MAX = 4,
    SESSIONS_MAX = 5, /* that an operation may lose in a row: then it is suspected */
};

static struct lane_lock lock_of(const struct claim *claim,
                                const struct heddle_operation *operation);
static void execute(struct run *run, struct settlement *part);
static heddle_status start(struct run *run, struct heddle_error *err);
static heddle_status expire(struct run *run, struct heddle_error *err);
static heddle_status judge_first(struct run *run, struct heddle_error *err);
static heddle_status persist(struct run *run, run_step *step, struct heddle_error *err);
static heddle_status attempt(struct run *run, struct heddle_error *err);
static heddle_status resolve(struct run *run, run_step *step, struct heddle_error *err);
static heddle_status apply(struct run *run, struct heddle_error *err);
static heddle_status call_apply(struct run *run, struct heddle_uow *uow, struct heddle_error *err);
static void count_session(struct run *run);
static struct verdict judge(struct run *run, heddle_status status, struct heddle_error *err);
static void dispose(struct run *run, struct settlement *part);
static void conclude(struct run *run);

void run_operation(struct runner *runner, struct claim *claim, struct claimed_operation *claimed,
                   struct settlement *part)
{
    const struct heddle_hooks *const *hooks = runner->shared->options->hooks;
    struct run run = {
        .shared = runner->shared,
        .link = runner->link,
        .post = runner->post,
        .lost = &runner->lost,
        .claimed = claimed,
        .handler = handlers_hold(runner->shared->handlers, claimed->operation.op),
        .lock = lock_of(claim, &claimed->operation),
        .verdict = {.disposition = LANE_RELEASE},
    };

    run.is_recorded =
        claimed->is_journaled || (claimed->operation.attempt > 1 && !run_leaves_no_row(&run));

    task_init(&run.task, claim, claimed, run.handler, &runner->arena, runner->link);
    const int64_t started_us = hooks ? clock_now_us() : 0;
    hooks_start(hooks, &run.task);
    execute(&run, part);
    if (hooks) {
        const struct heddle_execution execution = {claimed->end, clock_now_us() - started_us, 1};
        hooks_end(&run.task, &execution);
    }
    task_done(&run.task);
    handlers_release(runner->shared->handlers, run.handler);
}

static struct lane_lock lock_of(const struct claim *claim, const struct heddle_operation *operation)
{
    struct lane_lock lock = {.lane_key = digest_lane_key(claim->lane),
                             .is_strand = claim->places > 0};

    if (lock.is_strand) {
        lock.thread_key = digest_thread_key(claim->lane, operation->thread);
        lock.place_key = digest_place_key(claim->lane, claim->place);
    }
    return lock;
}

static void execute(struct run *run, struct settlement *part)
{
    struct heddle_error err = {0};

    heddle_status status = start(run, &err);
    const bool goes_on = status == HEDDLE_OK && run->outcome.end == HEDDLE_END_NONE;
    if (goes_on && run->handler) {
        status = persist(run, attempt, &err);
    } else if (goes_on) {
        run_log(HEDDLE_LOG_WARNING, "lane_halted", run, NULL);
        run->verdict = verdict_unknown_op();
    }
    /* A decision may be overtaken by another one: a cancellation, say. */
    for (int tries = 0; status != HEDDLE_OK && tries < DECISIONS_MAX; tries++) {
        run->verdict = judge(run, status, &err);
        if (!run->verdict.is_decision)
            break;
        status = persist(run, run_decide, &err);
        if (status != HEDDLE_OK && run->reason == LEDGER_IS_FREE)
            break;
    }
    /* What can't be written is not acted on. */
    if (status != HEDDLE_OK && run->verdict.is_decision) {
        run_log(HEDDLE_LOG_ERROR, "decision_failed", run, &err);
        run->verdict = verdict_undecided();
    }
    /* What was to be decided about had ended already. */
    if (status == HEDDLE_OK && run->outcome.end != HEDDLE_END_NONE)
        run->verdict.disposition = LANE_RELEASE;
    if (run->verdict.disposition == LANE_RELEASE && !run->claimed->is_parked)
        conclude(run);
    dispose(run, part);
}

/* What can be said before anything is tried. */
static heddle_status start(struct run *run, struct heddle_error *err)
{
    heddle_status status = judge_first(run, err);

    if (status != HEDDLE_OK && run->reason == LEDGER_IS_FREE)
        hooks_error(run->task.hooks, run->task.operation, err);
    return status;
}

static heddle_status judge_first(struct run *run, struct heddle_error *err)
{
    const struct claimed_operation *claimed = run->claimed;

    if (claimed_cancel_cause(claimed) == CANCEL_ASKED)
        return heddle_refuse(err, HEDDLE_KIND_CANCELLED, "cancelled before it was done");
    heddle_status status = claimed_has_expired(claimed) ? expire(run, err) : HEDDLE_OK;
    if (status != HEDDLE_OK || run->outcome.end != HEDDLE_END_NONE)
        return status;
    if (!run->handler)
        return run->is_recorded ? resolve(run, run_ask, err) : HEDDLE_OK;
    status = task_check(&run->task, err);
    if (status == HEDDLE_OK && claimed->is_poisoned)
        return heddle_fail(err, HEDDLE_PERMANENT, "crash",
                           "its process crashed each time it was tried");
    if (status == HEDDLE_OK && run->handler->check)
        status = run->handler->check(&run->task, err);
    return status;
}

/* The ledger may know better: that it has been tried, or is cancelled, has ended. */
static heddle_status expire(struct run *run, struct heddle_error *err)
{
    heddle_status status = run->is_recorded ? resolve(run, run_ask, err) : HEDDLE_OK;

    run->has_expired = run->claimed->operation.attempt == 1;
    if (status != HEDDLE_OK || run->outcome.end != HEDDLE_END_NONE || !run->has_expired)
        return status;
    return heddle_refuse(err, HEDDLE_KIND_EXPIRED, "had not begun when it expired");
}

/* Takes a step again while its failure is one that passes, a few times, with backoff. */
static heddle_status persist(struct run *run, run_step *step, struct heddle_error *err)
{
    const struct processor_options *options = run->shared->options;
    heddle_status status;

    for (int tries = 1;; tries++) {
        status = step(run, err);
        /* What the ledger says of its place is no failure of the operation. */
        if (status != HEDDLE_OK && run->reason == LEDGER_IS_FREE)
            hooks_error(run->task.hooks, run->task.operation, err);
        if (status != HEDDLE_RETRY || tries > options->retry_attempts ||
            atomic_load(&run->shared->is_stopping) ||
            (step == attempt && heddle_task_is_cancelled(&run->task)))
            return status;
        run_log(HEDDLE_LOG_INFO, "operation_retry", run, err);
        clock_sleep_ms(clock_backoff_ms(tries, options->retry_base_ms, options->retry_cap_ms));
    }
}

static heddle_status attempt(struct run *run, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    run->reason = LEDGER_IS_FREE;
    if (!run->is_prepared && run->handler->prepare) {
        /* Outside calls of what is cancelled, halted or done would be for nothing. */
        if (run->is_recorded)
            status = resolve(run, run_ask, err);
        if (status != HEDDLE_OK || run->outcome.end != HEDDLE_END_NONE)
            return status;
        post_phase(run->post, PHASE_PREPARE);
        const int64_t started_us = clock_now_us();
        status = run->handler->prepare(&run->task, err);
        if (run->handler->flags & HEDDLE_HANDLER_NO_EFFECTS)
            handlers_note(run->shared->handlers, run->handler, clock_now_us() - started_us);
        if (status == HEDDLE_OK && !run->handler->apply)
            status = task_check_result(&run->task, run->shared->options->result_bytes_max, err);
    }
    if (status != HEDDLE_OK)
        return status;
    run->is_prepared = true;
    fault_point("prepared");
    post_phase(run->post, PHASE_APPLY);
    return resolve(run, apply, err);
}

/* Takes the step once more where the ledger knew better whether it has a row of the operation, or
 * how often it was tried. */
static heddle_status resolve(struct run *run, run_step *step, struct heddle_error *err)
{
    const bool was_recorded = run->is_recorded;
    const int attempt = run->claimed->operation.attempt;

    heddle_status status = run_resolve(run, step(run, err), err);
    if (status == HEDDLE_RETRY &&
        (run->is_recorded != was_recorded || run->claimed->operation.attempt != attempt))
        status = run_resolve(run, step(run, err), err);
    return status;
}

/* The unit of work: the ledger's row first, so that a duplicate fails all that stands behind it. */
static heddle_status apply(struct run *run, struct heddle_error *err)
{
    const bool is_read_only = run_leaves_no_row(run);
    struct heddle_operation *operation = &run->claimed->operation;
    struct heddle_uow uow;

    if (is_read_only && (run->handler->flags & HEDDLE_HANDLER_NO_EFFECTS)) {
        run->outcome = outcome_done(run->task.result);
        return HEDDLE_OK;
    }
    heddle_status status = run_begin(run, &uow, is_read_only ? RUN_READS : RUN_EFFECTS, err);
    if (status != HEDDLE_OK)
        return status;
    if (!is_read_only && !run->is_recorded)
        status = ledger_enter(&uow, operation, err);
    if (status == HEDDLE_OK && run->handler->apply)
        status = call_apply(run, &uow, err);
    if (status == HEDDLE_OK)
        status = task_follow_up(&(struct heddle_task *){&run->task}, 1, &uow, run->task.arena, err);
    if (status == HEDDLE_OK) {
        /* Rows end with the unit of work; the result outlives it. */
        const char *result = run->task.result;
        run->task.result = result ? arena_format(run->task.arena, "%s", result) : NULL;
        run->outcome = outcome_done(run->task.result);
        if (!is_read_only)
            status = ledger_finish(&uow, operation, &run->outcome, err);
    }
    fault_point("effects_queued");
    if (status != HEDDLE_OK)
        uow_rollback(&uow);
    else
        status = uow_commit(&uow, err);
    fault_point("effects_ended");
    count_session(run);
    /* Elsewhere it is a standby's answer and passes; here the handler wrote, and would again. */
    if (is_read_only && status == HEDDLE_RETRY && strcmp(err->sqlstate, "25006") == 0)
        return HEDDLE_PERMANENT;
    if (status == HEDDLE_OK) {
        run->is_in_ledger = !is_read_only;
        post_phase(run->post, PHASE_AFTER);
        if (run->handler->after_commit)
            run->handler->after_commit(&run->task);
    }
    /* A read has no effects whose fate could be unknown. */
    return status == HEDDLE_UNKNOWN && is_read_only ? HEDDLE_RETRY : status;
}

/* Who is slow is bundled with nobody, until it is quick again. */
static heddle_status call_apply(struct run *run, struct heddle_uow *uow, struct heddle_error *err)
{
    const int64_t started_us = clock_now_us();

    task_begin_apply(&run->task, run->handler);
    heddle_status status = run->handler->apply(&run->task, uow, err);
    handlers_note(run->shared->handlers, run->handler, clock_now_us() - started_us);
    return task_end_apply(&run->task, status, run->shared->options->result_bytes_max, err);
}

static void count_session(struct run *run)
{
    struct lost_sessions *lost = run->lost;
    const char *id = run->claimed->operation.id;
    bool is_same = strcmp(lost->id, id) == 0;

    if (pg_is_connected(run->link)) {
        lost->count = is_same ? 0 : lost->count;
        return;
    }
    lost->count = is_same ? lost->count + 1 : 1;
    memcpy(lost->id, id, sizeof lost->id);
}

/* What becomes of it, with the outcome or the error that the ledger is told. */
static struct verdict judge(struct run *run, heddle_status status, struct heddle_error *err)
{
    const struct processor_options *options = run->shared->options;
    const struct heddle_operation *operation = &run->claimed->operation;
    const struct heddle_policy of_handler =
        run->handler ? run->handler->policy : (struct heddle_policy){0};
    const struct heddle_policy policy = policy_over(&operation->policy, &of_handler);
    struct arena *arena = &run->task.claim->arena;
    const enum cancel_cause cause = claimed_cancel_cause(run->claimed);
    const struct failure failure = {
        .status = status,
        .reason = run->reason,
        .is_outage = (pg_is_outage(err) && run->lost->count < SESSIONS_MAX) || cause == CANCEL_QUIT,
        .is_cancel_asked = cause == CANCEL_ASKED,
        .has_expired = run->has_expired && operation->attempt == 1,
        .operation = operation,
        .policy = policy_over(&policy, &options->policy),
        .now_us = clock_wall_us(),
    };
    struct verdict verdict = verdict_on(&failure, err);

    run->error = verdict.is_decision ? outcome_error(err, arena) : NULL;
    run->outcome = (struct outcome){0};
    if (verdict.is_expiry)
        run->outcome = outcome_expired();
    else if (verdict.end == HEDDLE_END_CANCELLED)
        run->outcome = outcome_cancelled();
    else if (verdict.end != HEDDLE_END_NONE)
        run->outcome = outcome_failed(verdict.end, err, arena);
    if (verdict.end == HEDDLE_END_DEAD)
        run_log(HEDDLE_LOG_ERROR, "operation_dead", run, err);
    else if (verdict.end == HEDDLE_END_NONE)
        run_log(HEDDLE_LOG_WARNING, verdict.state ? verdict.state : "operation_waits", run, err);
    return verdict;
}

static void dispose(struct run *run, struct settlement *part)
{
    const struct verdict *verdict = &run->verdict;

    part->disposition = verdict->disposition;
    part->wait_ms = verdict->wait_ms;
    if (verdict->disposition == LANE_HALT)
        snprintf(part->reason, sizeof part->reason, "%s%s%s", verdict->reason,
                 run->handler ? "" : " ", run->handler ? "" : run->claimed->operation.op.data);
}

static void conclude(struct run *run)
{
    struct claimed_operation *claimed = run->claimed;

    claimed->end = run->outcome.end;
    claimed->result = outcome_format(&run->outcome, claimed->operation.id, &run->task.claim->arena);
    claimed->sends_result = claimed->wants_reply || !run->is_in_ledger;
    if (heddle_log_enabled(HEDDLE_LOG_DEBUG))
        run_log(HEDDLE_LOG_DEBUG, "operation_ended", run, NULL);
}

void run_log(enum heddle_log_level level, const char *event, const struct run *run,
             const struct heddle_error *err)
{
    const struct heddle_operation *operation = &run->claimed->operation;

    heddle_log(level, event, "id=%s lane=%s op=%s attempt=%d where=%s sqlstate=%s text=%s",
               operation->id, LOG_TEXT(run->task.claim->lane.data), operation->op.data,
               operation->attempt, err && *err->where ? err->where : "-",
               err && *err->sqlstate ? err->sqlstate : "-", err ? LOG_TEXT(err->text) : "-");
}
