/* Attempts that failed in a real Postgres: entering, charging, parking, as sql/0004_ends.sql has
 * it. */
#include "case.h"

#include "base/text.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void only_the_next_of_a_lane_may_enter_and_only_once(void **state)
{
    (void)state;
    case_submit_three();
    case_assert_enters(NOBODY, 1, NULL, "HD003");
    case_assert_enters(SECOND, 1, NULL, "HD002");
    case_assert_enters(FIRST, 1, NULL, NULL);
    case_finish(FIRST, HEDDLE_END_DONE);
    case_assert_enters(FIRST, 1, NULL, "HD001");
    case_assert_enters(FIRST, 1, "cancelled", "HD001");
    case_assert_enters(THIRD, 1, NULL, "HD002");
    case_assert_enters(SECOND, 1, NULL, NULL);
    case_finish(SECOND, HEDDLE_END_FAILED);
    case_assert_enters(THIRD, 1, NULL, NULL);
}

static void a_held_lane_is_not_waited_for(void **state)
{
    (void)state;
    case_submit(FIRST, "ann");
    scene_hold("select pg_advisory_lock(7)");
    case_assert_enters(FIRST, 1, NULL, "55P03");
    assert_int_equal(ledger_reason_for(&scene.err), LEDGER_IS_HELD);
}

static void each_state_of_an_operation_lets_pass_what_may(void **state)
{
    (void)state;
    case_submit(FIRST, "ann");
    assert_int_equal(case_charge(FIRST, 1, "retrying"), HEDDLE_OK);
    case_assert_enters(FIRST, 1, NULL, "HD007");
    assert_int_equal(ledger_reason_for(&scene.err), LEDGER_IS_TRIED);
    case_assert_enters(FIRST, 2, NULL, NULL);
    assert_int_equal(case_charge(FIRST, 2, "halted"), HEDDLE_OK);
    case_assert_enters(FIRST, 3, NULL, "HD006");
    case_assert_enters(FIRST, 3, "dead", "HD006");
    case_assert_enters(FIRST, 3, "failed", "HD006");
    case_assert_enters(FIRST, 3, "cancelled", NULL);
    assert_string_equal(ask("select heddle.cancel('" FIRST "')"), "cancelled");
    case_assert_enters(FIRST, 3, NULL, "HD005");
    case_assert_enters(FIRST, 3, "dead", "HD005");
    case_assert_enters(FIRST, 3, "parked", "HD005");
    case_assert_enters(FIRST, 3, "cancelled", NULL);
    case_submit(SECOND, "bob");
    assert_int_equal(case_charge(SECOND, 1, "parked"), HEDDLE_OK);
    case_assert_enters(SECOND, 2, NULL, "HD004");
    case_assert_enters(SECOND, 2, "cancelled", "HD004");
}

static void an_attempt_is_charged_once_however_often_it_is_said(void **state)
{
    static const struct ledger_attempt other = {"{}", "q", 1};

    (void)state;
    case_submit(FIRST, "ann");
    for (int i = 0; i < 3; i++)
        assert_int_equal(case_charge(FIRST, 1, "retrying"), HEDDLE_OK);
    case_assert_attempts(FIRST, "1");
    /* Another processor has tried it too, and did not know of the first. */
    assert_int_equal(case_charge_by(&other, FIRST, 1, "retrying"), HEDDLE_OK);
    case_assert_attempts(FIRST, "1 2");
    assert_string_equal(ask("select attempt from heddle.operations"), "2");
    assert_int_equal(case_charge(FIRST, 3, "halted"), HEDDLE_OK);
    assert_int_equal(case_charge(FIRST, 3, "halted"), HEDDLE_OK);
    case_assert_attempts(FIRST, "1 2 3");
    /* A zombie's does not start what is halted. */
    const struct ledger_attempt late = {"{}", "q", 2};
    assert_int_equal(case_charge_by(&late, FIRST, 1, "retrying"), HEDDLE_PERMANENT);
    assert_string_equal(scene.err.sqlstate, "HD006");
    assert_string_equal(case_state(FIRST), "halted");
    case_assert_attempts(FIRST, "1 2 3");
}

static void what_has_ended_or_left_its_lane_is_not_charged(void **state)
{
    (void)state;
    case_submit(FIRST, "ann");
    case_submit(SECOND, "ann");
    assert_int_equal(case_charge(FIRST, 1, "parked"), HEDDLE_OK);
    assert_int_equal(case_charge(FIRST, 2, "retrying"), HEDDLE_PERMANENT);
    assert_int_equal(ledger_reason_for(&scene.err), LEDGER_IS_PARKED);
    case_finish(SECOND, HEDDLE_END_DONE);
    assert_int_equal(case_charge(SECOND, 2, "retrying"), HEDDLE_PERMANENT);
    assert_int_equal(ledger_reason_for(&scene.err), LEDGER_IS_ENDED);
    case_submit(THIRD, "ann");
    ask("select heddle.cancel('" THIRD "')");
    assert_int_equal(case_charge(THIRD, 1, "retrying"), HEDDLE_PERMANENT);
    assert_int_equal(ledger_reason_for(&scene.err), LEDGER_IS_CANCELLED);
    assert_string_equal(ask("select count(*) from heddle.attempts"), "1");
}

