/* What becomes of an operation whose attempt failed, and of its lane. */
#include "engine/verdict.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DRAWS = 2000 };

static const int64_t submitted_us = INT64_C(1700000000000000);

static struct heddle_operation operation;
static struct failure failure;
static struct heddle_error err;

static int set_up(void **state)
{
    (void)state;
    operation = (struct heddle_operation){.op = TEXT("work"), .attempt = 1};
    operation.submitted_us = submitted_us;
    failure = (struct failure){
        .status = HEDDLE_RETRY, .operation = &operation, .now_us = submitted_us + 1000};
    err = (struct heddle_error){.kind = HEDDLE_KIND_INTERNAL, .text = "it failed"};
    return 0;
}

static struct verdict verdict(void)
{
    return verdict_on(&failure, &err);
}

static void assert_ends(struct verdict v, enum heddle_end end)
{
    assert_int_equal(v.disposition, LANE_RELEASE);
    assert_true(v.is_decision);
    assert_int_equal(v.end, end);
    assert_null(v.state);
}

/* The lane waits, and nothing is charged. */
static void assert_paused(struct verdict v)
{
    assert_int_equal(v.disposition, LANE_PAUSE);
    assert_false(v.is_decision);
    assert_int_equal(v.end, HEDDLE_END_NONE);
    assert_null(v.state);
    assert_in_range(v.wait_ms, 1, 1000);
}

static void a_blocking_operation_waits_with_its_lane(void **state)
{
    (void)state;
    for (int r = 0; r < 2; r++) {
        failure.policy.on_failure = r == 0 ? HEDDLE_ON_FAILURE_DEFAULT : HEDDLE_ON_FAILURE_BLOCK;
        struct verdict v = verdict();
        assert_int_equal(v.disposition, LANE_WAIT);
        assert_true(v.is_decision);
        assert_string_equal(v.state, "retrying");
        assert_int_equal(v.end, HEDDLE_END_NONE);
    }
}

static void a_parked_operation_lets_its_lane_go_on(void **state)
{
    (void)state;
    failure.policy.on_failure = HEDDLE_ON_FAILURE_PARK;
    struct verdict v = verdict();
    assert_int_equal(v.disposition, LANE_RELEASE);
    assert_true(v.is_decision);
    assert_string_equal(v.state, "parked");
    assert_int_equal(v.end, HEDDLE_END_NONE);
    assert_true(v.wait_ms > 0);
}

static void a_halting_operation_blocks_until_its_last_attempt_and_halts_then(void **state)
{
    (void)state;
    failure.policy = (struct heddle_policy){.attempts = 2, .on_failure = HEDDLE_ON_FAILURE_HALT};
    assert_string_equal(verdict().state, "retrying");
    operation.attempt = 2;
    struct verdict v = verdict();
    assert_int_equal(v.disposition, LANE_HALT);
    assert_true(v.is_decision);
    assert_string_equal(v.state, "halted");
    assert_string_equal(v.reason, LANE_HALTED_FAILED);
    assert_int_equal(v.end, HEDDLE_END_NONE);
}

static void after_its_last_attempt_an_operation_is_dead(void **state)
{
    static const enum heddle_on_failure reactions[] = {
        HEDDLE_ON_FAILURE_DEFAULT, HEDDLE_ON_FAILURE_BLOCK, HEDDLE_ON_FAILURE_PARK};

    (void)state;
    for (size_t i = 0; i < sizeof reactions / sizeof *reactions; i++) {
        failure.policy = (struct heddle_policy){.attempts = 3, .on_failure = reactions[i]};
        for (operation.attempt = 1; operation.attempt < 3; operation.attempt++)
            assert_int_equal(verdict().end, HEDDLE_END_NONE);
        assert_ends(verdict(), HEDDLE_END_DEAD);
        /* Redis had forgotten some. */
        operation.attempt = 7;
        assert_ends(verdict(), HEDDLE_END_DEAD);
        assert_int_equal(err.kind, HEDDLE_KIND_INTERNAL);
    }
}

