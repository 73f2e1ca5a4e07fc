/* Interactive, normal and bulk operations: in one lane, and between lanes. The functions of the
 * library, called directly. */
#include "desk.h"

#include "base/clock.h"
#include "base/text.h"
#include "queue/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NORMAL, URGENT, BULK, CLASSES, ROUNDS_MAX = 200 };

/* The nth operation of its class in this lane. */
static void submit(const char *user, int class, int n)
{
    char payload[32];
    const struct heddle_submission submission = {
        .user = text_of(user),
        .op = TEXT("work"),
        .payload = {payload, (size_t)snprintf(payload, sizeof payload, "{\"n\":%d}", n)},
        .flow = {.priority = (enum heddle_priority) class}};

    assert_int_equal(desk_submit_as(&submission).status, HEDDLE_OK);
}

static void submit_each(const char *user, int count)
{
    for (int n = 0; n < count; n++)
        for (int class = 0; class < CLASSES; class ++)
            submit(user, class, n);
}

/* What of a lane has been executed. */
struct tally {
    int next[CLASSES]; /* numbers */
};

/* Each class in its order. */
static void count(struct tally *tally, const struct claim *claim, size_t operations)
{
    for (size_t i = 0; i < operations; i++) {
        const struct heddle_operation *operation = &claim->operations[i].operation;
        assert_int_equal(strtol(operation->payload.data + 5, NULL, 10),
                         tally->next[operation->flow.priority]++);
    }
}

static size_t execute(struct tally *tally, int operations)
{
    struct claim *claim = desk_take("p", operations);

    if (!claim)
        return 0;
    size_t done = claim->operation_count;
    count(tally, claim, done);
    desk_settle("p", claim, 0, done, LANE_RELEASE);
    claim_free(claim);
    return done;
}

/* Whatever a claim takes at most: of 16 operations 11 are urgent, 4 normal, 1 bulk. */
static void classes_of_a_lane_take_turns_each_in_its_order(void **state)
{
    static const int most[] = {1, 3, 16, 100};

    (void)state;
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        struct tally tally = {0};
        size_t done = 0;
        submit_each("ann", 40);
        for (int round = 0; done + (size_t)most[i] <= 48 && round < ROUNDS_MAX; round++)
            done += execute(&tally, most[i]);
        if (most[i] <= 16) {
            assert_in_range(tally.next[URGENT], done * 11 / 16 - 2, done * 11 / 16 + 2);
            assert_in_range(tally.next[NORMAL], done / 4 - 1, done / 4 + 1);
            assert_in_range(tally.next[BULK], done / 16 - 1, done / 16 + 1);
        }
        for (int round = 0; execute(&tally, most[i]) > 0 && round < ROUNDS_MAX; round++)
            ;
        for (int class = 0; class < CLASSES; class ++)
            assert_int_equal(tally.next[class], 40);
        desk_assert_state("ann", "gone");
    }
    redis_reply_free(desk_call("FCALL", "heddle_release", "1", "heddle:{0}", "p", NULL));
    assert_string_equal(desk_keys(), "heddle:partitions heddle:{0}:meta");
}

/* A claim of one lane -> its first letter. */
static char serve(void)
{
    struct claim *claim = desk_take("p", 1);
    assert_non_null(claim);
    const struct settlement settlement = {
        .claim = claim, .count = 1, .disposition = LANE_RELEASE, .cost_us = 1000};
    char letter = claim->lane.data[0];

    desk_end(claim, 0, 1, false);
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
    return letter;
}

static void submit_to_lanes(char letter, int class, int lanes, int operations)
{
    for (int lane = 0; lane < lanes; lane++)
        for (int n = 0; n < operations; n++) {
            char user[16];
            snprintf(user, sizeof user, "%c-%d", letter, lane);
            submit(user, class, n);
        }
}

static void an_interactive_one_overtakes_a_backlog_of_bulk_ones(void **state)
{
    int served = 1;

    (void)state;
    submit_to_lanes('b', BULK, 50, 2);
    submit_to_lanes('n', NORMAL, 50, 2);
    for (int i = 0; i < 20; i++)
        serve();
    submit("ann", URGENT, 0);
    while (serve() != 'a' && served < 3)
        served++;
    /* Two turns in a row are never others'. */
    assert_in_range(served, 1, 2);
}

