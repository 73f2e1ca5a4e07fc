/* Results: who gets them, and for how long; what one call does to many lanes. The functions of
 * src/queue/lua, called directly. */
#include "desk.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NEW_RESULTS "heddle:{0}:results:new"
#define OLD_RESULTS "heddle:{0}:results:old"

static struct heddle_receipt submit_with_reply(const char *id, const char *payload)
{
    const struct heddle_submission submission = {.user = TEXT("ann"),
                                                 .op = TEXT("work"),
                                                 .payload = text_of(payload),
                                                 .id = text_of(id),
                                                 .reply = true};

    return desk_submit_as(&submission);
}

static int64_t replies_of(const char *id, bool must_expire)
{
    char key[100];

    snprintf(key, sizeof key, "heddle:{0}:reply:%s", id);
    if (must_expire)
        assert_in_range(desk_number("PTTL", key, NULL), 1, DESK_TTL_MS);
    return desk_number("LLEN", key, NULL);
}

static void each_submission_that_asks_gets_one_reply(void **state)
{
    (void)state;
    struct heddle_receipt first = submit_with_reply("", "{}");
    assert_int_equal(submit_with_reply(first.id, "{}").status, HEDDLE_OK);
    assert_int_equal(submit_with_reply(first.id, "{}").status, HEDDLE_OK);
    struct claim *claim = desk_take("p", 8);
    assert_int_equal(claim->operation_count, 1);
    assert_true(claim->operations[0].wants_reply);
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    assert_int_equal(replies_of(first.id, true), 3);
    claim_free(claim);
    /* And one more, at once, for who asks when it has ended. */
    assert_string_equal(submit_with_reply(first.id, "{}").state, "done");
    assert_int_equal(replies_of(first.id, true), 4);
    assert_int_equal(desk_number("EXISTS", "heddle:{0}:replies", NULL), 0);
}

static void take_id(void *argument, struct heddle_text id)
{
    snprintf(argument, HEDDLE_ID_SIZE + 1, "%s", id.data);
}

/* Asked for after it was claimed: the processor did not send the result, and is told so. */
static void a_result_that_is_wanted_late_is_asked_for_and_delivered(void **state)
{
    char id[HEDDLE_ID_SIZE + 1], wanted[HEDDLE_ID_SIZE + 1] = "";

    (void)state;
    strcpy(id, desk_submit("ann", ""));
    struct claim *claim = desk_take("p", 1);
    assert_false(claim->operations[0].wants_reply);
    assert_int_equal(submit_with_reply(id, "{}").status, HEDDLE_OK);
    assert_int_equal(submit_with_reply(id, "{}").status, HEDDLE_OK);
    const struct settlement settlement = {.claim = claim, .count = 1, .disposition = LANE_RELEASE};
    desk_end(claim, 0, 1, false);
    desk_settle_as("p", &settlement, take_id, wanted);
    assert_string_equal(wanted, id);
    assert_int_equal(replies_of(id, false), 0);
    assert_int_equal(lanes_reply(desk.link, &desk.command, 0, DESK_TTL_MS, text_of(id),
                                 TEXT("{\"late\":1}"), &desk.err),
                     HEDDLE_OK);
    assert_int_equal(replies_of(id, true), 2);
    /* Told twice, it answers once. */
    assert_int_equal(lanes_reply(desk.link, &desk.command, 0, DESK_TTL_MS, text_of(id),
                                 TEXT("{\"late\":1}"), &desk.err),
                     HEDDLE_OK);
    assert_int_equal(replies_of(id, true), 2);
    claim_free(claim);
}