static void a_dead_operations_error_has_a_kind(void **state)
{
    (void)state;
    failure.policy.attempts = 1;
    err.kind = HEDDLE_KIND_NONE;
    assert_ends(verdict(), HEDDLE_END_DEAD);
    assert_int_equal(err.kind, HEDDLE_KIND_INTERNAL);
    err.kind = HEDDLE_KIND_CONFLICT;
    assert_ends(verdict(), HEDDLE_END_DEAD);
    assert_int_equal(err.kind, HEDDLE_KIND_CONFLICT);
}

static void without_attempts_it_is_tried_without_end(void **state)
{
    (void)state;
    operation.attempt = 60000;
    assert_string_equal(verdict().state, "retrying");
}

static void it_is_not_tried_again_after_its_deadline(void **state)
{
    static const enum heddle_on_failure reactions[] = {
        HEDDLE_ON_FAILURE_BLOCK, HEDDLE_ON_FAILURE_PARK, HEDDLE_ON_FAILURE_HALT};

    (void)state;
    for (size_t i = 0; i < sizeof reactions / sizeof *reactions; i++) {
        failure.policy = (struct heddle_policy){.attempts = 99,
                                                .backoff_ms = 10,
                                                .backoff_max_ms = 10,
                                                .deadline_ms = 1000,
                                                .on_failure = reactions[i]};
        /* The next attempt would begin before it: whatever is drawn. */
        failure.now_us = submitted_us + 990 * 1000;
        for (int n = 0; n < DRAWS; n++)
            assert_string_not_equal(verdict().state, "halted");
        failure.now_us = submitted_us + 1000 * 1000;
        struct verdict v = verdict();
        if (reactions[i] == HEDDLE_ON_FAILURE_HALT)
            assert_string_equal(v.state, "halted");
        else
            assert_ends(v, HEDDLE_END_DEAD);
        /* An attempt would begin behind it. */
        failure.policy.backoff_ms = failure.policy.backoff_max_ms = 3600000;
        failure.now_us = submitted_us + 999 * 1000;
        int last = 0;
        for (int n = 0; n < DRAWS; n++) {
            v = verdict();
            last += v.end == HEDDLE_END_DEAD || v.disposition == LANE_HALT;
            assert_true(v.end == HEDDLE_END_DEAD || v.disposition == LANE_HALT || v.wait_ms <= 1);
        }
        assert_true(last > DRAWS / 2);
    }
}

/* Draws: all within [1, most], and spread over it. */
static void assert_jitter(int64_t most)
{
    int64_t least_seen = INT64_MAX, most_seen = 0;

    for (int n = 0; n < DRAWS; n++) {
        int64_t wait_ms = verdict().wait_ms;
        if (wait_ms < 1 || wait_ms > most)
            fail_msg("attempt %d waits for %ld, at most %ld", operation.attempt, (long)wait_ms,
                     (long)most);
        least_seen = wait_ms < least_seen ? wait_ms : least_seen;
        most_seen = wait_ms > most_seen ? wait_ms : most_seen;
    }
    /* 2000 draws that all miss a tenth: never. */
    assert_true(least_seen <= 1 + most / 10);
    assert_true(most_seen >= most - most / 10);
}

static void waits_double_up_to_their_most_with_full_jitter(void **state)
{
    (void)state;
    for (int park = 0; park < 2; park++) {
        failure.policy = (struct heddle_policy){.backoff_ms = 50,
                                                .backoff_max_ms = 1000,
                                                .on_failure = park ? HEDDLE_ON_FAILURE_PARK
                                                                   : HEDDLE_ON_FAILURE_BLOCK};
        for (operation.attempt = 1; operation.attempt <= 5; operation.attempt++)
            assert_jitter(INT64_C(50) << (operation.attempt - 1));
        assert_jitter(1000);
        operation.attempt = 60000;
        assert_jitter(1000);
    }
}

static void the_shortest_backoff_is_kept(void **state)
{
    (void)state;
    failure.policy = (struct heddle_policy){.backoff_ms = 1, .backoff_max_ms = 1};
    operation.attempt = 40;
    assert_jitter(1);
    /* Longer at once than at most. */
    failure.policy = (struct heddle_policy){.backoff_ms = 5000, .backoff_max_ms = 10};
    assert_jitter(10);
}

