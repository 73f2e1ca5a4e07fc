/* The ledger's rows, and the questions to it. Real Postgres. */
#include "fixture.h"

#include "base/digest.h"
#include "base/text.h"
#include "ledger/ledger.h"
#include "ledger/lookup.h"
#include "ledger/uow.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define ID "00000000-0000-4000-8000-000000000001"
#define OTHER_ID "00000000-0000-4000-8000-000000000002"

static struct pg_link *pg;
static struct arena arena;
static struct heddle_error err;

static const struct heddle_operation operation = {
    .id = ID,
    .user = TEXT("ann 🙂"),
    .op = TEXT("send_message"),
    .thread = TEXT("t-1"),
    .payload = TEXT("{\"n\":1}"),
    .submitted_us = INT64_C(1700000000123456),
    .attempt = 3,
};

static int open_group(void **state)
{
    (void)state;
    fixture_migrate();
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    fixture_done();
    return 0;
}

static int set_up(void **state)
{
    const struct pg_options options = fixture_pg_options("ledger");

    (void)state;
    tell("truncate heddle.operations");
    pg = fixture_pg(&options);
    arena_init(&arena, 0);
    err = (struct heddle_error){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_true(pg_is_idle(pg) || !pg_is_connected(pg));
    pg_free(pg);
    arena_done(&arena);
    return 0;
}

static heddle_status record(const struct heddle_operation *op, const struct outcome *outcome)
{
    struct heddle_uow uow;

    assert_int_equal(uow_begin(&uow, pg, false, &err), HEDDLE_OK);
    assert_int_equal(ledger_enter(&uow, op, &err), HEDDLE_OK);
    assert_int_equal(ledger_finish(&uow, op, outcome, &err), HEDDLE_OK);
    return uow_commit(&uow, &err);
}

static heddle_status decide(const struct heddle_operation *op, const struct outcome *outcome)
{
    struct heddle_uow uow;

    assert_int_equal(uow_begin(&uow, pg, false, &err), HEDDLE_OK);
    assert_int_equal(ledger_decide(&uow, op, outcome, &err), HEDDLE_OK);
    return uow_commit(&uow, &err);
}

static enum ledger_answer find(const struct heddle_operation *op, struct outcome *outcome)
{
    struct heddle_uow uow;
    enum ledger_answer answer;

    assert_int_equal(uow_begin(&uow, pg, true, &err), HEDDLE_OK);
    assert_int_equal(ledger_find(&uow, op, &arena, &answer, outcome, &err), HEDDLE_OK);
    uow_rollback(&uow);
    return answer;
}

static void a_row_says_all_of_an_operation_and_its_outcome(void **state)
{
    const struct outcome done = outcome_done("{\"text\": \"grüße 🙂\"}");
    char digest[DIGEST_HEX_SIZE + 1];

    (void)state;
    assert_int_equal(record(&operation, &done), HEDDLE_OK);
    digest_operation(&operation, digest);
    assert_string_equal(ask("select count(*) from heddle.operations where id = '" ID "'"
                            " and user_id = 'ann 🙂' and op = 'send_message' and thread = 't-1'"
                            " and attempt = 3 and state = 'done' and code = 200"
                            " and result::text = '{\"text\": \"grüße 🙂\"}' and error is null"
                            " and digest = '\\x%s'"
                            " and submitted_at = timestamptz '2023-11-14 22:13:20.123456Z'"
                            " and started_at <= finished_at and finished_at <= clock_timestamp()"
                            " and started_at > clock_timestamp() - interval '1 minute'",
                            digest),
                        "1");
}

static void an_operation_without_a_thread_has_null_there(void **state)
{
    struct heddle_operation op = operation;
    const struct outcome done = outcome_done(NULL);

    (void)state;
    op.thread = TEXT("");
    assert_int_equal(record(&op, &done), HEDDLE_OK);
    assert_string_equal(ask("select thread is null and result is null from heddle.operations"),
                        "t");
}

static void a_row_and_its_effects_go_together(void **state)
{
    const struct outcome done = outcome_done("{}");
    struct heddle_uow uow;

    (void)state;
    assert_int_equal(uow_begin(&uow, pg, false, &err), HEDDLE_OK);
    assert_int_equal(ledger_enter(&uow, &operation, &err), HEDDLE_OK);
    assert_int_equal(ledger_finish(&uow, &operation, &done, &err), HEDDLE_OK);
    uow_rollback(&uow);
    assert_string_equal(ask("select count(*) from heddle.operations"), "0");
}

static void a_decision_is_a_row_that_has_ended(void **state)
{
    static const enum heddle_end ends[] = {HEDDLE_END_FAILED, HEDDLE_END_DEAD,
                                           HEDDLE_END_CANCELLED};
    struct heddle_error refusal;

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct outcome found;
        tell("truncate heddle.operations");
        (void)heddle_refuse(&refusal, HEDDLE_KIND_NOT_FOUND, "no \"such\" thread\\");
        const struct outcome failed = outcome_failed(ends[i], &refusal, &arena);
        assert_int_equal(decide(&operation, &failed), HEDDLE_OK);
        assert_string_equal(ask("select state || ' ' || code || ' ' || (error ->> 'kind') || ' ' ||"
                                " (error ->> 'message') from heddle.operations"
                                " where result is null and finished_at is not null"),
                            arena_format(&arena, "%s 404 not_found no \"such\" thread\\",
                                         heddle_end_name(ends[i])));
        assert_int_equal(find(&operation, &found), LEDGER_ENDED);
        assert_int_equal(found.end, ends[i]);
        assert_int_equal(found.code, 404);
        assert_string_equal(found.error, failed.error);
        assert_null(found.data);
    }
}

