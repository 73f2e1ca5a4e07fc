/* Every fault site of a decision: an operation fails in each of its attempts, and the n-th call of
 * libpq fails besides, or the n-th statement at the server, n from 1 until the run succeeds. What
 * is decided is decided once, is in the ledger before its lane moves, and has no effect. */
#include "work.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SITES_MAX = 500, ROUNDS_MAX = 4, RETRIES = 1 };

static heddle_status fail_prepare(struct heddle_task *task, struct heddle_error *err)
{
    (void)task;
    return heddle_fail(err, HEDDLE_RETRY, "prepare", "it fails each time");
}

static heddle_status fail_apply(struct heddle_task *task, struct heddle_uow *uow,
                                struct heddle_error *err)
{
    (void)task;
    heddle_status status = work_update(uow, err);
    return status == HEDDLE_OK ? heddle_fail(err, HEDDLE_RETRY, "apply", "it fails each time")
                               : status;
}

static heddle_status fail_look(struct heddle_task *task, struct heddle_uow *uow,
                               struct heddle_error *err)
{
    (void)task;
    heddle_status status = work_list(uow, err);
    return status == HEDDLE_OK ? heddle_fail(err, HEDDLE_RETRY, "look", "it fails each time")
                               : status;
}

static const struct heddle_handler prepares = {
    .op = "prepares", .prepare = fail_prepare, .apply = fail_apply};
static const struct heddle_handler applies = {.op = "applies", .apply = fail_apply};
static const struct heddle_handler looks = {
    .op = "looks", .flags = HEDDLE_HANDLER_READ_ONLY, .apply = fail_look};
static const struct heddle_handler *const handlers[] = {&prepares, &applies, &looks, NULL};

static const char *const ops[] = {"prepares", "applies", "looks"};

/* What is decided, and what becomes of the lane. */
static const struct decision {
    struct heddle_policy policy;
    const char *state;
    enum disposition disposition;
    enum heddle_end end;
} decisions[] = {
    {{.attempts = 2}, "retrying", LANE_WAIT, HEDDLE_END_NONE},
    {{.attempts = 1}, "dead", LANE_RELEASE, HEDDLE_END_DEAD},
    {{.attempts = 2, .on_failure = HEDDLE_ON_FAILURE_PARK}, "parked", LANE_RELEASE, 0},
    {{.attempts = 1, .on_failure = HEDDLE_ON_FAILURE_PARK}, "dead", LANE_RELEASE, 'x'},
    {{.attempts = 1, .on_failure = HEDDLE_ON_FAILURE_HALT}, "halted", LANE_HALT, 0},
};

struct trial {
    const struct decision *decision;
    const char *op;
    bool is_journaled;
    struct fake_fault fault;
};

static void complain(const struct trial *trial, const char *problem)
{
    fail_msg("%s %s %s, fault %d at %d: %s: ledger '%s', attempts %d, effects %d",
             trial->is_journaled ? "durable" : "direct", trial->op, trial->decision->state,
             (int)trial->fault.kind, trial->fault.at, problem, fake.ledger_state, fake.attempts,
             fake.effects);
}

/* A read that waits leaves no row where it was submitted directly. */
static bool leaves_row(const struct trial *trial)
{
    return trial->is_journaled || strcmp(trial->op, "looks") != 0 ||
           strcmp(trial->decision->state, "retrying") != 0;
}

static void judge(const struct trial *trial, const struct claimed_operation *claimed,
                  enum disposition disposition)
{
    const struct decision *decision = trial->decision;
    /* What Postgres refuses for good is the operation's end, while it is being applied. */
    const bool is_refused = trial->fault.kind == FAKE_STATEMENT_FAILS &&
                            *trial->fault.sqlstate == '2' && claimed->end == HEDDLE_END_FAILED;
    const char *state = is_refused ? "failed" : decision->state;

    if (fake.effects > 0)
        complain(trial, "it failed, and took effect");
    if (is_refused ? disposition != LANE_RELEASE : disposition != decision->disposition)
        complain(trial, "the lane does not go the decision's way");
    if (!is_refused && claimed->end != decision->end)
        complain(trial, "it does not end as decided");
    if (claimed->is_parked != (strcmp(state, "parked") == 0))
        complain(trial, "Redis is not told that it is parked");
    if (!leaves_row(trial) ||
        (is_refused && strcmp(trial->op, "looks") == 0 && !trial->is_journaled))
        return;
    if (strcmp(fake.ledger_state, state) != 0)
        complain(trial, "the ledger does not say so");
    if (fake.attempts != !is_refused)
        complain(trial, "its attempt is not charged once");
}

static void run(const struct trial *trial)
{
    struct claim *claim = runs_claim(WORK_ID, "ann", trial->op, WORK_THREAD, "{}");
    enum disposition disposition = LANE_PAUSE;
    struct runs runs;

    runs_init(&runs, "");
    runs.options.handlers = handlers;
    runs.options.commit_deadline_ms = runs.options.connect_timeout_ms = 10;
    runs.options.retry_attempts = RETRIES;
    runs.options.retry_base_ms = runs.options.retry_cap_ms = 0;
    runs_start(&runs);
    claim->operations[0].is_journaled = trial->is_journaled;
    claim->operations[0].operation.policy = trial->decision->policy;
    for (int round = 0; disposition == LANE_PAUSE && round < ROUNDS_MAX; round++) {
        disposition = runs_execute(&runs, claim);
        if (fake.transactions_open > 0 || fake.results_live > 0)
            complain(trial, "something was left behind");
        if (disposition == LANE_PAUSE && fake.attempts > 0)
            complain(trial, "it is decided, and the lane does not know");
    }
    judge(trial, &claim->operations[0], disposition);
    claim_free(claim);
    runs_done(&runs);
}

static void iterate(struct trial trial)
{
    bool has_failed = true;

    for (trial.fault.at = 1; has_failed && trial.fault.at < SITES_MAX; trial.fault.at++) {
        fake = (struct fake_server){.fault = trial.fault, .has_ledger_row = trial.is_journaled};
        strcpy(fake.ledger_state, trial.is_journaled ? "queued" : "");
        run(&trial);
        has_failed = fake.has_failed;
        fake_reset();
    }
    assert_false(has_failed);
    assert_in_range(trial.fault.at, 8, SITES_MAX - 1);
}

static void a_fault_at_any_site_neither_loses_nor_doubles_the_decision(void **state)
{
    (void)state;
    for (size_t f = 0; f < WORK_FAULTS; f++)
        for (size_t d = 0; d < sizeof decisions / sizeof *decisions; d++)
            for (size_t o = 0; o < 2 * sizeof ops / sizeof *ops; o++)
                iterate((struct trial){&decisions[d], ops[o / 2], o % 2 == 1, work_faults[f]});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, work_set_up, work_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fault_at_any_site_neither_loses_nor_doubles_the_decision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
