/* What operators and applications decide, in a real Postgres: cancelling, trying again, dropping,
 * and the options of a submission, as sql/0004_ends.sql has it. */
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

/* With this code and text, as Heddle's functions in Redis refuse. */
static void assert_refused(const char *sql, const char *line)
{
    char told[sizeof scene.err.text + 32];

    assert_int_equal(pg_script(scene.b, sql, &scene.err), HEDDLE_REFUSED);
    snprintf(told, sizeof told, "HEDDLE %s %s", heddle_kind_name(scene.err.kind), scene.err.text);
    if (strcmp(told, line) != 0)
        fail_msg("%s: '%s' instead of '%s'", sql, told, line);
}

/* A cancelled one that is in a lane keeps its place there: nobody overtakes it, all pass it. */
static void assert_cancelled_in_its_place(const char *id, const char *next)
{
    assert_string_equal(ask("select heddle.cancel('%s')", id), "cancelled");
    assert_string_equal(ask("select heddle.cancel('%s')", id), "cancelled");
    assert_string_equal(case_state(id), "cancelled");
    assert_string_equal(
        ask("select finished_at is not null from heddle.status where id = '%s'", id), "t");
    assert_string_equal(ask("select (finished_at is null) || ' ' || (seq is not null)"
                            " from heddle.operations where id = '%s'",
                            id),
                        "true true");
    case_assert_enters(next, 1, NULL, "HD002");
    case_assert_enters(id, 9, NULL, "HD005");
    case_finish(id, HEDDLE_END_CANCELLED);
    case_assert_enters(next, 1, NULL, NULL);
    assert_string_equal(ask("select count(*) from heddle.halted"), "0");
}

static void a_queued_operation_is_cancelled_in_its_place(void **state)
{
    (void)state;
    case_submit_three();
    assert_cancelled_in_its_place(FIRST, SECOND);
    assert_string_equal(ask("select count(*) from heddle.outbox where id = '" FIRST "'"), "2");
}

static void a_retrying_and_a_halted_operation_are_cancelled_in_their_place(void **state)
{
    (void)state;
    case_submit_three();
    assert_int_equal(case_charge(FIRST, 1, "retrying"), HEDDLE_OK);
    assert_cancelled_in_its_place(FIRST, SECOND);
    assert_int_equal(case_charge(SECOND, 1, "halted"), HEDDLE_OK);
    assert_cancelled_in_its_place(SECOND, THIRD);
}

static void a_parked_operation_that_is_cancelled_ends_when_its_lane_comes_to_it(void **state)
{
    (void)state;
    case_submit(FIRST, "ann");
    case_submit(SECOND, "ann");
    assert_int_equal(case_charge(FIRST, 1, "parked"), HEDDLE_OK);
    assert_string_equal(ask("select heddle.cancel('" FIRST "')"), "cancelled");
    case_assert_enters(SECOND, 1, NULL, NULL);
    ask("select heddle.unpark(10)");
    assert_string_equal(case_state(FIRST), "cancelled");
    case_finish(SECOND, HEDDLE_END_DONE);
    case_assert_enters(FIRST, 2, NULL, "HD005");
    case_finish(FIRST, HEDDLE_END_CANCELLED);
    assert_string_equal(ask("select count(*) from heddle.parked"), "0");
}

static void what_runs_has_ended_or_is_unknown_is_not_cancelled(void **state)
{
    (void)state;
    case_submit(FIRST, "ann");
    scene_hold("select heddle.enter('" FIRST "', 7, 1)");
    assert_string_equal(ask("select heddle.cancel('" FIRST "')"), "running");
    scene_let_go();
    case_finish(FIRST, HEDDLE_END_DONE);
    assert_string_equal(ask("select heddle.cancel('" FIRST "')"), "done");
    assert_string_equal(case_state(FIRST), "done");
    assert_string_equal(ask("select heddle.cancel('" NOBODY "')"), "unknown");
}

static void a_dead_letter_is_tried_again_once_as_a_new_operation(void **state)
{
    (void)state;
    ask("select heddle.submit('ann', 'work', '{\"n\":1}', 't', '" FIRST "', 1, on_failure => "
        "'park')");
    case_finish(FIRST, HEDDLE_END_DEAD);
    case_assert_attempts(FIRST, "1");
    assert_string_equal(ask("select id || ' ' || state || ' ' || payload from heddle.dead"),
                        FIRST " dead {\"n\": 1}");
    case_submit(SECOND, "ann");
    char id[HEDDLE_ID_SIZE + 1];
    snprintf(id, sizeof id, "%s", ask("select heddle.retry('" FIRST "')"));
    assert_string_equal(ask("select user_id || op || thread || payload || options || retry_of"
                            " from heddle.operations where id = '%s'",
                            id),
                        "annworkt{\"n\": 1}{\"attempts\": 1, \"on_failure\": \"park\"}" FIRST);
    case_assert_enters(id, 1, NULL, "HD002");
    case_finish(SECOND, HEDDLE_END_DONE);
    case_assert_enters(id, 1, NULL, NULL);
    assert_string_equal(ask("select count(*) from heddle.dead"), "0");
    assert_string_equal(case_state(FIRST), "dead");
    assert_refused("select heddle.retry('" FIRST "')",
                   "HEDDLE not_found " FIRST " is no dead letter and halts no lane");
    assert_refused("select heddle.drop_dead('" FIRST "')",
                   "HEDDLE not_found " FIRST " is no dead letter and halts no lane");
    assert_refused("select heddle.retry('" NOBODY "')",
                   "HEDDLE not_found " NOBODY " is no dead letter and halts no lane");
}