static void a_direct_operation_that_failed_gets_its_row(void **state)
{
    struct heddle_operation operation = case_operation(FIRST, 1);
    struct heddle_uow uow;

    (void)state;
    operation.policy.on_failure = HEDDLE_ON_FAILURE_PARK;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(uow_begin(&uow, scene.a, false, &scene.err), HEDDLE_OK);
        assert_int_equal(ledger_record(&uow, &operation, &scene.err), HEDDLE_OK);
        assert_int_equal(ledger_charge(&uow, &operation, &case_attempt, "parked", 0, &scene.err),
                         HEDDLE_OK);
        assert_int_equal(uow_commit(&uow, &scene.err), i ? HEDDLE_PERMANENT : HEDDLE_OK);
    }
    assert_int_equal(ledger_reason_for(&scene.err), LEDGER_IS_ENDED);
    assert_string_equal(ask("select state || ' ' || attempt || ' ' || options || ' ' || payload"
                            " || ' ' || coalesce(seq, 0) || ' ' || (finished_at is null)"
                            " from heddle.operations"),
                        "parked 1 {\"on_failure\": \"park\"} {\"n\": 1} 0 true");
    /* From its return on it has a place in the journal. */
    ask("select heddle.unpark(10)");
    assert_string_equal(ask("select state || ' ' || prev || ' ' || (seq > 0)"
                            " from heddle.operations"),
                        "queued 0 true");
    assert_string_equal(ask("select count(*) from heddle.outbox where id = '" FIRST "'"), "1");
    case_assert_enters(FIRST, 2, NULL, NULL);
}

static void
parked_operations_return_to_the_end_of_their_lane_in_the_order_of_their_time(void **state)
{
    (void)state;
    case_submit_three();
    case_submit(SCENE_ID(4), "ann");
    assert_int_equal(case_charge(FIRST, 1, "parked"), HEDDLE_OK);
    assert_int_equal(case_charge(SECOND, 1, "parked"), HEDDLE_OK);
    assert_int_equal(case_charge(THIRD, 1, "parked"), HEDDLE_OK);
    assert_true(atoi(ask("select heddle.unpark(10)")) > 3000000);
    tell("update heddle.parked set due_at = now() - interval '1 minute' where id = '" SECOND "';"
         "update heddle.parked set due_at = now() - interval '1 second' where id = '" FIRST "'");
    assert_true(atoi(ask("select heddle.unpark(10)")) > 3000000);
    assert_string_equal(ask("select string_agg(right(id::text, 1), ' ' order by seq)"
                            " from heddle.operations where seq is not null"),
                        "4 2 1");
    assert_string_equal(case_state(THIRD), "parked");
    case_finish(SCENE_ID(4), HEDDLE_END_DONE);
    case_assert_enters(FIRST, 2, NULL, "HD002");
    case_assert_enters(SECOND, 2, NULL, NULL);
    /* A page takes the earliest. */
    tell("update heddle.parked set due_at = now()");
    assert_string_equal(ask("select heddle.unpark(0) <= 0"), "t");
    assert_string_equal(ask("select heddle.unpark(1) is null"), "t");
    assert_string_equal(ask("select count(*) from heddle.parked"), "0");
}

static void unparking_waits_for_no_submitter_and_no_canceller(void **state)
{
    (void)state;
    case_submit(FIRST, "ann");
    case_submit(SECOND, "bob");
    assert_int_equal(case_charge(FIRST, 1, "parked"), HEDDLE_OK);
    assert_int_equal(case_charge(SECOND, 1, "parked"), HEDDLE_OK);
    tell("update heddle.parked set due_at = now()");
    /* An application's transaction that stays open has ann's tail. */
    scene_hold("select heddle.submit('ann', 'work')");
    ask("select heddle.unpark(10)");
    assert_string_equal(case_state(FIRST), "parked");
    assert_string_equal(case_state(SECOND), "queued");
    assert_string_equal(ask("select due_at > clock_timestamp() from heddle.parked"), "t");
    scene_let_go();
    tell("update heddle.parked set due_at = now()");
    scene_hold("select heddle.cancel('" FIRST "')");
    assert_string_equal(ask("select heddle.unpark(10) <= 0"), "t");
    assert_string_equal(case_state(FIRST), "parked");
    scene_let_go();
    assert_string_equal(ask("select heddle.unpark(10) is null"), "t");
    assert_string_equal(case_state(FIRST), "queued");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, case_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_next_of_a_lane_may_enter_and_only_once),
        TEST(a_held_lane_is_not_waited_for),
        TEST(each_state_of_an_operation_lets_pass_what_may),
        TEST(an_attempt_is_charged_once_however_often_it_is_said),
        TEST(what_has_ended_or_left_its_lane_is_not_charged),
        TEST(a_direct_operation_that_failed_gets_its_row),
        TEST(parked_operations_return_to_the_end_of_their_lane_in_the_order_of_their_time),
        TEST(unparking_waits_for_no_submitter_and_no_canceller),
    };
    return cmocka_run_group_tests(tests, scene_open_prepared, scene_close);
}
