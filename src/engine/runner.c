/* The way of an operation inside a worker: user lock → check → prepare → unit of work {ledger,
 * effects} → after commit. The file to read first. Runs on a worker's thread. */
#include "engine/runner.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/pause.h"
#include "engine/task.h"
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
};

struct runner {
    struct runner_shared *shared;
    struct pg_link *link;
    struct arena arena;
    struct post *post; /* what others see of it; NULL: nobody looks */
};

/* An operation under way. */
struct run {
    struct runner *runner;
    struct claimed_operation *claimed;
    const struct heddle_handler *handler;
    struct heddle_task task;
    int64_t lane_key;
    bool is_prepared;
    bool is_in_ledger; /* the ledger keeps the outcome */
    bool is_gap;       /* another operation of the lane comes first */
    struct outcome outcome;
};

typedef heddle_status run_step(struct run *run, struct heddle_error *err);

static enum disposition run_operation(struct runner *runner, struct claim *claim,
                                      struct claimed_operation *claimed);
static heddle_status check(struct run *run, struct heddle_error *err);
static heddle_status attempt(struct run *run, struct heddle_error *err);
static heddle_status apply(struct run *run, struct heddle_error *err);
static heddle_status resolve(struct run *run, heddle_status status, struct heddle_error *err);
static heddle_status decide(struct run *run, struct heddle_error *err);
static heddle_status recall(struct run *run, struct heddle_error *err);
static heddle_status persist(struct run *run, run_step *step, struct heddle_error *err);
static heddle_status begin(struct run *run, struct heddle_uow *uow, bool is_read_only,
                           struct heddle_error *err);
static bool leaves_no_row(const struct run *run);
static void conclude(struct run *run);
static const struct heddle_handler *handler_for(const struct runner *runner, struct heddle_text op);
static void log_operation(enum heddle_log_level level, const char *event, const struct run *run,
                          const struct heddle_error *err);

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
    return HEDDLE_OK;
}

