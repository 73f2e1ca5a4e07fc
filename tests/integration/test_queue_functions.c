/* Claims: who gets which lane, and when. The functions of src/queue/lua, called directly. */
#include "desk.h"

#include "base/clock.h"
#include "base/text.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Claims one lane with one operation, settles it at this cost; returns the lane's name. */
static const char *serve(int64_t cost_us)
{
    static char lane[HEDDLE_USER_SIZE_MAX + 1];
    struct claim *claim = desk_take("p", 1);

    assert_non_null(claim);
    assert_int_equal(claim->operation_count, 1);
    snprintf(lane, sizeof lane, "%s", claim->lane.data);
    desk_end(claim, 0, 1, false);
    const struct settlement settlement = {
        .claim = claim, .count = 1, .disposition = LANE_RELEASE, .cost_us = cost_us};
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
    return lane;
}

static void an_empty_queue_gives_nothing(void **state)
{
    (void)state;
    struct lanes_answer answer = desk_claim("p", 16, 8);
    assert_int_equal(answer.claims.count, 0);
    assert_true(answer.is_exhausted);
    assert_int_equal(answer.next_due_ms, -1);
    assert_int_equal(answer.halted, 0);
}

static void a_claim_carries_what_was_submitted_in_its_order(void **state)
{
    static const char *const payloads[] = {"{\"n\":1}", "", "{\"text\":\"grüße 🙂\"}"};
    int64_t before_us = clock_wall_us();
    char ids[3][HEDDLE_ID_SIZE + 1];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        strcpy(ids[i], desk_submit("ann 🙂", payloads[i]));
    struct claim *claim = desk_take("p", 8);
    assert_string_equal(claim->lane.data, "ann 🙂");
    assert_int_equal(claim->seq, desk.seq);
    assert_int_equal(claim->partition, 0);
    assert_int_equal(claim->operation_count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct heddle_operation *operation = &claim->operations[i].operation;
        assert_string_equal(operation->id, ids[i]);
        assert_string_equal(operation->user.data, "ann 🙂");
        assert_string_equal(operation->op.data, "work");
        assert_int_equal(operation->thread.size, 0);
        assert_string_equal(operation->payload.data, *payloads[i] ? payloads[i] : "{}");
        assert_int_equal(operation->attempt, 1);
        assert_in_range(operation->submitted_us, before_us - 5000000, before_us + 60000000);
    }
    desk_assert_state("ann 🙂", "3 claimed");
    desk_settle("p", claim, 0, 3, LANE_RELEASE);
    claim_free(claim);
}

static void a_lane_is_handed_out_once(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        desk_submit("ann", "");
    struct claim *claim = desk_take("p", 2);
    assert_int_equal(claim->operation_count, 2);
    assert_null(desk_take("q", 2));
    assert_null(desk_take("p", 2));
    /* What arrives meanwhile makes no second claim of it. */
    desk_submit("ann", "");
    assert_null(desk_take("q", 2));
    desk_assert_state("ann", "6 claimed");
    desk_settle("p", claim, 0, 2, LANE_RELEASE);
    claim_free(claim);
    claim = desk_take("q", 8);
    assert_int_equal(claim->operation_count, 4);
    claim_free(claim);
}

static void lanes_and_operations_are_taken_up_to_the_caps(void **state)
{
    (void)state;
    for (int user = 0; user < 10; user++)
        for (int i = 0; i < 5; i++) {
            char name[32];
            snprintf(name, sizeof name, "user-%d", user);
            desk_submit(name, "");
        }
    struct lanes_answer answer = desk_claim("p", 4, 3);
    assert_int_equal(answer.claims.count, 4);
    assert_false(answer.is_exhausted);
    for (const struct claim *claim = answer.claims.first; claim; claim = claim->next)
        assert_int_equal(claim->operation_count, 3);
    desk_drop(&answer);
    answer = desk_claim("q", 16, 1000);
    assert_int_equal(answer.claims.count, 6);
    assert_true(answer.is_exhausted);
    desk_drop(&answer);
}

static void new_lanes_are_served_in_the_order_of_their_arrival(void **state)
{
    char name[32];

    (void)state;
    for (int user = 0; user < 50; user++) {
        snprintf(name, sizeof name, "user-%d", 97 * user % 50);
        desk_submit(name, "");
    }
    for (int user = 0; user < 50; user++) {
        snprintf(name, sizeof name, "user-%d", 97 * user % 50);
        assert_string_equal(serve(1000), name);
    }
}

static void a_new_lane_is_served_before_the_second_claim_of_a_heavy_one(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        desk_submit("heavy", "");
    assert_string_equal(serve(1000000), "heavy");
    desk_submit("light", "");
    assert_string_equal(serve(1000), "light");
    assert_string_equal(serve(1000000), "heavy");
}