static void lanes_with_less_urgent_ones_keep_their_part(void **state)
{
    int counts[128] = {0};

    (void)state;
    submit_to_lanes('u', URGENT, 20, 10);
    submit_to_lanes('n', NORMAL, 20, 10);
    submit_to_lanes('b', BULK, 20, 10);
    for (int i = 0; i < 160; i++)
        counts[(int)serve()]++;
    assert_int_equal(counts['u'], 110);
    assert_int_equal(counts['n'], 40);
    assert_int_equal(counts['b'], 10);
}

static void claims_of_many_lanes_take_turns_too(void **state)
{
    int counts[128] = {0};

    (void)state;
    submit_to_lanes('u', URGENT, 40, 1);
    submit_to_lanes('n', NORMAL, 40, 1);
    submit_to_lanes('b', BULK, 40, 1);
    struct lanes_answer answer = desk_claim("p", 32, 10);
    for (struct claim *claim = answer.claims.first; claim; claim = claim->next)
        counts[(int)claim->lane.data[0]]++;
    assert_int_equal(counts['u'], 22);
    assert_int_equal(counts['n'], 8);
    assert_int_equal(counts['b'], 2);
    desk_drop(&answer);
}

static void a_ready_lane_goes_by_its_most_urgent_operation(void **state)
{
    struct tally tally = {0};

    (void)state;
    submit_to_lanes('b', BULK, 20, 1);
    submit("ann", BULK, 0);
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:ready:bulk", NULL), 21);
    submit("ann", NORMAL, 0);
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:ready", NULL), 1);
    submit("ann", URGENT, 0);
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:ready:urgent", NULL), 1);
    desk_assert_state("ann", "3 ready");
    assert_int_equal(execute(&tally, 2), 2);
    assert_int_equal(tally.next[URGENT], 1);
    assert_int_equal(tally.next[NORMAL], 1);
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:ready:bulk", NULL), 21);
    desk_assert_state("ann", "1 ready");
}

static void a_lane_that_changes_its_class_does_not_stand_behind_all_others(void **state)
{
    (void)state;
    /* Normal lanes have had much service: their virtual time is far ahead of the bulk ones'. */
    submit_to_lanes('n', NORMAL, 2, 200);
    for (int i = 0; i < 300; i++)
        serve();
    submit("ann", NORMAL, 0);
    submit("ann", BULK, 0);
    submit_to_lanes('b', BULK, 2, 100);
    for (int i = 0; desk_number("EXISTS", "heddle:{0}:lane:ann", NULL) == 1; i++) {
        assert_in_range(i, 0, 20);
        serve();
    }
    for (int i = 0, of_bulk = 0; desk_number("EXISTS", "heddle:{0}:bulk:ann", NULL) == 1; i++) {
        assert_in_range(i, 0, 200);
        of_bulk += serve() == 'b';
        assert_in_range(of_bulk, 0, 10);
    }
}

static void a_dead_processors_operations_come_again_in_their_order(void **state)
{
    struct tally tally = {0}, forgotten = {0};

    (void)state;
    submit_each("ann", 6);
    struct claim *claim = desk_take("p", 9);
    assert_int_equal(claim->operation_count, 9);
    /* Some of it was settled. */
    count(&tally, claim, 5);
    desk_settle("p", claim, 0, 5, LANE_KEEP);
    desk_assert_state("ann", "13 claimed");
    claim_free(claim);
    desk_release("p");
    desk_assert_state("ann", "13 ready");
    claim = desk_take("q", 4);
    forgotten = tally;
    count(&forgotten, claim, 4);
    claim_free(claim);
    desk_release("q");
    for (int round = 0; execute(&tally, 4) > 0 && round < ROUNDS_MAX; round++)
        ;
    for (int class = 0; class < CLASSES; class ++)
        assert_int_equal(tally.next[class], 6);
}

static void settling_the_same_again_removes_nothing(void **state)
{
    (void)state;
    submit_each("ann", 4);
    struct claim *claim = desk_take("p", 6);
    desk_settle("p", claim, 0, 6, LANE_KEEP);
    desk_settle("p", claim, 0, 6, LANE_KEEP);
    desk_assert_state("ann", "6 claimed");
    desk_settle("p", claim, 0, 6, LANE_RELEASE);
    desk_assert_state("ann", "6 ready");
    claim_free(claim);
}

