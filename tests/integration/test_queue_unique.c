/* Unique keys of operations that are submitted directly: one has the key, a second submission is
 * that one, and none is lost by it. */
#include "desk.h"

#include "base/clock.h"
#include "base/text.h"
#include "queue/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct heddle_submission with_key(const char *payload)
{
    return (struct heddle_submission){.user = TEXT("ann"),
                                      .op = TEXT("work"),
                                      .payload = text_of(payload),
                                      .flow = {.unique_key = TEXT("key ü")}};
}

static struct heddle_receipt submit(const char *payload)
{
    const struct heddle_submission submission = with_key(payload);
    return desk_submit_as(&submission);
}

static struct heddle_receipt replace(const char *payload)
{
    struct heddle_submission submission = with_key(payload);

    submission.flow.replaces = true;
    submission.thread = TEXT("another");
    return desk_submit_as(&submission);
}

static void end_as(struct claim *claim, bool is_parked, bool sends_result)
{
    const struct settlement settlement = {
        .claim = claim, .count = claim->operation_count, .disposition = LANE_RELEASE};

    desk_end(claim, 0, claim->operation_count, sends_result);
    claim->operations[0].is_parked = is_parked;
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
}

static void end(struct claim *claim)
{
    end_as(claim, false, false);
}

static void assert_nothing_is_left(void)
{
    desk_release("p");
    assert_string_equal(desk_keys(), "heddle:partitions heddle:{0}:meta");
}

static void the_second_is_the_first_until_that_has_ended(void **state)
{
    (void)state;
    const struct heddle_receipt first = submit("{\"n\":1}");
    assert_string_equal(submit("{\"n\":2}").id, first.id);
    struct claim *claim = desk_take("p", 10);
    assert_int_equal(claim->operation_count, 1);
    assert_string_equal(claim->operations[0].operation.payload.data, "{\"n\":1}");
    const struct heddle_receipt second = submit("{}");
    assert_string_equal(second.id, first.id);
    assert_string_equal(second.state, "running");
    end(claim);
    assert_nothing_is_left();
    const struct heddle_receipt third = submit("{\"n\":3}");
    assert_string_not_equal(third.id, first.id);
    assert_string_equal(third.state, "queued");
    end(desk_take("p", 10));
    assert_nothing_is_left();
}

static void users_ops_and_keys_are_kept_apart(void **state)
{
    struct heddle_submission submissions[5];

    (void)state;
    for (int i = 0; i < 5; i++)
        submissions[i] = with_key("{}");
    submissions[1].user = TEXT("bob");
    submissions[2].op = TEXT("work.more");
    submissions[3].flow.unique_key = TEXT("key");
    struct heddle_receipt receipts[5];
    /* The last is the same as the first, in one call. */
    assert_int_equal(heddle_client_submit(desk.client, submissions, 5, receipts, &desk.err),
                     HEDDLE_OK);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(receipts[i].id, receipts[k].id);
    assert_string_equal(receipts[4].id, receipts[0].id);
    desk_assert_state("ann", "3 ready");
}

static void a_key_with_a_time_counts_for_that_time(void **state)
{
    struct heddle_submission submission = with_key("{}");

    (void)state;
    submission.flow.unique_ms = 60000;
    const struct heddle_receipt first = desk_submit_as(&submission);
    end_as(desk_take("p", 1), false, true);
    const struct heddle_receipt second = desk_submit_as(&submission);
    assert_string_equal(second.id, first.id);
    assert_string_equal(second.state, "done");
    /* Its time is over, whatever became of the operation. */
    redis_reply_free(desk_call("DEL", "heddle:{0}:results:new", NULL));
    assert_string_equal(desk_submit_as(&submission).state, "unknown");
    submission.flow.unique_ms = 1;
    submission.flow.unique_key = TEXT("short");
    const struct heddle_receipt third = desk_submit_as(&submission);
    clock_sleep_ms(3);
    assert_string_not_equal(desk_submit_as(&submission).id, third.id);
    desk_assert_state("ann", "2 ready");
}