static void where_no_policy_says_it_there_is_a_backoff(void **state)
{
    (void)state;
    assert_jitter(100);
    operation.attempt = 1000;
    assert_jitter(30000);
}

static void an_outage_charges_nobody_whatever_the_policy(void **state)
{
    static const heddle_status statuses[] = {HEDDLE_RETRY, HEDDLE_UNKNOWN};

    (void)state;
    failure.policy = (struct heddle_policy){.attempts = 1, .deadline_ms = 1};
    failure.now_us += INT64_C(1000000000);
    operation.attempt = 9;
    for (int reaction = HEDDLE_ON_FAILURE_DEFAULT; reaction <= HEDDLE_ON_FAILURE_HALT; reaction++)
        for (size_t i = 0; i < 2; i++) {
            failure.policy.on_failure = (enum heddle_on_failure)reaction;
            failure.status = statuses[i];
            failure.is_outage = true;
            assert_paused(verdict());
            failure.is_cancel_asked = true;
            assert_paused(verdict());
            failure.is_cancel_asked = false;
        }
    /* Nobody knows whether it is done. */
    failure.is_outage = false;
    assert_paused(verdict());
    assert_paused(verdict_undecided());
}

static void one_that_is_asked_to_stop_is_cancelled_instead_of_tried_again(void **state)
{
    (void)state;
    failure.is_cancel_asked = true;
    assert_ends(verdict(), HEDDLE_END_CANCELLED);
    failure.policy.attempts = 1;
    assert_ends(verdict(), HEDDLE_END_CANCELLED);
    failure.policy.on_failure = HEDDLE_ON_FAILURE_HALT;
    assert_ends(verdict(), HEDDLE_END_CANCELLED);
}

static void refusals_and_faults_that_stay_end_it_at_once(void **state)
{
    static const struct final {
        heddle_status status;
        enum heddle_kind kind;
        const char *sqlstate;
        enum heddle_end end;
        enum heddle_kind told;
    } finals[] = {
        {HEDDLE_REFUSED, HEDDLE_KIND_NOT_FOUND, "", HEDDLE_END_FAILED, HEDDLE_KIND_NOT_FOUND},
        {HEDDLE_REFUSED, HEDDLE_KIND_CANCELLED, "", HEDDLE_END_CANCELLED, HEDDLE_KIND_CANCELLED},
        {HEDDLE_PERMANENT, HEDDLE_KIND_INTERNAL, "22P02", HEDDLE_END_FAILED, HEDDLE_KIND_INVALID},
        {HEDDLE_PERMANENT, HEDDLE_KIND_INTERNAL, "23505", HEDDLE_END_FAILED, HEDDLE_KIND_CONFLICT},
        {HEDDLE_PERMANENT, HEDDLE_KIND_INTERNAL, "42P01", HEDDLE_END_DEAD, HEDDLE_KIND_INTERNAL},
        {HEDDLE_PERMANENT, HEDDLE_KIND_INTERNAL, "", HEDDLE_END_DEAD, HEDDLE_KIND_INTERNAL},
        {HEDDLE_FATAL, HEDDLE_KIND_INTERNAL, "", HEDDLE_END_DEAD, HEDDLE_KIND_INTERNAL},
    };

    (void)state;
    /* No policy tries these again. */
    failure.policy = (struct heddle_policy){.attempts = 99, .on_failure = HEDDLE_ON_FAILURE_PARK};
    for (size_t i = 0; i < sizeof finals / sizeof *finals; i++) {
        failure.status = finals[i].status;
        err.kind = finals[i].kind;
        snprintf(err.sqlstate, sizeof err.sqlstate, "%s", finals[i].sqlstate);
        assert_ends(verdict(), finals[i].end);
        assert_int_equal(err.kind, finals[i].told);
    }
}

