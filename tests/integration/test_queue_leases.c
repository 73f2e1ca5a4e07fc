/* Processors that live and die, and what is left in the end. The functions of heddle.lua, called
 * directly. */
#include "desk.h"

#include "fixture.h"

#include "base/clock.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Claims for a lease that is over at once; the beat of q finds it out. */
static struct claim *claim_and_expire(int operations)
{
    struct lanes_request request = desk_request("p", 1, operations);

    request.lease_ms = 1;
    struct lanes_answer answer = desk_claim_by(0, &request);
    const int64_t deadline_ms = clock_now_ms() + FIXTURE_PATIENCE_MS;
    while (desk_beat("q", DESK_LEASE_MS) == 0)
        assert_true(clock_now_ms() < deadline_ms);
    return desk_only(&answer);
}

static void a_processor_that_found_nothing_and_died_is_forgotten(void **state)
{
    (void)state;
    claim_and_expire(1);
    assert_int_equal(desk_number("SCARD", "heddle:{0}:idle", NULL), 0);
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:beats", NULL), 1);
}

static void a_processor_that_beats_keeps_its_lanes(void **state)
{
    (void)state;
    desk_submit("ann", "");
    struct claim *claim = desk_take("p", 1);
    desk_beat("p", DESK_LEASE_MS);
    assert_int_equal(desk_beat("q", DESK_LEASE_MS), 0);
    assert_null(desk_take("q", 1));
    desk_assert_state("ann", "1 claimed");
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
}

static void the_lanes_of_a_dead_processor_go_to_others_in_their_order(void **state)
{
    char ids[3][HEDDLE_ID_SIZE + 1];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        strcpy(ids[i], desk_submit("ann", ""));
    struct claim *old = claim_and_expire(2);
    desk_assert_state("ann", "3 ready");
    struct claim *claim = desk_take("q", 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(claim->operations[i].operation.id, ids[i]);
    /* The old holder comes back: nothing of what it says counts. */
    desk_settle("p", old, 0, 2, LANE_RELEASE);
    desk_settle("p", old, 0, 2, LANE_WAIT);
    desk_assert_state("ann", "3 claimed");
    desk_settle("q", claim, 0, 3, LANE_RELEASE);
    desk_assert_state("ann", "gone");
    claim_free(old);
    claim_free(claim);
}

static void a_processor_that_was_only_late_goes_on_where_nobody_noticed(void **state)
{
    struct lanes_request request;

    (void)state;
    desk_submit("ann", "");
    request = desk_request("p", 1, 1);
    request.lease_ms = 1;
    struct lanes_answer answer = desk_claim_by(0, &request);
    clock_sleep_ms(5);
    assert_int_equal(desk_beat("p", DESK_LEASE_MS), 0);
    assert_int_equal(desk_beat("q", DESK_LEASE_MS), 0);
    desk_assert_state("ann", "1 claimed");
    desk_settle("p", answer.claims.first, 0, 1, LANE_RELEASE);
    desk_assert_state("ann", "gone");
    desk_drop(&answer);
}

static void a_processor_that_ends_releases_all_its_lanes(void **state)
{
    enum { LANES = 350 };
    char name[32];

    (void)state;
    for (int i = 0; i < LANES; i++) {
        snprintf(name, sizeof name, "user-%d", i);
        desk_submit(name, "");
    }
    struct lanes_answer answer = desk_claim("p", LANES, 1);
    assert_int_equal(answer.claims.count, LANES);
    desk_release("p");
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:ready", NULL), LANES);
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:beats", NULL), 0);
    assert_int_equal(desk_number("EXISTS", "heddle:{0}:held:p", NULL), 0);
    desk_drop(&answer);
    answer = desk_claim("q", LANES, 1);
    assert_int_equal(answer.claims.count, LANES);
    desk_drop(&answer);
}

static void many_lanes_of_a_dead_processor_are_freed_beat_by_beat(void **state)
{
    enum { LANES = 350 };
    struct lanes_request request;
    char name[32];

    (void)state;
    for (int i = 0; i < LANES; i++) {
        snprintf(name, sizeof name, "user-%d", i);
        desk_submit(name, "");
    }
    request = desk_request("p", LANES, 1);
    request.lease_ms = 1;
    struct lanes_answer answer = desk_claim_by(0, &request);
    clock_sleep_ms(5);
    for (int beats = 0; beats < 10 && desk_beat("q", DESK_LEASE_MS) > 0; beats++)
        assert_true(desk_is_sound());
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:ready", NULL), LANES);
    desk_drop(&answer);
}

/* Of a lane that waits for an hour and of a processor that is dead, as an hour before. */
static void a_clock_that_goes_back_keeps_nobody_waiting(void **state)
{
    struct lanes_request request = desk_request("dead", 1, 1);
    char ahead_ms[24];

    (void)state;
    desk_submit("ann", "");
    struct claim *claim = desk_take("p", 1);
    struct settlement settlement = {.claim = claim, .disposition = LANE_WAIT, .wait_ms = 3600000};
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
    desk_submit("bob", "");
    struct lanes_answer answer = desk_claim_by(0, &request);
    snprintf(ahead_ms, sizeof ahead_ms, "%lld", (long long)clock_wall_us() / 1000 + 3600000);
    redis_reply_free(desk_call("ZADD", "heddle:{0}:beats", ahead_ms, "dead", NULL));

    desk_beat("p", 50);
    desk_assert_state("ann", "1 waiting");
    redis_reply_free(desk_call("HSET", "heddle:{0}:meta", "clock", ahead_ms, NULL));
    desk_beat("p", 50);
    desk_assert_state("ann", "1 ready");
    desk_assert_state("bob", "1 claimed");
    clock_sleep_ms(60);
    assert_int_equal(desk_beat("p", DESK_LEASE_MS), 1);
    desk_assert_state("bob", "1 ready");
    desk_drop(&answer);
}

static struct heddle_receipt submit_with_reply(const char *id, const char *payload)
{
    const struct heddle_submission submission = {.user = TEXT("ann"),
                                                 .op = TEXT("work"),
                                                 .payload = text_of(payload),
                                                 .id = text_of(id),
                                                 .reply = true};

    return desk_submit_as(&submission);
}

static void nothing_is_left_when_all_has_ended(void **state)
{
    char name[32];

    (void)state;
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "user-%d", i % 37);
        if (i % 3)
            desk_submit(name, "{\"x\":1}");
        else
            submit_with_reply("", "{\"x\":1}");
    }
    for (struct claim *claim; (claim = desk_take("p", 4)); claim_free(claim))
        desk_settle("p", claim, 0, claim->operation_count, LANE_RELEASE);
    desk_release("p");
    assert_string_equal(desk_keys(), "heddle:partitions heddle:{0}:meta");
    /* What is left of results goes by itself. */
    AUTO_REPLY keys = desk_call("KEYS", "heddle:{0}:re*", NULL);
    assert_true(redis_reply_count(keys) > 0);
    for (size_t i = 0; i < redis_reply_count(keys); i++)
        assert_in_range(desk_number("PTTL", redis_reply_text(redis_reply_at(keys, i)).data, NULL),
                        1, 3 * DESK_TTL_MS);
}

