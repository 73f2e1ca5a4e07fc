/* Lanes with classes of operations, put right from outside: decided about, suspected, rebuilt. The
 * functions of the library, called directly. */
#include "desk.h"

#include "base/text.h"
#include "queue/rebuild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NORMAL, URGENT, BULK };

static void relay(const char *id, int class)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"),
        .op = TEXT("work"),
        .id = text_of(id),
        .is_journaled = true,
        .flow = {.priority = (enum heddle_priority) class}};

    assert_int_equal(desk_submit_as(&submission).status, HEDDLE_OK);
}

#define A "00000000-0000-4000-8000-00000000000a"
#define B "00000000-0000-4000-8000-00000000000b"
#define C "00000000-0000-4000-8000-00000000000c"

static void a_decision_reaches_the_operation_that_halts_its_lane(void **state)
{
    (void)state;
    relay(A, NORMAL);
    relay(B, BULK);
    struct claim *claim = desk_take("p", 2);
    const struct settlement settlement = {
        .claim = claim, .first = 1, .disposition = LANE_HALT, .reason = LANE_HALTED_FAILED};
    desk_settle("p", claim, 0, 1, LANE_KEEP);
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
    relay(C, NORMAL);
    desk_assert_state("ann", "2 halted");
    AUTO_REPLY halts = desk_call("FCALL", "heddle_halts", "1", "heddle:{0}", "0", NULL);
    assert_string_equal(redis_reply_text(redis_reply_at(halts, 2)).data, B);
    relay(C, NORMAL);
    desk_assert_state("ann", "2 halted");
    relay(B, BULK);
    desk_assert_state("ann", "2 ready");
}

/* Of a lane's operations, C crashed the processor that had claimed it. */
static void assert_first_in_its_quarantine(void)
{
    static const char *const reasons[] = {"suspect", NULL};

    claim_free(desk_take("p", 3));
    assert_int_equal(lanes_suspect(desk.link, &desk.command, 0, "p", "ann", C, 3, &desk.err),
                     HEDDLE_OK);
    const struct lanes_request request = desk_request("q", 1, 1);
    struct lanes_answer answer;
    char cursor[24] = "0";
    assert_int_equal(
        lanes_adopt(desk.link, &desk.command, 0, &request, reasons, cursor, &answer, &desk.err),
        HEDDLE_OK);
    struct claim *claim = desk_only(&answer);
    assert_string_equal(claim->operations[0].operation.id, C);
    assert_int_equal(claim->operation_count, 1);
    desk_settle("q", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    claim = desk_take("p", 3);
    assert_int_equal(claim->operation_count, 2);
    desk_settle("p", claim, 0, 2, LANE_RELEASE);
    claim_free(claim);
    desk_assert_state("ann", "gone");
}

static void a_suspect_comes_first_in_its_quarantine(void **state)
{
    (void)state;
    relay(A, NORMAL);
    relay(B, URGENT);
    relay(C, BULK);
    assert_first_in_its_quarantine();
}

static void a_suspect_comes_first_whose_strand_was_not_the_first(void **state)
{
    (void)state;
    relay(A, NORMAL);
    relay(C, NORMAL);
    relay(B, NORMAL);
    assert_first_in_its_quarantine();
    assert_int_equal(desk_number("EXISTS", "heddle:{0}:classed", NULL), 0);
}

static void rebuild(int class, const char *first, const char *second)
{
    struct heddle_operation operations[2] = {0};
    const struct rebuild_page page = {.lane = TEXT("ann"), .operations = operations, .count = 2};
    size_t missing, looked_at;

    strcpy(operations[0].id, first);
    strcpy(operations[1].id, second);
    for (int i = 0; i < 2; i++) {
        operations[i].op = TEXT("work");
        operations[i].thread = operations[i].payload = TEXT("");
        operations[i].flow.priority = (enum heddle_priority) class;
    }
    assert_int_equal(
        rebuild_lane(desk.link, &desk.command, 0, &page, &missing, &looked_at, &desk.err),
        HEDDLE_OK);
    assert_int_equal(missing, 1);
}

static void what_was_lost_goes_to_its_class(void **state)
{
    static const char *const order[] = {"00000000-0000-4000-8000-000000000001", A, B, C};

    (void)state;
    relay(B, BULK);
    rebuild(BULK, A, B);
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:ready:bulk", NULL), 1);
    relay(C, URGENT);
    redis_reply_free(desk_call("DEL", "heddle:{0}:urgent:ann", NULL));
    redis_reply_free(desk_call("HDEL", "heddle:{0}:ops", C, NULL));
    relay(order[0], URGENT);
    rebuild(URGENT, order[0], C);
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:ready:urgent", NULL), 1);
    struct claim *claim = desk_take("p", 4);
    assert_string_equal(claim->operations[0].operation.id, order[0]);
    assert_string_equal(claim->operations[1].operation.id, C);
    assert_string_equal(claim->operations[2].operation.id, A);
    assert_string_equal(claim->operations[3].operation.id, B);
    claim_free(claim);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_decision_reaches_the_operation_that_halts_its_lane),
        TEST(a_suspect_comes_first_in_its_quarantine),
        TEST(a_suspect_comes_first_whose_strand_was_not_the_first),
        TEST(what_was_lost_goes_to_its_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