static void a_second_row_for_an_id_is_a_duplicate_whoever_writes_it(void **state)
{
    const struct outcome done = outcome_done("1"), again = outcome_done("2");
    struct heddle_error refusal;

    (void)state;
    (void)heddle_refuse(&refusal, HEDDLE_KIND_INVALID, "no");
    const struct outcome failed = outcome_failed(HEDDLE_END_FAILED, &refusal, &arena);
    assert_int_equal(record(&operation, &done), HEDDLE_OK);
    assert_int_equal(record(&operation, &again), HEDDLE_PERMANENT);
    assert_int_equal(ledger_reason_for(&err), LEDGER_IS_ENDED);
    assert_int_equal(decide(&operation, &failed), HEDDLE_PERMANENT);
    assert_int_equal(ledger_reason_for(&err), LEDGER_IS_ENDED);
    assert_string_equal(ask("select state || ' ' || result::text from heddle.operations"),
                        "done 1");
}

static void a_unique_violation_of_an_effect_is_no_duplicate(void **state)
{
    static const struct heddle_statement twice = {
        "twice",
        "insert into heddle.migrations (number, name) select max(number), 'x'"
        " from heddle.migrations",
        0};
    struct heddle_uow uow;

    (void)state;
    assert_int_equal(uow_begin(&uow, pg, false, &err), HEDDLE_OK);
    assert_int_equal(ledger_enter(&uow, &operation, &err), HEDDLE_OK);
    assert_int_equal(heddle_uow_query(&uow, &twice, NULL, NULL, &err), HEDDLE_PERMANENT);
    assert_string_equal(err.sqlstate, "23505");
    assert_int_equal(ledger_reason_for(&err), LEDGER_IS_FREE);
    uow_rollback(&uow);
}

