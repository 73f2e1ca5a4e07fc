/* The way of an operation inside a worker: user lock → check → prepare → unit of work {ledger,
 * effects} → after commit. The file to read first. Runs on a worker's thread. */
#include "engine/runner.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/policy.h"
#include "base/text.h"
#include "engine/bundle.h"
#include "engine/handlers.h"
#include "engine/run.h"
#include "ledger/ledger.h"
#include "ledger/uow.h"
#include "link/pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARENA_KEEP_BYTES = 1 << 20,
    SETTLE_EVERY_US = 20000, /* results of a long claim don't wait for its end */
    DECISIONS_MAX = 4,
    SESSIONS_MAX = 5, /* that an operation may lose in a row: then it is suspected */
};

struct runner {
    struct runner_shared *shared;
    struct pg_link *link;
    struct arena arena;
    struct bundle *bundle;
    struct post *post; /* what others see of it; NULL: nobody looks */
    struct lost_sessions lost;
};

static bool execute_alone(struct runner *runner, struct claim *claim);
static void run_operation(struct runner *runner, struct claim *claim,
                          struct claimed_operation *claimed, struct settlement *part);
static heddle_status start(struct run *run, struct heddle_error *err);
static heddle_status persist(struct run *run, run_step *step, struct heddle_error *err);
static heddle_status attempt(struct run *run, struct heddle_error *err);
static heddle_status resolve(struct run *run, run_step *step, struct heddle_error *err);
static heddle_status apply(struct run *run, struct heddle_error *err);
static heddle_status call_apply(struct run *run, struct heddle_uow *uow, struct heddle_error *err);
static void count_session(struct run *run);
static struct verdict judge(struct run *run, heddle_status status, struct heddle_error *err);
static void dispose(struct run *run, struct settlement *part);
static void conclude(struct run *run);

heddle_status runner_new(struct runner_shared *shared, struct runner **runner,
                         struct heddle_error *err)
{
    const struct processor_options *options = shared->options;
    const struct pg_options pg_options = {
        .conninfo = options->postgres,
        .application_name = "heddle worker",
        .connect_timeout_ms = options->connect_timeout_ms,
        .statement_timeout_ms = options->statement_timeout_ms,
        .lock_timeout_ms = options->lock_timeout_ms,
        .idle_transaction_timeout_ms = options->idle_transaction_timeout_ms,
        .deadline_ms = options->commit_deadline_ms,
        .with_prepared_statements = options->with_prepared_statements,
    };
    struct pg_link *link;

    heddle_status status = pg_new(&pg_options, &link, err);
    if (status != HEDDLE_OK)
        return status;
    *runner = memory_take_zeroed(1, sizeof **runner);
    (*runner)->shared = shared;
    (*runner)->link = link;
    arena_init(&(*runner)->arena, ARENA_KEEP_BYTES);
    (*runner)->bundle = bundle_new(shared, link, &(*runner)->arena);
    return HEDDLE_OK;
}

void runner_free(struct runner *runner)
{
    if (!runner)
        return;
    bundle_free(runner->bundle);
    pg_free(runner->link);
    arena_done(&runner->arena);
    free(runner);
}

void runner_show(struct runner *runner, struct roster *roster, int number)
{
    runner->post = roster_take(roster, number, runner->link);
}

heddle_status runner_connect(struct runner *runner, struct heddle_error *err)
{
    return pg_connect(runner->link, err);
}

bool runner_is_connected(const struct runner *runner)
{
    return pg_is_connected(runner->link);
}

struct appetite runner_appetite(const struct runner *runner)
{
    return bundle_appetite(runner->bundle);
}

void runner_execute(struct runner *runner, struct claim_list *claims)
{
    struct claim *claim;

    if (bundle_is_worth(runner->bundle, claims)) {
        bundle_execute(runner->bundle, claims, runner->post);
        return;
    }
    claim = claim_list_pop(claims);
    if (execute_alone(runner, claim))
        claim_list_push(claims, claim);
}

/* One after the other, until something is left that need not go alone: then true. */
static bool execute_alone(struct runner *runner, struct claim *claim)
{
    struct runner_shared *shared = runner->shared;
    const size_t first = claim->done;
    struct settlement part = {.claim = claim, .first = first, .disposition = LANE_RELEASE};
    int64_t started_us = clock_now_us();

    struct userlock *lock = userlock_acquire(shared->locks, claim->lane);
    for (size_t i = first; i < claim->operation_count; i++) {
        if (atomic_load(&shared->is_stopping))
            break;
        claim->done = i;
        if (i > first && bundle_way(shared, claim) != WAY_ALONE) {
            userlock_release(shared->locks, lock);
            part.disposition = LANE_KEEP;
            if (part.count > 0)
                settler_take(shared->settler, &part);
            return true;
        }
        struct claimed_operation *claimed = &claim->operations[i];
        post_enter(runner->post, claim, claimed);
        run_operation(runner, claim, claimed, &part);
        post_leave(runner->post);
        /* Not begun, as it were: somebody else goes on from here at once. */
        if (part.disposition != LANE_RELEASE && claimed_cancel_cause(claimed) == CANCEL_QUIT) {
            part.disposition = LANE_RELEASE;
            break;
        }
        if (part.disposition == LANE_GAP)
            relay_rebuild(shared->relay, claim->lane);
        if (part.disposition != LANE_RELEASE)
            break;
        part.count++;
        part.cost_us = clock_now_us() - started_us;
        /* A parked one may be back soon: by then Redis has let go of it. */
        if ((part.cost_us < SETTLE_EVERY_US && !claimed->is_parked) ||
            i + 1 == claim->operation_count)
            continue;
        part.disposition = LANE_KEEP;
        settler_take(shared->settler, &part);
        fault_point("part_handed");
        started_us += part.cost_us;
        part = (struct settlement){.claim = claim, .first = i + 1, .disposition = LANE_RELEASE};
    }
    userlock_release(shared->locks, lock);
    fault_point("claim_done");
    settler_take(shared->settler, &part);
    return false;
}