static void a_result_lives_as_long_as_it_should_and_knows_its_operation(void **state)
{
    char name[32], *result = NULL;

    (void)state;
    struct heddle_receipt receipt = submit_with_reply("", "{\"n\":1}");
    struct claim *claim = desk_take("p", 1);
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    assert_int_equal(
        heddle_client_status(desk.client, TEXT("ann"), receipt.id, name, &result, &desk.err),
        HEDDLE_OK);
    assert_string_equal(name, "done");
    assert_string_equal(result, "{\"n\":0}");
    free(result);
    assert_in_range(desk_number("PTTL", NEW_RESULTS, NULL), DESK_TTL_MS, 3 * DESK_TTL_MS);
    assert_string_equal(submit_with_reply(receipt.id, "{\"n\":1}").state, "done");
    struct heddle_receipt other = submit_with_reply(receipt.id, "{\"n\":2}");
    assert_int_equal(other.status, HEDDLE_REFUSED);
    assert_int_equal(other.error.kind, HEDDLE_KIND_CONFLICT);
}

/* Ends an operation of ann's with this result; its id. */
static const char *end_with(const char *result, char id[HEDDLE_ID_SIZE + 1])
{
    strcpy(id, desk_submit("ann", "{\"n\":1}"));
    struct claim *claim = desk_take("p", 1);
    const struct settlement settlement = {.claim = claim, .count = 1, .disposition = LANE_RELEASE};
    desk_end(claim, 0, 1, true);
    claim->operations[0].result = text_of(result);
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
    return id;
}

static void assert_result(const char *id, const char *expected)
{
    char state[16], *result = NULL;

    assert_int_equal(heddle_client_status(desk.client, TEXT("ann"), id, state, &result, &desk.err),
                     HEDDLE_OK);
    assert_string_equal(state, expected ? "done" : "unknown");
    if (expected)
        assert_string_equal(result, expected);
    free(result);
}

/* Results go together, those of a while at once: none before its time. */
static void a_result_outlives_the_change_of_generations(void **state)
{
    char first[HEDDLE_ID_SIZE + 1], second[HEDDLE_ID_SIZE + 1], third[HEDDLE_ID_SIZE + 1];

    (void)state;
    end_with("{\"n\":1}", first);
    /* As old as a result has to get. */
    desk_number("PEXPIRE", NEW_RESULTS, "59000", NULL);
    end_with("{\"n\":2}", second);
    end_with("{\"n\":3}", third);
    assert_result(first, "{\"n\":1}");
    assert_result(second, "{\"n\":2}");
    assert_result(third, "{\"n\":3}");
    assert_int_equal(desk_number("HLEN", NEW_RESULTS, NULL), 3);
    assert_true(desk_number("PTTL", OLD_RESULTS, NULL) >= DESK_TTL_MS);
    assert_true(desk_number("PTTL", NEW_RESULTS, NULL) >= 2 * DESK_TTL_MS);
    assert_string_equal(submit_with_reply(first, "{\"n\":1}").state, "done");
    assert_int_equal(submit_with_reply(first, "{\"n\":2}").error.kind, HEDDLE_KIND_CONFLICT);
    /* A beat leaves what has still to live, and takes what is about to go. */
    desk_beat("p", DESK_LEASE_MS);
    assert_result(first, "{\"n\":1}");
    desk_number("PEXPIRE", OLD_RESULTS, "1000", NULL);
    desk_beat("p", DESK_LEASE_MS);
    assert_result(first, NULL);
    assert_result(second, "{\"n\":2}");
}

/* Of an operation that is done and has nothing to say little is kept, and the same is told. */
static void a_result_without_data_is_told_in_full(void **state)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"), .op = TEXT("work"), .reply = true};
    char id[HEDDLE_ID_SIZE + 1], *expected;

    (void)state;
    strcpy(id, desk_submit_as(&submission).id);
    assert_true(asprintf(&expected, "{\"id\":\"%s\",\"state\":\"done\",\"code\":200,\"data\":null}",
                         id) > 0);
    struct claim *claim = desk_take("p", 1);
    const struct settlement settlement = {.claim = claim, .count = 1, .disposition = LANE_RELEASE};
    desk_end(claim, 0, 1, true);
    claim->operations[0].result = text_of(expected);
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
    assert_result(id, expected);
    assert_int_equal(desk_number("HSTRLEN", NEW_RESULTS, id, NULL), 17);
    AUTO_REPLY reply =
        desk_call("LPOP", arena_format(&desk.command.numbers, "heddle:{0}:reply:%s", id), NULL);
    assert_string_equal(redis_reply_text(reply).data, expected);
    free(expected);
}