static void the_operation_that_failed_is_the_one_that_is_tried_again(void **state)
{
    (void)state;
    submit("ann", NORMAL, 0);
    submit("ann", URGENT, 0);
    submit("ann", BULK, 0);
    struct claim *claim = desk_take("p", 3);
    assert_int_equal(claim->operations[2].operation.flow.priority, BULK);
    submit("ann", URGENT, 1);
    desk_settle("p", claim, 0, 2, LANE_WAIT);
    claim_free(claim);
    desk_assert_state("ann", "2 waiting");
    clock_sleep_ms(2);
    claim = desk_take("p", 3);
    assert_int_equal(claim->operation_count, 2);
    assert_int_equal(claim->operations[0].operation.flow.priority, URGENT);
    assert_int_equal(claim->operations[0].operation.attempt, 1);
    assert_int_equal(claim->operations[1].operation.attempt, 2);
    claim_free(claim);
}

static void note(void *argument, const struct queue_finding *finding)
{
    const char **kind = argument;
    *kind = strcmp(finding->kind, "class_lost") == 0 ? "class_lost" : "another";
}

static void a_class_that_nobody_asks_for_is_found_and_mended(void **state)
{
    struct tally tally = {0};
    struct queue_census census;
    const char *kind = "";
    const struct queue_check check = {
        .link = desk.link, .partitions = 1, .repairs = true, .report = note, .argument = &kind};

    (void)state;
    submit_each("ann", 3);
    redis_reply_free(desk_call("DEL", "heddle:{0}:classed", NULL));
    assert_int_equal(queue_check_lanes(&check, &census, &desk.err), HEDDLE_OK);
    assert_string_equal(kind, "class_lost");
    assert_int_equal(census.lanes, 1);
    assert_true(desk_is_sound());
    for (int round = 0; execute(&tally, 2) > 0 && round < ROUNDS_MAX; round++)
        ;
    for (int class = 0; class < CLASSES; class ++)
        assert_int_equal(tally.next[class], 3);
}

/* What fits into a claim by its bytes takes turns all the same. */
static void large_operations_starve_nobody(void **state)
{
    static char payload[300000];
    struct tally tally = {0};
    size_t rounds = 0;

    (void)state;
    memset(payload, ' ', sizeof payload);
    payload[sizeof payload - 2] = '}';
    for (int n = 0; n < 20; n++) {
        char head[24];
        memcpy(payload, head, (size_t)snprintf(head, sizeof head, "{\"n\":%-2d", n));
        const struct heddle_submission submission = {
            .user = TEXT("ann"),
            .op = TEXT("work"),
            .payload = {payload, sizeof payload - 1},
            .flow = {.priority = HEDDLE_PRIORITY_INTERACTIVE}};
        assert_int_equal(desk_submit_as(&submission).status, HEDDLE_OK);
    }
    submit("ann", BULK, 0);
    while (tally.next[BULK] == 0) {
        struct lanes_request request = desk_request("p", 1, 100);
        request.bytes_max = 700000;
        struct lanes_answer answer = desk_claim_by(0, &request);
        struct claim *claim = desk_only(&answer);
        assert_non_null(claim);
        assert_in_range(rounds++, 0, 10);
        count(&tally, claim, claim->operation_count);
        desk_settle("p", claim, 0, claim->operation_count, LANE_RELEASE);
        claim_free(claim);
    }
    assert_in_range(tally.next[URGENT], 1, 19);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(classes_of_a_lane_take_turns_each_in_its_order),
        TEST(an_interactive_one_overtakes_a_backlog_of_bulk_ones),
        TEST(lanes_with_less_urgent_ones_keep_their_part),
        TEST(claims_of_many_lanes_take_turns_too),
        TEST(a_ready_lane_goes_by_its_most_urgent_operation),
        TEST(a_lane_that_changes_its_class_does_not_stand_behind_all_others),
        TEST(a_dead_processors_operations_come_again_in_their_order),
        TEST(settling_the_same_again_removes_nothing),
        TEST(the_operation_that_failed_is_the_one_that_is_tried_again),
        TEST(a_class_that_nobody_asks_for_is_found_and_mended),
        TEST(large_operations_starve_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