void runner_free(struct runner *runner)
{
    if (!runner)
        return;
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

void runner_execute(struct runner *runner, struct claim *claim)
{
    struct runner_shared *shared = runner->shared;
    struct settlement part = {.claim = claim, .disposition = LANE_RELEASE};
    int64_t started_us = clock_now_us();

    struct userlock *lock = userlock_acquire(shared->locks, claim->lane);
    for (size_t i = 0; i < claim->operation_count; i++) {
        if (atomic_load(&shared->is_stopping))
            break;
        struct claimed_operation *claimed = &claim->operations[i];
        post_enter(runner->post, claim, claimed);
        part.disposition = run_operation(runner, claim, claimed);
        post_leave(runner->post);
        if (part.disposition != LANE_RELEASE && claimed_cancel_cause(claimed) == CANCEL_QUIT) {
            part.disposition = LANE_RELEASE; /* broken off: somebody else goes on at once */
            break;
        }
        if (part.disposition != LANE_RELEASE)
            pause_lane(&part, part.disposition);
        if (part.disposition == LANE_GAP)
            relay_rebuild(shared->relay, claim->lane);
        if (part.disposition != LANE_RELEASE)
            break;
        part.count++;
        part.cost_us = clock_now_us() - started_us;
        if (part.cost_us < SETTLE_EVERY_US || i + 1 == claim->operation_count)
            continue;
        part.disposition = LANE_KEEP;
        settler_take(shared->settler, &part);
        started_us += part.cost_us;
        part = (struct settlement){.claim = claim, .first = i + 1, .disposition = LANE_RELEASE};
    }
    userlock_release(shared->locks, lock);
    settler_take(shared->settler, &part);
}

/* LANE_RELEASE where the operation has ended: the lane may go on. */
static enum disposition run_operation(struct runner *runner, struct claim *claim,
                                      struct claimed_operation *claimed)
{
    struct heddle_error err = {0};
    struct run run = {
        .runner = runner,
        .claimed = claimed,
        .handler = handler_for(runner, claimed->operation.op),
        .lane_key = digest_lane_key(claim->lane),
    };

    if (!run.handler) {
        heddle_log(HEDDLE_LOG_WARNING, "lane_halted", "id=%s lane=%s op=%s reason=unknown_op",
                   claimed->operation.id, LOG_TEXT(claim->lane.data), claimed->operation.op.data);
        return LANE_HALT;
    }
    task_init(&run.task, claim, claimed, &runner->arena, runner->link);
    heddle_status status = claimed->is_poisoned
                               ? heddle_fail(&err, HEDDLE_PERMANENT, "crash",
                                             "its process crashed each time it was tried")
                               : check(&run, &err);
    if (status == HEDDLE_OK)
        status = persist(&run, attempt, &err);
    if (!run.is_gap &&
        (status == HEDDLE_REFUSED || status == HEDDLE_PERMANENT || status == HEDDLE_FATAL)) {
        enum heddle_end end = outcome_end_for(status, &err);
        if (end == HEDDLE_END_DEAD)
            log_operation(HEDDLE_LOG_ERROR, "operation_dead", &run, &err);
        run.outcome = outcome_failed(end, &err, &claim->arena);
        status = persist(&run, decide, &err);
    }
    if (status == HEDDLE_OK)
        conclude(&run);
    else
        log_operation(HEDDLE_LOG_WARNING, run.is_gap ? "lane_gap" : "operation_waits", &run, &err);
    task_done(&run.task);
    if (status == HEDDLE_OK)
        return LANE_RELEASE;
    if (run.is_gap)
        return LANE_GAP;
    /* An outage is not the operation's fault. */
    return pg_is_connected(runner->link) ? LANE_WAIT : LANE_PAUSE;
}

static heddle_status check(struct run *run, struct heddle_error *err)
{
    heddle_status status = json_check_payload(run->claimed->operation.payload, err);
    if (status == HEDDLE_OK && run->handler->check)
        status = run->handler->check(&run->task, err);
    return status;
}

/* Runs a step again while its failure is one that passes, a few times, with backoff. */
static heddle_status persist(struct run *run, run_step *step, struct heddle_error *err)
{
    const struct processor_options *options = run->runner->shared->options;
    heddle_status status;

    for (int tries = 1;; tries++) {
        status = step(run, err);
        if (status != HEDDLE_RETRY || tries > options->retry_attempts ||
            atomic_load(&run->runner->shared->is_stopping) ||
            (step == attempt && heddle_task_is_cancelled(&run->task)))
            return status;
        log_operation(HEDDLE_LOG_INFO, "operation_retry", run, err);
        clock_sleep_ms(clock_backoff_ms(tries, options->retry_base_ms, options->retry_cap_ms));
    }
}

static heddle_status attempt(struct run *run, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    post_phase(run->runner->post, PHASE_PREPARE);
    if (!run->is_prepared && run->handler->prepare)
        status = run->handler->prepare(&run->task, err);
    if (status != HEDDLE_OK)
        return status;
    run->is_prepared = true;
    post_phase(run->runner->post, PHASE_APPLY);
    status = apply(run, err);
    return resolve(run, status, err);
}

/* What failed because of the operation's place in its lane, or whose outcome nobody knows, is no
 * failure of the operation. */
static heddle_status resolve(struct run *run, heddle_status status, struct heddle_error *err)
{
    post_phase(run->runner->post, PHASE_DECIDE);
    if (status == HEDDLE_UNKNOWN)
        log_operation(HEDDLE_LOG_WARNING, "commit_unknown", run, err);
    if (status == HEDDLE_UNKNOWN || (status == HEDDLE_PERMANENT && ledger_is_duplicate(err)))
        return recall(run, err);
    if (status == HEDDLE_PERMANENT && ledger_is_stray(err)) {
        log_operation(HEDDLE_LOG_ERROR, "operation_stray", run, err);
        run->outcome = outcome_failed(HEDDLE_END_DEAD, err, &run->task.claim->arena);
        return HEDDLE_OK;
    }
    run->is_gap = status == HEDDLE_PERMANENT && ledger_is_gap(err);
    return status;
}

/* The unit of work: the ledger's row first, so that a duplicate fails all that stands behind it. */
static heddle_status apply(struct run *run, struct heddle_error *err)
{
    const bool is_read_only = leaves_no_row(run);
    struct heddle_operation *operation = &run->claimed->operation;
    struct heddle_uow uow;

    run->task.result = NULL;
    heddle_status status = begin(run, &uow, is_read_only, err);
    if (status != HEDDLE_OK)
        return status;
    if (!is_read_only && !run->claimed->is_journaled)
        status = ledger_enter(&uow, operation, err);
    if (status == HEDDLE_OK)
        status = run->handler->apply(&run->task, &uow, err);
    if (status == HEDDLE_OK) {
        /* Rows end with the unit of work; the result outlives it. */
        const char *result = run->task.result;
        run->task.result = result ? arena_format(&run->runner->arena, "%s", result) : NULL;
        run->outcome = outcome_done(run->task.result);
        if (!is_read_only)
            status = ledger_finish(&uow, operation, &run->outcome, err);
    }
    if (status != HEDDLE_OK)
        uow_rollback(&uow);
    else
        status = uow_commit(&uow, err);
    /* Elsewhere it is a standby's answer and passes; here the handler wrote, and would again. */
    if (is_read_only && status == HEDDLE_RETRY && strcmp(err->sqlstate, "25006") == 0)
        return HEDDLE_PERMANENT;
    if (status == HEDDLE_OK) {
        run->is_in_ledger = !is_read_only;
        post_phase(run->runner->post, PHASE_AFTER);
        if (run->handler->after_commit)
            run->handler->after_commit(&run->task);
    }
    /* A read has no effects whose fate could be unknown. */
    return status == HEDDLE_UNKNOWN && is_read_only ? HEDDLE_RETRY : status;
}

/* Writes a refusal, or that we gave up, into the ledger: a decision like success. */
static heddle_status decide(struct run *run, struct heddle_error *err)
{
    struct heddle_uow uow;

    post_phase(run->runner->post, PHASE_DECIDE);
    if (leaves_no_row(run))
        return HEDDLE_OK;
    heddle_status status = begin(run, &uow, false, err);
    if (status != HEDDLE_OK)
        return status;
    status = run->claimed->is_journaled
                 ? ledger_finish(&uow, &run->claimed->operation, &run->outcome, err)
                 : ledger_decide(&uow, &run->claimed->operation, &run->outcome, err);
    if (status != HEDDLE_OK) {
        uow_rollback(&uow);
        return status;
    }
    status = uow_commit(&uow, err);
    run->is_in_ledger = status == HEDDLE_OK;
    return resolve(run, status, err);
}

/* Asks the ledger what became of the operation. The lane's lock makes the answer final: whoever
 * ran it before us has ended. */
static heddle_status recall(struct run *run, struct heddle_error *err)
{
    struct claim *claim = run->task.claim;
    enum ledger_answer answer;
    struct heddle_uow uow;

    heddle_status status = begin(run, &uow, true, err);
    if (status != HEDDLE_OK)
        return status;
    status =
        ledger_find(&uow, &run->claimed->operation, &claim->arena, &answer, &run->outcome, err);
    uow_rollback(&uow);
    if (status != HEDDLE_OK)
        return status;
    switch (answer) {
    case LEDGER_ENDED:
        run->is_in_ledger = true;
        return HEDDLE_OK;
    case LEDGER_CONFLICT:
        heddle_refuse(err, HEDDLE_KIND_CONFLICT, "the id is in use by another operation");
        run->outcome = outcome_failed(HEDDLE_END_FAILED, err, &claim->arena);
        return HEDDLE_OK;
    case LEDGER_UNKNOWN:
        return heddle_fail(err, HEDDLE_RETRY, "recall", "the commit did not happen");
    }
    return HEDDLE_RETRY;
}

/* Begins with the lane's lock. An operation of the journal also takes its place in the lane: what
 * is sent behind it fails where it is not the next one. */
static heddle_status begin(struct run *run, struct heddle_uow *uow, bool is_read_only,
                           struct heddle_error *err)
{
    heddle_status status = uow_begin(uow, run->runner->link, is_read_only, err);
    if (status != HEDDLE_OK)
        return status;
    status = run->claimed->is_journaled && !is_read_only
                 ? ledger_enter_journaled(uow, &run->claimed->operation, run->lane_key, err)
                 : uow_lock_lane(uow, run->lane_key, err);
    if (status != HEDDLE_OK)
        uow_rollback(uow);
    return status;
}

/* A read that was submitted directly: its result lives in Redis. */
static bool leaves_no_row(const struct run *run)
{
    return (run->handler->flags & HEDDLE_HANDLER_READ_ONLY) && !run->claimed->is_journaled;
}

static void conclude(struct run *run)
{
    struct claimed_operation *claimed = run->claimed;

    claimed->end = run->outcome.end;
    claimed->result = outcome_format(&run->outcome, claimed->operation.id, &run->task.claim->arena);
    claimed->sends_result = claimed->wants_reply || !run->is_in_ledger;
    if (heddle_log_enabled(HEDDLE_LOG_DEBUG))
        log_operation(HEDDLE_LOG_DEBUG, "operation_ended", run, NULL);
}

static const struct heddle_handler *handler_for(const struct runner *runner, struct heddle_text op)
{
    const struct heddle_handler *const *handler = runner->shared->options->handlers;

    while (*handler && strcmp((*handler)->op, op.data) != 0)
        handler++;
    return *handler;
}

static void log_operation(enum heddle_log_level level, const char *event, const struct run *run,
                          const struct heddle_error *err)
{
    const struct heddle_operation *operation = &run->claimed->operation;

    heddle_log(level, event, "id=%s lane=%s op=%s attempt=%d where=%s sqlstate=%s text=%s",
               operation->id, LOG_TEXT(run->task.claim->lane.data), operation->op.data,
               operation->attempt, err && *err->where ? err->where : "-",
               err && *err->sqlstate ? err->sqlstate : "-", err ? LOG_TEXT(err->text) : "-");
}
