/* Operations that are submitted for later: they enter their lanes when they are due, in that order.
 * Time is not waited for: what is due is moved. */
#include "desk.h"

#include "fixture.h"

#include "base/clock.h"
#include "base/text.h"
#include "queue/operator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 600, HOUR_MS = 3600000 };

static struct heddle_receipt submit(const char *user, struct heddle_flow flow)
{
    const struct heddle_submission submission = {
        .user = text_of(user), .op = TEXT("work"), .payload = TEXT("{}"), .flow = flow};

    return desk_submit_as(&submission);
}

static struct heddle_receipt submit_in(const char *user, int64_t delay_ms)
{
    const struct heddle_receipt receipt = submit(user, (struct heddle_flow){.delay_ms = delay_ms});

    assert_string_equal(receipt.state, "scheduled");
    return receipt;
}

/* So much time has passed for what is scheduled. */
static void pass_ms(int64_t ms)
{
    AUTO_REPLY reply = desk_call("ZRANGE", "heddle:{0}:scheduled", "0", "-1", NULL);
    char text[24];

    snprintf(text, sizeof text, "-%lld", (long long)ms);
    for (size_t i = 0; i < redis_reply_count(reply); i++)
        redis_reply_free(desk_call("ZINCRBY", "heddle:{0}:scheduled", text,
                                   redis_reply_text(redis_reply_at(reply, i)).data, NULL));
}

static const char *status_of(const char *user, const char *id)
{
    static char state[16];
    AUTO_REPLY reply = desk_call("FCALL", "heddle_status", "0", user, id, NULL);

    snprintf(state, sizeof state, "%s", redis_reply_text(redis_reply_at(reply, 0)).data);
    return state;
}

static void what_is_scheduled_is_in_no_lane_and_known(void **state)
{
    (void)state;
    const struct heddle_receipt later = submit_in("ann", HOUR_MS);
    assert_string_equal(status_of("ann", later.id), "scheduled");
    desk_assert_state("ann", "gone");
    struct lanes_answer answer = desk_claim("p", 10, 10);
    assert_int_equal(answer.claims.count, 0);
    assert_in_range(answer.next_due_ms, HOUR_MS - FIXTURE_PATIENCE_MS, HOUR_MS + 1);
    assert_true(desk_is_sound());
    /* The same again is the same. */
    struct heddle_submission again = {.user = TEXT("ann"),
                                      .op = TEXT("work"),
                                      .payload = TEXT("{}"),
                                      .id = {later.id, HEDDLE_ID_SIZE}};
    const struct heddle_receipt receipt = desk_submit_as(&again);
    assert_string_equal(receipt.state, "scheduled");
    assert_string_equal(receipt.id, later.id);
    pass_ms(2 * HOUR_MS);
    struct claim *claim = desk_take("p", 10);
    assert_string_equal(claim->operations[0].operation.id, later.id);
    assert_int_equal(claim->operation_count, 1);
    assert_string_equal(status_of("ann", later.id), "running");
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    desk_assert_state("ann", "gone");
    assert_null(strstr(desk_keys(), "scheduled"));
}