static void one_that_waits_gets_the_newest_payload_in_its_place(void **state)
{
    (void)state;
    const char *before = desk_submit("ann", "{}");
    struct heddle_submission submission = with_key("{\"n\":1}");
    submission.policy.attempts = 7;
    submission.flow.batch = TEXT("b");
    const struct heddle_receipt first = desk_submit_as(&submission);
    const char *behind = desk_submit("ann", "{}");
    for (int i = 2; i < 5; i++) {
        char payload[40];
        snprintf(payload, sizeof payload, "{\"n\":%d,\"longer\":\"%0*d\"}", i, i, 0);
        assert_string_equal(replace(payload).id, first.id);
    }
    struct claim *claim = desk_take("p", 10);
    assert_int_equal(claim->operation_count, 3);
    assert_string_equal(claim->operations[0].operation.id, before);
    assert_string_equal(claim->operations[2].operation.id, behind);
    const struct heddle_operation *operation = &claim->operations[1].operation;
    assert_string_equal(operation->id, first.id);
    assert_string_equal(operation->payload.data, "{\"n\":4,\"longer\":\"0000\"}");
    assert_string_equal(operation->thread.data, "another");
    assert_int_equal(operation->policy.attempts, 7);
    assert_string_equal(operation->flow.batch.data, "b");
    end(claim);
    assert_nothing_is_left();
}

static void a_scheduled_one_too_and_its_time_stays(void **state)
{
    struct heddle_submission submission = with_key("{\"n\":1}");

    (void)state;
    submission.flow.delay_ms = 3600000;
    const struct heddle_receipt first = desk_submit_as(&submission);
    AUTO_REPLY due = desk_call("ZSCORE", "heddle:{0}:scheduled", first.id, NULL);
    submission.flow.replaces = true;
    submission.payload = TEXT("{\"n\":2}");
    const struct heddle_receipt second = desk_submit_as(&submission);
    assert_string_equal(second.id, first.id);
    assert_string_equal(second.state, "scheduled");
    AUTO_REPLY due_now = desk_call("ZSCORE", "heddle:{0}:scheduled", first.id, NULL);
    assert_string_equal(redis_reply_text(due).data, redis_reply_text(due_now).data);
    redis_reply_free(desk_call("ZADD", "heddle:{0}:scheduled", "1", first.id, NULL));
    struct claim *claim = desk_take("p", 10);
    assert_string_equal(claim->operations[0].operation.payload.data, "{\"n\":2}");
    assert_int_equal(claim->operation_count, 1);
    end(claim);
}

/* It may take effect yet: what is submitted now must not be lost in it. */
static void one_that_was_ever_claimed_is_left_as_it_is(void **state)
{
    (void)state;
    const struct heddle_receipt first = submit("{\"n\":1}");
    struct claim *claim = desk_take("p", 10);
    desk_release("p");
    desk_assert_state("ann", "1 ready");
    const struct heddle_receipt second = replace("{\"n\":2}");
    assert_string_not_equal(second.id, first.id);
    assert_string_equal(second.state, "queued");
    /* The key is the second's now. */
    assert_string_equal(replace("{\"n\":3}").id, second.id);
    claim_free(claim);
    claim = desk_take("p", 10);
    assert_int_equal(claim->operation_count, 2);
    assert_string_equal(claim->operations[0].operation.payload.data, "{\"n\":1}");
    assert_string_equal(claim->operations[1].operation.payload.data, "{\"n\":3}");
    /* The first one's end leaves the second its key. */
    desk_settle("p", claim, 0, 1, LANE_KEEP);
    assert_string_equal(submit("{}").id, second.id);
    desk_settle("p", claim, 1, 1, LANE_RELEASE);
    claim_free(claim);
    assert_nothing_is_left();
}