static void each_reason_of_the_ledger_has_its_consequence(void **state)
{
    static const enum ledger_reason reasons[] = {
        LEDGER_IS_ENDED,     LEDGER_IS_GAP,    LEDGER_IS_STRAY, LEDGER_IS_PARKED,
        LEDGER_IS_CANCELLED, LEDGER_IS_HALTED, LEDGER_IS_TRIED, LEDGER_IS_HELD};

    (void)state;
    /* Whatever the failure says besides: the ledger would not have it run. */
    failure.policy = (struct heddle_policy){.attempts = 1, .on_failure = HEDDLE_ON_FAILURE_HALT};
    for (size_t i = 0; i < 2 * sizeof reasons / sizeof *reasons; i++) {
        failure.status = i % 2 ? HEDDLE_PERMANENT : HEDDLE_RETRY;
        failure.reason = reasons[i / 2];
        struct verdict v = verdict();
        switch (failure.reason) {
        case LEDGER_IS_FREE:
            fail();
            break;
        case LEDGER_IS_GAP:
            assert_int_equal(v.disposition, LANE_GAP);
            assert_false(v.is_decision);
            assert_true(v.wait_ms > 0);
            break;
        case LEDGER_IS_PARKED:
            assert_int_equal(v.disposition, LANE_RELEASE);
            assert_false(v.is_decision);
            assert_int_equal(v.end, HEDDLE_END_NONE);
            break;
        case LEDGER_IS_CANCELLED:
            assert_ends(v, HEDDLE_END_CANCELLED);
            break;
        case LEDGER_IS_HALTED:
            assert_int_equal(v.disposition, LANE_HALT);
            assert_false(v.is_decision);
            assert_string_equal(v.reason, LANE_HALTED_FAILED);
            break;
        case LEDGER_IS_ENDED:
        case LEDGER_IS_STRAY:
        case LEDGER_IS_TRIED:
        case LEDGER_IS_HELD:
            assert_paused(v);
            break;
        }
    }
}

static void errors_of_the_ledger_name_their_reason(void **state)
{
    static const enum ledger_reason reasons[] = {
        LEDGER_IS_ENDED,     LEDGER_IS_GAP,    LEDGER_IS_STRAY, LEDGER_IS_PARKED,
        LEDGER_IS_CANCELLED, LEDGER_IS_HALTED, LEDGER_IS_TRIED};
    static const char *const others[] = {"", "HD000", "HD008", "HD010", "40001", "55P03", "23505"};

    (void)state;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        snprintf(err.sqlstate, sizeof err.sqlstate, "HD00%zu", i + 1);
        assert_int_equal(ledger_reason_for(&err), reasons[i]);
    }
    /* A handler's own statements. */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(err.sqlstate, sizeof err.sqlstate, "%s", others[i]);
        snprintf(err.where, sizeof err.where, "threads_update");
        assert_int_equal(ledger_reason_for(&err), LEDGER_IS_FREE);
    }
}

static void an_operation_that_nobody_knows_halts_its_lane(void **state)
{
    (void)state;
    struct verdict v = verdict_unknown_op();
    assert_int_equal(v.disposition, LANE_HALT);
    assert_false(v.is_decision);
    assert_string_equal(v.reason, "op");
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_blocking_operation_waits_with_its_lane),
        TEST(a_parked_operation_lets_its_lane_go_on),
        TEST(a_halting_operation_blocks_until_its_last_attempt_and_halts_then),
        TEST(after_its_last_attempt_an_operation_is_dead),
        TEST(a_dead_operations_error_has_a_kind),
        TEST(without_attempts_it_is_tried_without_end),
        TEST(it_is_not_tried_again_after_its_deadline),
        TEST(waits_double_up_to_their_most_with_full_jitter),
        TEST(the_shortest_backoff_is_kept),
        TEST(where_no_policy_says_it_there_is_a_backoff),
        TEST(an_outage_charges_nobody_whatever_the_policy),
        TEST(one_that_is_asked_to_stop_is_cancelled_instead_of_tried_again),
        TEST(refusals_and_faults_that_stay_end_it_at_once),
        TEST(each_reason_of_the_ledger_has_its_consequence),
        TEST(errors_of_the_ledger_name_their_reason),
        TEST(an_operation_that_nobody_knows_halts_its_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