static void lanes_get_equal_shares_of_time_whatever_an_operation_costs(void **state)
{
    enum { HEAVY_US = 10000, LIGHT_US = 1000, SERVED = 220 };
    int heavy = 0;

    (void)state;
    for (int i = 0; i < SERVED; i++) {
        desk_submit("heavy", "");
        desk_submit("light", "");
    }
    for (int i = 0; i < SERVED; i++)
        heavy += strcmp(serve(0), "light") != 0;
    assert_in_range(heavy, SERVED / 2 - 2, SERVED / 2 + 2);

    for (int i = heavy = 0; i < SERVED; i++) {
        struct claim *claim = desk_take("p", 1);
        bool is_heavy = strcmp(claim->lane.data, "heavy") == 0;
        desk_end(claim, 0, 1, false);
        const struct settlement settlement = {.claim = claim,
                                              .count = 1,
                                              .disposition = LANE_RELEASE,
                                              .cost_us = is_heavy ? HEAVY_US : LIGHT_US};
        desk_settle_as("p", &settlement, NULL, NULL);
        claim_free(claim);
        heavy += is_heavy;
        desk_submit(is_heavy ? "heavy" : "light", "");
    }
    /* 1 of 11 by cost, give or take the first round. */
    assert_in_range(heavy, SERVED / 11 - 3, SERVED / 11 + 3);
}

static void no_stream_of_new_lanes_holds_an_old_one_back_for_ever(void **state)
{
    char name[32];
    int rounds = 0;

    (void)state;
    desk_submit("old", "");
    desk_submit("old", "");
    assert_string_equal(serve(500), "old");
    do {
        snprintf(name, sizeof name, "new-%d", rounds);
        desk_submit(name, "");
    } while (strcmp(serve(0), "old") != 0 && ++rounds < 2000);
    assert_in_range(rounds, 1, 600);
}

static struct lanes_answer claim_bytes(int lanes, int operations, int64_t bytes_max)
{
    struct lanes_request request = desk_request("p", lanes, operations);

    request.bytes_max = bytes_max;
    return desk_claim_by(0, &request);
}

static void a_claim_stays_within_its_bytes_and_goes_on_with_the_rest(void **state)
{
    enum { SIZE = 1000, LANES = 6 };
    char payload[SIZE + 1], name[32];
    int claims = 0, served = 0;

    (void)state;
    snprintf(payload, sizeof payload, "{\"x\":\"%0*d\"}", SIZE - 8, 1);
    for (int i = 0; i < LANES * 3; i++) {
        snprintf(name, sizeof name, "user-%d", i % LANES);
        desk_submit(name, payload);
    }
    for (; served < LANES * 3 && claims < 100; claims++) {
        struct lanes_answer answer = claim_bytes(16, 8, 4 * (SIZE + 200));
        size_t bytes = 0;
        for (struct claim *claim = answer.claims.first; claim; claim = claim->next) {
            for (size_t i = 0; i < claim->operation_count; i++)
                bytes += claim->operations[i].operation.payload.size;
            served += (int)claim->operation_count;
            desk_settle("p", claim, 0, claim->operation_count, LANE_RELEASE);
        }
        assert_in_range(bytes, SIZE, 5 * (SIZE + 200));
        desk_drop(&answer);
    }
    assert_int_equal(served, LANES * 3);
}

static void an_operation_above_the_bytes_is_claimed_alone(void **state)
{
    char *payload;

    (void)state;
    assert_true(asprintf(&payload, "{\"x\":\"%0*d\"}", 100000, 1) > 0);
    desk_submit("ann", payload);
    desk_submit("ann", payload);
    free(payload);
    struct lanes_answer answer = claim_bytes(16, 8, 1000);
    assert_int_equal(desk_only(&answer)->operation_count, 1);
    desk_drop(&answer);
}

/* Who is told that nothing is left does not ask again before it is woken. */
static void lanes_left_for_their_bytes_are_not_called_exhausted(void **state)
{
    char *payload;

    (void)state;
    assert_true(asprintf(&payload, "{\"x\":\"%0*d\"}", 5000, 1) > 0);
    for (int user = 0; user < 3; user++) {
        char name[32];
        snprintf(name, sizeof name, "user-%d", user);
        desk_submit(name, payload);
    }
    free(payload);
    struct lanes_answer answer = claim_bytes(16, 8, 1000);
    assert_int_equal(answer.claims.count, 1);
    assert_false(answer.is_exhausted);
    desk_drop(&answer);
}