static void a_key_whose_operation_is_gone_keeps_nobody_out(void **state)
{
    (void)state;
    const struct heddle_receipt first = submit("{}");
    redis_reply_free(desk_call("DEL", "heddle:{0}:lane:ann", NULL));
    redis_reply_free(desk_call("DEL", "heddle:{0}:ready", NULL));
    redis_reply_free(desk_call("HDEL", "heddle:{0}:ops", first.id, NULL));
    assert_string_not_equal(submit("{}").id, first.id);
    desk_assert_state("ann", "1 ready");
    redis_reply_free(desk_call("HDEL", "heddle:{0}:uniques", first.id, NULL));
}

static int found;

static void note(void *argument, const struct queue_finding *finding)
{
    (void)argument;
    assert_string_equal(finding->kind, "stray_key");
    found++;
}

static void a_check_takes_such_a_key_away(void **state)
{
    struct queue_census census;
    struct queue_check check = {
        .link = desk.link, .partitions = 1, .result_ttl_ms = DESK_TTL_MS, .report = note};

    (void)state;
    submit("{}");
    assert_int_equal(queue_check_lanes(&check, &census, &desk.err), HEDDLE_OK);
    assert_int_equal(found, 0);
    redis_reply_free(
        desk_call("DEL", "heddle:{0}:ops", "heddle:{0}:lane:ann", "heddle:{0}:ready", NULL));
    check.repairs = true;
    assert_int_equal(queue_check_lanes(&check, &census, &desk.err), HEDDLE_OK);
    assert_int_equal(found, 1);
    assert_nothing_is_left();
}

static void a_parked_one_keeps_its_key_for_a_while(void **state)
{
    struct heddle_submission submission = with_key("{}");

    (void)state;
    submission.reply = true;
    const struct heddle_receipt first = desk_submit_as(&submission);
    end_as(desk_take("p", 1), true, false);
    assert_string_equal(desk_submit_as(&submission).id, first.id);
    desk_assert_state("ann", "gone");
    /* It comes back, and both are told. */
    redis_reply_free(desk_call("FCALL", "heddle_submit", "0", "ann", "work", "", "{}", "id",
                               first.id, "journal", "1", "attempt", "1", NULL));
    end_as(desk_take("p", 1), false, true);
    char key[80];
    snprintf(key, sizeof key, "heddle:{0}:reply:%s", first.id);
    assert_int_equal(desk_number("LLEN", key, NULL), 2);
    assert_nothing_is_left();
}

static void a_reply_is_the_firsts(void **state)
{
    struct heddle_submission submission = with_key("{}");

    (void)state;
    const struct heddle_receipt first = desk_submit_as(&submission);
    submission.reply = true;
    assert_string_equal(desk_submit_as(&submission).id, first.id);
    end_as(desk_take("p", 1), false, true);
    char key[80];
    snprintf(key, sizeof key, "heddle:{0}:reply:%s", first.id);
    assert_int_equal(desk_number("LLEN", key, NULL), 1);
    assert_nothing_is_left();
}

static void one_that_is_cancelled_lets_another_in(void **state)
{
    (void)state;
    const struct heddle_receipt first = submit("{}");
    redis_reply_free(desk_call("FCALL", "heddle_cancel", "1", "heddle:{0}", first.id,
                               "{\"state\":\"cancelled\"}", "60000", NULL));
    assert_string_not_equal(submit("{}").id, first.id);
    desk_assert_state("ann", "2 ready");
    end(desk_take("p", 10));
    assert_nothing_is_left();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_second_is_the_first_until_that_has_ended),
        TEST(users_ops_and_keys_are_kept_apart),
        TEST(a_key_with_a_time_counts_for_that_time),
        TEST(one_that_waits_gets_the_newest_payload_in_its_place),
        TEST(a_scheduled_one_too_and_its_time_stays),
        TEST(one_that_was_ever_claimed_is_left_as_it_is),
        TEST(a_key_whose_operation_is_gone_keeps_nobody_out),
        TEST(a_check_takes_such_a_key_away),
        TEST(a_parked_one_keeps_its_key_for_a_while),
        TEST(a_reply_is_the_firsts),
        TEST(one_that_is_cancelled_lets_another_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