static void those_that_are_due_enter_in_due_order_behind_what_is_there(void **state)
{
    (void)state;
    const int64_t at_ms = clock_wall_us() / 1000;
    const struct heddle_receipt third = submit_in("ann", 3 * HOUR_MS);
    const struct heddle_receipt first = submit_in("ann", HOUR_MS);
    const struct heddle_receipt fourth =
        submit("ann", (struct heddle_flow){.at_ms = at_ms + 4 * HOUR_MS});
    const struct heddle_receipt second = submit_in("ann", 2 * HOUR_MS);
    const struct heddle_receipt other = submit_in("bob", 2 * HOUR_MS);
    const char *present = desk_submit("ann", "{}");
    pass_ms(5 * HOUR_MS);
    struct lanes_answer answer = desk_claim("p", 10, 10);
    assert_int_equal(answer.claims.count, 2);
    const char *const of_ann[] = {present, first.id, second.id, third.id, fourth.id};
    struct claim *ann = claim_list_pop(&answer.claims), *bob = claim_list_pop(&answer.claims);
    assert_int_equal(ann->operation_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(ann->operations[i].operation.id, of_ann[i]);
    assert_string_equal(bob->operations[0].operation.id, other.id);
    claim_free(ann);
    claim_free(bob);
}

static void a_time_that_has_passed_is_now(void **state)
{
    (void)state;
    const struct heddle_receipt receipt = submit("ann", (struct heddle_flow){.at_ms = 1});
    assert_string_equal(receipt.state, "queued");
    desk_assert_state("ann", "1 ready");
}

static void expiry_counts_from_when_it_is_due(void **state)
{
    (void)state;
    const int64_t now_us = clock_wall_us();
    submit("ann", (struct heddle_flow){.delay_ms = HOUR_MS, .expires_ms = 1});
    pass_ms(HOUR_MS + 1000);
    struct claim *claim = desk_take("p", 1);
    assert_true(claim->operations[0].operation.submitted_us >= now_us + HOUR_MS * INT64_C(1000));
    assert_false(claimed_has_expired(&claim->operations[0]));
    claim_free(claim);
}

static void a_call_takes_in_a_bounded_number_and_order_stays(void **state)
{
    struct heddle_submission submissions[MANY];
    struct heddle_receipt receipts[MANY];
    size_t seen = 0;

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        submissions[i] = (struct heddle_submission){.user = TEXT("ann"),
                                                    .op = TEXT("work"),
                                                    .payload = TEXT("{}"),
                                                    .flow = {.delay_ms = HOUR_MS}};
    assert_int_equal(heddle_client_submit(desk.client, submissions, MANY, receipts, &desk.err),
                     HEDDLE_OK);
    pass_ms(2 * HOUR_MS);
    for (int round = 0; round < 3; round++) {
        struct lanes_answer answer = desk_claim("p", 1, 1000);
        struct claim *claim = desk_only(&answer);
        assert_non_null(claim);
        assert_true(claim->operation_count <= 256);
        for (size_t i = 0; i < claim->operation_count; i++)
            assert_string_equal(claim->operations[i].operation.id, receipts[seen++].id);
        desk_settle("p", claim, 0, claim->operation_count, LANE_RELEASE);
        claim_free(claim);
    }
    assert_int_equal(seen, MANY);
    desk_assert_state("ann", "gone");
}

/* Who is not idle any more has been woken: that nobody listens is another matter. */
static bool is_idle(const char *processor)
{
    return desk_number("SISMEMBER", "heddle:{0}:idle", processor, NULL) == 1;
}

static void whoever_sleeps_hears_of_an_earlier_one(void **state)
{
    (void)state;
    submit_in("ann", 2 * HOUR_MS);
    desk_claim("p", 1, 1);
    assert_true(is_idle("p"));
    submit_in("ann", 3 * HOUR_MS);
    assert_true(is_idle("p"));
    submit_in("bob", HOUR_MS);
    assert_false(is_idle("p"));
}

static void one_that_is_cancelled_goes_at_once(void **state)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"),
        .op = TEXT("work"),
        .reply = true,
        .flow = {.delay_ms = HOUR_MS, .unique_key = TEXT("k")}};

    (void)state;
    const struct heddle_receipt receipt = desk_submit_as(&submission);
    assert_int_equal(operator_cancel(desk.link, 1, receipt.id, TEXT("{\"state\":\"cancelled\"}"),
                                     DESK_TTL_MS, &desk.err),
                     HEDDLE_OK);
    assert_string_equal(status_of("ann", receipt.id), "cancelled");
    char key[80];
    snprintf(key, sizeof key, "heddle:{0}:reply:%s", receipt.id);
    assert_int_equal(desk_number("LLEN", key, NULL), 1);
    assert_string_equal(desk_keys(), "heddle:partitions heddle:{0}:meta");
}

static void the_journal_takes_it_into_its_lane(void **state)
{
    (void)state;
    const struct heddle_receipt later = submit_in("ann", HOUR_MS);
    redis_reply_free(desk_call("FCALL", "heddle_submit", "0", "ann", "work", "", "{}", "id",
                               later.id, "journal", "1", NULL));
    desk_assert_state("ann", "1 ready");
    assert_true(desk_is_sound());
    assert_null(strstr(desk_keys(), "scheduled"));
}

static void the_journals_times_are_its_own(void **state)
{
    (void)state;
    AUTO_REPLY reply = desk_call("FCALL", "heddle_submit", "0", "ann", "work", "", "{}", "id",
                                 "0c3f5d0e-7a37-4b7e-9d4a-1a2b3c4d5e6f", "journal", "1", "at_ms",
                                 "253402300799999", NULL);
    assert_string_equal(redis_reply_text(redis_reply_at(reply, 1)).data, "queued");
    desk_assert_state("ann", "1 ready");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_scheduled_is_in_no_lane_and_known),
        TEST(those_that_are_due_enter_in_due_order_behind_what_is_there),
        TEST(a_time_that_has_passed_is_now),
        TEST(expiry_counts_from_when_it_is_due),
        TEST(a_call_takes_in_a_bounded_number_and_order_stays),
        TEST(whoever_sleeps_hears_of_an_earlier_one),
        TEST(one_that_is_cancelled_goes_at_once),
        TEST(the_journal_takes_it_into_its_lane),
        TEST(the_journals_times_are_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