static void a_claim_that_makes_no_sense_is_refused(void **state)
{
    static const struct lanes_request bad[] = {{"p", 1, 0, 1, 1, 1},
                                               {"p", 1, 1, 0, 1, 1},
                                               {"p", 1, 1001, 1, 1, 1},
                                               {"p", 1, 1, 1001, 1, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lanes_answer answer;
        assert_int_equal(lanes_claim_send(desk.link, &desk.command, 0, &bad[i], &desk.err),
                         HEDDLE_OK);
        assert_int_equal(lanes_claim_receive(desk.link, 0, &bad[i], &answer, &desk.err),
                         HEDDLE_REFUSED);
        assert_int_equal(desk.err.kind, HEDDLE_KIND_INVALID);
    }
}

static struct redis_link *listen_as(const char *processor)
{
    struct redis_link *listener;
    char channel[64];
    AUTO_REPLY reply = NULL;

    snprintf(channel, sizeof channel, "heddle:wake:%s", processor);
    assert_int_equal(redis_new(getenv("HEDDLE_REDIS"), DESK_TIMEOUT_MS, &listener, &desk.err),
                     HEDDLE_OK);
    assert_int_equal(redis_callf(listener, &reply, &desk.err, "SUBSCRIBE", channel, NULL),
                     HEDDLE_OK);
    return listener;
}

/* Messages that have arrived. The answer to a call behind them comes behind them too. */
static int wakes(struct redis_link *listener)
{
    struct pollfd fd = {.fd = redis_fd(listener), .events = POLLIN};
    int count = 0;

    for (;;) {
        AUTO_REPLY reply = NULL;
        assert_int_equal(redis_poll(listener, &reply, &desk.err), HEDDLE_OK);
        if (!reply && poll(&fd, 1, 50) <= 0)
            return count;
        count += reply != NULL;
        if (reply)
            assert_int_equal(redis_reply_integer(redis_reply_at(reply, 2)), 0);
    }
}

static void one_processor_that_found_nothing_is_woken_by_the_first_operation(void **state)
{
    struct redis_link *p = listen_as("p"), *q = listen_as("q");

    (void)state;
    desk_claim("p", 16, 8);
    desk_claim("q", 16, 8);
    /* Dead: nobody listens there. */
    desk_claim("dead", 16, 8);
    desk_submit("ann", "");
    assert_int_equal(wakes(p) + wakes(q), 1);
    /* The lane is ready already: no more is to be said. */
    desk_submit("ann", "");
    assert_int_equal(wakes(p) + wakes(q), 0);
    desk_submit("bob", "");
    assert_int_equal(wakes(p) + wakes(q), 1);
    redis_free(p);
    redis_free(q);
}

static void settle_waiting(struct claim *claim, int64_t wait_ms)
{
    const struct settlement waits = {.claim = claim, .disposition = LANE_WAIT, .wait_ms = wait_ms};

    desk_settle_as("busy", &waits, NULL, NULL);
}

static void a_sleeper_hears_of_a_lane_that_is_due_before_all_others(void **state)
{
    struct redis_link *p = listen_as("p");

    (void)state;
    desk_submit("ann", "");
    struct claim *ann = desk_take("busy", 1);
    desk_submit("bob", "");
    struct claim *bob = desk_take("busy", 1);
    desk_claim("p", 16, 8);
    settle_waiting(ann, 30000);
    assert_int_equal(wakes(p), 1);
    struct lanes_answer answer = desk_claim("p", 16, 8);
    assert_in_range(answer.next_due_ms, 29000, 30000);
    settle_waiting(bob, 40000);
    assert_int_equal(wakes(p), 0);
    redis_free(p);
    claim_free(ann);
    claim_free(bob);
}

static void a_lane_whose_operations_are_gone_is_passed_over(void **state)
{
    (void)state;
    const char *id = desk_submit("ann", "");
    desk_submit("bob", "");
    redis_reply_free(desk_call("HDEL", "heddle:{0}:ops", id, NULL));
    struct lanes_answer answer = desk_claim("p", 16, 8);
    assert_int_equal(answer.claims.count, 1);
    assert_string_equal(answer.claims.first->lane.data, "bob");
    desk_assert_state("ann", "gone");
    desk_drop(&answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_queue_gives_nothing),
        TEST(a_claim_carries_what_was_submitted_in_its_order),
        TEST(a_lane_is_handed_out_once),
        TEST(lanes_and_operations_are_taken_up_to_the_caps),
        TEST(new_lanes_are_served_in_the_order_of_their_arrival),
        TEST(a_new_lane_is_served_before_the_second_claim_of_a_heavy_one),
        TEST(lanes_get_equal_shares_of_time_whatever_an_operation_costs),
        TEST(no_stream_of_new_lanes_holds_an_old_one_back_for_ever),
        TEST(a_claim_stays_within_its_bytes_and_goes_on_with_the_rest),
        TEST(an_operation_above_the_bytes_is_claimed_alone),
        TEST(lanes_left_for_their_bytes_are_not_called_exhausted),
        TEST(a_claim_that_makes_no_sense_is_refused),
        TEST(one_processor_that_found_nothing_is_woken_by_the_first_operation),
        TEST(a_sleeper_hears_of_a_lane_that_is_due_before_all_others),
        TEST(a_lane_whose_operations_are_gone_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