static void a_recorded_outcome_is_found_again_by_the_same_operation_alone(void **state)
{
    const struct outcome done = outcome_done("{\"seq\": 7}");
    struct heddle_operation other = operation;
    struct outcome found = {0};

    (void)state;
    assert_int_equal(find(&operation, &found), LEDGER_UNKNOWN);
    assert_int_equal(record(&operation, &done), HEDDLE_OK);
    assert_int_equal(find(&operation, &found), LEDGER_ENDED);
    assert_int_equal(found.end, HEDDLE_END_DONE);
    assert_int_equal(found.code, 200);
    assert_string_equal(found.data, "{\"seq\": 7}");
    assert_null(found.error);
    /* As another attempt of it. */
    other.attempt = 9;
    assert_int_equal(find(&other, &found), LEDGER_ENDED);
    other.user = TEXT("bob");
    assert_int_equal(find(&other, &found), LEDGER_CONFLICT);
    other = operation;
    other.payload = TEXT("{\"n\":2}");
    assert_int_equal(find(&other, &found), LEDGER_CONFLICT);
}

static void a_result_is_told_as_the_contract_says(void **state)
{
    const struct outcome done = outcome_done("{\"a\":1}"), nothing = outcome_done(NULL);
    struct heddle_error refusal;

    (void)state;
    (void)heddle_refuse(&refusal, HEDDLE_KIND_FORBIDDEN, "say \"please\"");
    const struct outcome failed = outcome_failed(HEDDLE_END_FAILED, &refusal, &arena);
    assert_string_equal(outcome_format(&done, ID, &arena).data,
                        "{\"id\":\"" ID "\",\"state\":\"done\",\"code\":200,\"data\":{\"a\":1}}");
    assert_string_equal(outcome_format(&nothing, ID, &arena).data,
                        "{\"id\":\"" ID "\",\"state\":\"done\",\"code\":200,\"data\":null}");
    assert_string_equal(outcome_format(&failed, ID, &arena).data,
                        "{\"id\":\"" ID "\",\"state\":\"failed\",\"code\":403,\"error\":"
                        "{\"kind\":\"forbidden\",\"message\":\"say \\\"please\\\"\"}}");
}

static void lookups_answer_in_json_or_find_nothing(void **state)
{
    const struct outcome done = outcome_done("{\"a\":1}");
    char *json = NULL;
    bool found = true;

    (void)state;
    assert_int_equal(lookup_result(pg, ID, &found, &json, &err), HEDDLE_OK);
    assert_false(found);
    assert_int_equal(lookup_operation(pg, ID, &found, &json, &err), HEDDLE_OK);
    assert_false(found);
    assert_null(json);

    assert_int_equal(record(&operation, &done), HEDDLE_OK);
    assert_int_equal(lookup_result(pg, ID, &found, &json, &err), HEDDLE_OK);
    assert_true(found);
    json_t *result = json_loads(json, 0, NULL);
    free(json);
    json_t *expected =
        json_pack("{s:s,s:s,s:i,s:{s:i}}", "id", ID, "state", "done", "code", 200, "data", "a", 1);
    assert_true(json_equal(result, expected));
    json_decref(result);
    json_decref(expected);

    assert_int_equal(lookup_operation(pg, ID, &found, &json, &err), HEDDLE_OK);
    json_t *row = json_loads(json, 0, NULL);
    free(json);
    static const char *const members[] = {"id",          "user_id", "op",           "thread",
                                          "state",       "attempt", "submitted_at", "started_at",
                                          "finished_at", "result",  "error"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!json_object_get(row, members[i]))
            fail_msg("heddle.status lacks %s", members[i]);
    assert_int_equal(json_object_size(row), sizeof members / sizeof *members);
    json_decref(row);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_row_says_all_of_an_operation_and_its_outcome),
        TEST(an_operation_without_a_thread_has_null_there),
        TEST(a_row_and_its_effects_go_together),
        TEST(a_decision_is_a_row_that_has_ended),
        TEST(a_second_row_for_an_id_is_a_duplicate_whoever_writes_it),
        TEST(a_unique_violation_of_an_effect_is_no_duplicate),
        TEST(a_recorded_outcome_is_found_again_by_the_same_operation_alone),
        TEST(a_result_is_told_as_the_contract_says),
        TEST(lookups_answer_in_json_or_find_nothing),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