/* Fills what becomes of the lane: LANE_RELEASE where the operation leaves it, so that it goes on.
 */
static void run_operation(struct runner *runner, struct claim *claim,
                          struct claimed_operation *claimed, struct settlement *part)
{
    struct heddle_error err = {0};
    struct run run = {
        .shared = runner->shared,
        .link = runner->link,
        .post = runner->post,
        .lost = &runner->lost,
        .claimed = claimed,
        .handler = handlers_find(runner->shared->handlers, claimed->operation.op),
        .lane_key = digest_lane_key(claim->lane),
        .verdict = {.disposition = LANE_RELEASE},
    };

    run.is_recorded =
        claimed->is_journaled || (claimed->operation.attempt > 1 && !run_leaves_no_row(&run));

    task_init(&run.task, claim, claimed, &runner->arena, runner->link);
    heddle_status status = start(&run, &err);
    if (status == HEDDLE_OK && run.handler)
        status = persist(&run, attempt, &err);
    else if (status == HEDDLE_OK && run.outcome.end == HEDDLE_END_NONE) {
        run_log(HEDDLE_LOG_WARNING, "lane_halted", &run, NULL);
        run.verdict = verdict_unknown_op();
    }
    /* A decision may be overtaken by another one: a cancellation, say. */
    for (int tries = 0; status != HEDDLE_OK && tries < DECISIONS_MAX; tries++) {
        run.verdict = judge(&run, status, &err);
        if (!run.verdict.is_decision)
            break;
        status = persist(&run, run_decide, &err);
        if (status != HEDDLE_OK && run.reason == LEDGER_IS_FREE)
            break;
    }
    /* What can't be written is not acted on. */
    if (status != HEDDLE_OK && run.verdict.is_decision) {
        run_log(HEDDLE_LOG_ERROR, "decision_failed", &run, &err);
        run.verdict = verdict_undecided();
    }
    /* What was to be decided about had ended already. */
    if (status == HEDDLE_OK && run.outcome.end != HEDDLE_END_NONE)
        run.verdict.disposition = LANE_RELEASE;
    if (run.verdict.disposition == LANE_RELEASE && !claimed->is_parked)
        conclude(&run);
    dispose(&run, part);
    task_done(&run.task);
}

/* What can be said before anything is tried. */
static heddle_status start(struct run *run, struct heddle_error *err)
{
    const struct claimed_operation *claimed = run->claimed;

    if (claimed_cancel_cause(claimed) == CANCEL_ASKED)
        return heddle_refuse(err, HEDDLE_KIND_CANCELLED, "cancelled before it was done");
    if (!run->handler)
        return run->is_recorded ? resolve(run, run_ask, err) : HEDDLE_OK;
    heddle_status status = task_check(&run->task, err);
    if (status == HEDDLE_OK && claimed->is_poisoned)
        return heddle_fail(err, HEDDLE_PERMANENT, "crash",
                           "its process crashed each time it was tried");
    if (status == HEDDLE_OK && run->handler->check)
        status = run->handler->check(&run->task, err);
    return status;
}

/* Takes a step again while its failure is one that passes, a few times, with backoff. */
static heddle_status persist(struct run *run, run_step *step, struct heddle_error *err)
{
    const struct processor_options *options = run->shared->options;
    heddle_status status;

    for (int tries = 1;; tries++) {
        status = step(run, err);
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
    if (run->handler->apply)
        run->task.result = NULL;
    heddle_status status = run_begin(run, &uow, is_read_only ? RUN_READS : RUN_EFFECTS, err);
    if (status != HEDDLE_OK)
        return status;
    if (!is_read_only && !run->is_recorded)
        status = ledger_enter(&uow, operation, err);
    if (status == HEDDLE_OK && run->handler->apply)
        status = call_apply(run, &uow, err);
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

    heddle_status status = run->handler->apply(&run->task, uow, err);
    handlers_note(run->shared->handlers, run->handler, clock_now_us() - started_us);
    return status;
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
        .operation = operation,
        .policy = policy_over(&policy, &options->policy),
        .now_us = clock_wall_us(),
    };
    struct verdict verdict = verdict_on(&failure, err);

    run->error = verdict.is_decision ? outcome_error(err, arena) : NULL;
    run->outcome = (struct outcome){0};
    if (verdict.end == HEDDLE_END_CANCELLED)
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