static void a_full_redis_refuses_work_and_drains(void **state)
{
    const struct heddle_submission submission = {.user = TEXT("bob"), .op = TEXT("work")};
    char id[HEDDLE_ID_SIZE + 1], name[32], *result;

    (void)state;
    for (int i = 0; i < 3; i++)
        strcpy(id, desk_submit("ann", ""));
    redis_reply_free(desk_call("CONFIG", "SET", "maxmemory", "1", NULL));
    struct heddle_receipt receipt = desk_submit_as(&submission);
    assert_int_equal(receipt.status, HEDDLE_RETRY);
    assert_non_null(strstr(receipt.error.text, "OOM"));
    /* Everything that takes work out goes on. */
    struct claim *claim = desk_take("p", 3);
    assert_int_equal(claim->operation_count, 3);
    desk_beat("p", DESK_LEASE_MS);
    desk_settle("p", claim, 0, 1, LANE_KEEP);
    desk_settle("p", claim, 1, 1, LANE_HALT);
    desk_assert_state("ann", "1 halted");
    static const char *const known[] = {"op work", NULL};
    const struct lanes_request request = desk_request("q", 1, 1);
    struct lanes_answer answer;
    char cursor[24] = "0";
    assert_int_equal(
        lanes_adopt(desk.link, &desk.command, 0, &request, known, cursor, &answer, &desk.err),
        HEDDLE_OK);
    desk_settle("q", answer.claims.first, 0, 1, LANE_RELEASE);
    desk_drop(&answer);
    desk_assert_state("ann", "gone");
    assert_int_equal(heddle_client_status(desk.client, TEXT("ann"), id, name, &result, &desk.err),
                     HEDDLE_OK);
    desk_release("p");
    redis_reply_free(desk_call("CONFIG", "SET", "maxmemory", "0", NULL));
    assert_int_equal(desk_submit_as(&submission).status, HEDDLE_OK);
    claim_free(claim);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_processor_that_found_nothing_and_died_is_forgotten),
        TEST(a_processor_that_beats_keeps_its_lanes),
        TEST(the_lanes_of_a_dead_processor_go_to_others_in_their_order),
        TEST(a_processor_that_was_only_late_goes_on_where_nobody_noticed),
        TEST(a_processor_that_ends_releases_all_its_lanes),
        TEST(a_clock_that_goes_back_keeps_nobody_waiting),
        TEST(many_lanes_of_a_dead_processor_are_freed_beat_by_beat),
        TEST(nothing_is_left_when_all_has_ended),
        TEST(a_full_redis_refuses_work_and_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