static void a_halted_operation_is_itself_tried_again(void **state)
{
    (void)state;
    case_submit(FIRST, "ann");
    case_submit(SECOND, "ann");
    assert_int_equal(case_charge(FIRST, 1, "halted"), HEDDLE_OK);
    assert_string_equal(ask("select id || ' ' || state from heddle.dead"), FIRST " halted");
    tell("delete from heddle.outbox");
    assert_string_equal(ask("select heddle.retry('" FIRST "')"), FIRST);
    assert_string_equal(ask("select id from heddle.outbox"), FIRST);
    case_assert_enters(SECOND, 1, NULL, "HD002");
    case_assert_enters(FIRST, 1, NULL, NULL);
    assert_string_equal(ask("select count(*) from heddle.dead"), "0");
}

static void what_is_dropped_is_settled(void **state)
{
    (void)state;
    case_submit(FIRST, "ann");
    case_submit(SECOND, "ann");
    case_finish(FIRST, HEDDLE_END_DEAD);
    ask("select heddle.drop_dead('" FIRST "')");
    assert_string_equal(case_state(FIRST), "dead");
    assert_int_equal(case_charge(SECOND, 1, "halted"), HEDDLE_OK);
    ask("select heddle.drop_dead('" SECOND "')");
    assert_string_equal(case_state(SECOND), "cancelled");
    assert_string_equal(ask("select count(*) from heddle.dead"), "0");
}

static void options_of_a_submission_are_refused_with_a_line_each(void **state)
{
    (void)state;
    static const struct refusal {
        const char *options, *text;
    } refusals[] = {
        {"attempts => 0", "HEDDLE invalid attempts must be a whole number from 1 to 1000"},
        {"attempts => 1001", "HEDDLE invalid attempts must be a whole number from 1 to 1000"},
        {"attempts => -1", "HEDDLE invalid attempts must be a whole number from 1 to 1000"},
        {"backoff => '0.4 ms'",
         "HEDDLE invalid backoff_ms must be a whole number from 1 to 3600000"},
        {"backoff => '-1 s'", "HEDDLE invalid backoff_ms must be a whole number from 1 to 3600000"},
        {"backoff_max => '61 min'",
         "HEDDLE invalid backoff_max_ms must be a whole number from 1 to 3600000"},
        {"deadline => '31 days'",
         "HEDDLE invalid deadline_ms must be a whole number from 1 to 2592000000"},
        {"on_failure => 'stop'", "HEDDLE invalid on_failure must be block, park or halt"},
        {"on_failure => ''", "HEDDLE invalid on_failure must be block, park or halt"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        char sql[200];
        snprintf(sql, sizeof sql, "select heddle.submit('ann', 'work', %s)", refusals[i].options);
        assert_refused(sql, refusals[i].text);
    }
    assert_string_equal(ask("select count(*) from heddle.operations"), "0");
    ask("select heddle.submit('ann', 'work', attempts => 1000, backoff => '1 hour',"
        " backoff_max => '1 ms', deadline => '30 days', on_failure => 'halt')");
    assert_string_equal(ask("select options from heddle.operations"),
                        "{\"attempts\": 1000, \"backoff_ms\": 3600000, \"on_failure\": \"halt\","
                        " \"deadline_ms\": 2592000000, \"backoff_max_ms\": 1}");
}

static void the_same_id_with_other_options_is_the_same_operation(void **state)
{
    (void)state;
    for (int attempts = 1; attempts <= 2; attempts++)
        assert_string_equal(
            ask("select heddle.submit('ann', 'work', '{}', null, '" FIRST "', %d)", attempts),
            FIRST);
    assert_string_equal(ask("select string_agg(options::text, ',') from heddle.operations"),
                        "{\"attempts\": 1}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, case_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queued_operation_is_cancelled_in_its_place),
        TEST(a_retrying_and_a_halted_operation_are_cancelled_in_their_place),
        TEST(a_parked_operation_that_is_cancelled_ends_when_its_lane_comes_to_it),
        TEST(what_runs_has_ended_or_is_unknown_is_not_cancelled),
        TEST(a_dead_letter_is_tried_again_once_as_a_new_operation),
        TEST(a_halted_operation_is_itself_tried_again),
        TEST(what_is_dropped_is_settled),
        TEST(options_of_a_submission_are_refused_with_a_line_each),
        TEST(the_same_id_with_other_options_is_the_same_operation),
    };
    return cmocka_run_group_tests(tests, scene_open_prepared, scene_close);
}