/* A part of a claim and its rest, one behind the other in the same call, as a batch may bring them.
 */
static void a_lane_may_be_settled_twice_in_one_call(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        desk_submit("ann", "");
    struct claim *claim = desk_take("p", 3);
    desk_end(claim, 0, 3, true);
    struct settlement rest = {.claim = claim, .first = 1, .count = 2, .disposition = LANE_RELEASE};
    const struct settlement part = {
        .next = &rest, .claim = claim, .count = 1, .disposition = LANE_KEEP};
    desk_settle_as("p", &part, NULL, NULL);
    desk_assert_state("ann", "1 ready");
    assert_int_equal(desk_number("HLEN", "heddle:{0}:ops", NULL), 1);
    assert_int_equal(desk_number("HLEN", NEW_RESULTS, NULL), 3 + 1);
    claim_free(claim);
}

/* Somebody else does it again: that result counts. */
static void a_lane_that_is_lost_leaves_no_result(void **state)
{
    (void)state;
    desk_submit("ann", "");
    desk_submit("bob", "");
    struct lanes_answer answer = desk_claim("p", 2, 1);
    struct claim *ann = answer.claims.first, *bob = ann->next;
    desk_number("HDEL", "heddle:{0}:held:p", "ann", NULL);
    desk_end(ann, 0, 1, true);
    desk_end(bob, 0, 1, true);
    struct settlement second = {.claim = bob, .count = 1, .disposition = LANE_RELEASE};
    const struct settlement first = {
        .next = &second, .claim = ann, .count = 1, .disposition = LANE_RELEASE};
    desk_settle_as("p", &first, NULL, NULL);
    assert_int_equal(desk_number("HEXISTS", NEW_RESULTS, ann->operations[0].operation.id, NULL), 0);
    assert_int_equal(desk_number("HEXISTS", NEW_RESULTS, bob->operations[0].operation.id, NULL), 1);
    desk_assert_state("bob", "gone");
    desk_number("ZADD", "heddle:{0}:ready", "1", "ann", NULL);
    desk_assert_state("ann", "1 ready");
    desk_drop(&answer);
}

/* Lanes that come together wake as many processors, not one. */
static void many_new_lanes_wake_as_many_processors(void **state)
{
    static const char *const names[] = {"p", "q", "r"};
    const struct heddle_submission submissions[2] = {{.user = TEXT("ann"), .op = TEXT("work")},
                                                     {.user = TEXT("bob"), .op = TEXT("work")}};
    struct heddle_receipt receipts[2];
    struct redis_link *listeners[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char channel[32];
        AUTO_REPLY reply = NULL;
        snprintf(channel, sizeof channel, "heddle:wake:%s", names[i]);
        assert_int_equal(
            redis_new(getenv("HEDDLE_REDIS"), DESK_TIMEOUT_MS, &listeners[i], &desk.err),
            HEDDLE_OK);
        assert_int_equal(redis_callf(listeners[i], &reply, &desk.err, "SUBSCRIBE", channel, NULL),
                         HEDDLE_OK);
        desk_claim(names[i], 16, 8);
    }
    assert_int_equal(heddle_client_submit(desk.client, submissions, 2, receipts, &desk.err),
                     HEDDLE_OK);
    assert_int_equal(desk_number("SCARD", "heddle:{0}:idle", NULL), 1);
    for (size_t i = 0; i < 3; i++)
        redis_free(listeners[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_submission_that_asks_gets_one_reply),
        TEST(a_result_that_is_wanted_late_is_asked_for_and_delivered),
        TEST(a_result_lives_as_long_as_it_should_and_knows_its_operation),
        TEST(a_result_outlives_the_change_of_generations),
        TEST(a_result_without_data_is_told_in_full),
        TEST(a_lane_may_be_settled_twice_in_one_call),
        TEST(a_lane_that_is_lost_leaves_no_result),
        TEST(many_new_lanes_wake_as_many_processors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
