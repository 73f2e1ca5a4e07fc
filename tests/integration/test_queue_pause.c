/* Pauses: what is paused does not begin, keeps its order, and goes on when it is resumed. The
 * functions of heddle.lua, called directly. */
#include "limits.h"

#include "base/text.h"
#include "queue/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct heddle_receipt submit(const char *user, const char *op)
{
    const struct heddle_submission submission = {
        .user = text_of(user), .op = text_of(op), .payload = TEXT("")};

    return desk_submit_as(&submission);
}

static void assert_state(const char *user, const char *id, const char *expected)
{
    AUTO_REPLY reply = desk_call("FCALL", "heddle_status", "0", user, id, NULL);
    assert_string_equal(redis_reply_text(redis_reply_at(reply, 0)).data, expected);
}

/* Claims nothing, and would come again only when it is woken. */
static void assert_nothing_to_do(const char *processor)
{
    struct lanes_answer answer = desk_claim(processor, 10, 10);

    assert_int_equal(answer.claims.count, 0);
    assert_true(answer.is_exhausted);
    assert_int_equal(answer.next_due_ms, -1);
}

static void a_paused_user_waits_and_others_go_on(void **state)
{
    (void)state;
    limits_control("pause", "user:ann", "{}");
    struct heddle_receipt first = submit("ann", "work");
    assert_string_equal(first.state, "paused");
    submit("ann", "work");
    submit("bob", "work");
    struct lanes_answer answer = desk_claim("p", 10, 10);
    struct claim *claim = desk_only(&answer);
    assert_string_equal(claim->lane.data, "bob");
    assert_nothing_to_do("p");
    desk_assert_state("ann", "2 waiting");
    limits_assert_reason("ann", "paused user");
    assert_state("ann", first.id, "paused");
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);

    limits_control("pause", "user:ann", "");
    claim = desk_take("p", 10);
    assert_int_equal(claim->operation_count, 2);
    assert_string_equal(claim->operations[0].operation.id, first.id);
    desk_settle("p", claim, 0, 2, LANE_RELEASE);
    claim_free(claim);
    assert_nothing_to_do("p");
    assert_int_equal(desk_number("EXISTS", "heddle:{0}:waits", "heddle:{0}:freed",
                                 "heddle:{0}:controls.pause", NULL),
                     0);
    assert_int_equal(desk_number("HEXISTS", "heddle:{0}:meta", "rules", NULL), 0);
}

static void a_paused_op_stops_its_lane_where_it_stands(void **state)
{
    static const char *const ops[] = {"work", "mail", "work"};
    char ids[3][HEDDLE_ID_SIZE + 1];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        memcpy(ids[i], submit("ann", ops[i]).id, sizeof ids[i]);
    limits_control("pause", "op:mail", "{}");
    struct claim *claim = desk_take("p", 10);
    assert_int_equal(claim->operation_count, 1);
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    assert_nothing_to_do("p");
    limits_assert_reason("ann", "paused op mail");
    assert_state("ann", ids[1], "paused");

    limits_control("pause", "op:mail", "");
    claim = desk_take("p", 10);
    assert_int_equal(claim->operation_count, 2);
    assert_string_equal(claim->operations[0].operation.id, ids[1]);
    assert_string_equal(claim->operations[1].operation.id, ids[2]);
    desk_settle("p", claim, 0, 2, LANE_RELEASE);
    claim_free(claim);
}

static void while_everything_is_paused_nothing_is_claimed_nor_moved(void **state)
{
    (void)state;
    submit("ann", "work");
    struct claim *begun = desk_take("p", 1);
    submit("bob", "work");
    limits_control("pause", "all", "{}");
    assert_nothing_to_do("p");
    desk_assert_state("bob", "1 ready");
    assert_string_equal(submit("bob", "work").state, "paused");
    /* What had begun comes to its end. */
    desk_settle("p", begun, 0, 1, LANE_RELEASE);
    desk_assert_state("ann", "gone");
    claim_free(begun);
    assert_int_equal(desk_number("SCARD", "heddle:{0}:idle", NULL), 0);
    limits_control("pause", "all", "");
    begun = desk_take("p", 2);
    assert_int_equal(begun->operation_count, 2);
    desk_settle("p", begun, 0, 2, LANE_RELEASE);
    claim_free(begun);
}

/* Lanes of a pause that has ended come back by claims, in bounded steps, and none is forgotten. */
static void many_lanes_go_on_step_by_step(void **state)
{
    enum { LANES = 700, STEP = 64 };
    char name[32];
    int taken = 0;

    (void)state;
    limits_control("pause", "op:mail", "{}");
    for (int i = 0; i < LANES; i++) {
        snprintf(name, sizeof name, "user-%d", i);
        submit(name, "mail");
    }
    for (int held = 0; held < LANES; held += STEP)
        assert_int_equal(desk_claim("p", STEP, 1).claims.count, 0);
    assert_nothing_to_do("p");
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:waiting", NULL), LANES);
    limits_control("pause", "op:mail", "");
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:waiting", NULL), LANES);
    /* Paused again meanwhile: what has not come back waits on. */
    struct lanes_answer answer = desk_claim("p", STEP, 1);
    taken += (int)answer.claims.count;
    desk_drop(&answer);
    assert_int_equal(taken, STEP);
    limits_control("pause", "op:mail", "{}");
    for (int calls = 0; calls < 2 * LANES / STEP; calls++)
        assert_int_equal(desk_claim("p", STEP, 1).claims.count, 0);
    assert_nothing_to_do("p");
    limits_control("pause", "op:mail", "");
    for (int calls = 0; taken < LANES; calls++) {
        assert_true(calls < 2 * LANES / STEP);
        answer = desk_claim("p", STEP, 1);
        taken += (int)answer.claims.count;
        desk_drop(&answer);
    }
    assert_nothing_to_do("p");
    assert_int_equal(desk_number("EXISTS", "heddle:{0}:freed", "heddle:{0}:waits", NULL), 0);
}

static void a_pause_may_refuse_what_is_new_and_nothing_that_is_known(void **state)
{
    const struct heddle_submission known = {.user = TEXT("ann"),
                                            .op = TEXT("mail"),
                                            .payload = TEXT("{}"),
                                            .id = TEXT("0c3f5d0e-7a37-4b7e-9d4a-1a2b3c4d5e6f")};
    const struct heddle_submission journaled = {.user = TEXT("bob"),
                                                .op = TEXT("mail"),
                                                .payload = TEXT("{}"),
                                                .id = TEXT("1c3f5d0e-7a37-4b7e-9d4a-1a2b3c4d5e6f"),
                                                .is_journaled = true};

    (void)state;
    desk_submit_as(&known);
    limits_control("pause", "op:mail", "{\"refuse\":true}");
    struct heddle_receipt receipt = submit("ann", "mail");
    assert_int_equal(receipt.status, HEDDLE_RETRY);
    assert_string_equal(receipt.error.text, "paused: op mail is paused");
    assert_string_equal(desk_submit_as(&known).state, "paused");
    assert_string_equal(desk_submit_as(&journaled).state, "paused");
    assert_string_equal(submit("ann", "work").state, "queued");
    limits_control("pause", "op:mail", "{}");
    assert_string_equal(submit("ann", "mail").state, "paused");
}

static void what_is_cancelled_does_not_stand_in_the_way(void **state)
{
    (void)state;
    limits_control("pause", "op:mail", "{}");
    struct heddle_receipt first = submit("ann", "mail");
    submit("ann", "work");
    assert_nothing_to_do("p");
    redis_reply_free(
        desk_call("FCALL", "heddle_cancel", "1", "heddle:{0}", first.id, "{}", "60000", NULL));
    struct claim *claim = desk_take("p", 10);
    assert_int_equal(claim->operation_count, 2);
    desk_settle("p", claim, 0, 2, LANE_RELEASE);
    claim_free(claim);
}

/* Two that bring controls at once, and one that comes late. */
static void no_page_is_applied_out_of_its_turn(void **state)
{
    (void)state;
    limits_control("pause", "user:ann", "{}");
    limits_control("pause", "user:ann", "");
    assert_int_equal(desk_number("FCALL", "heddle_control", "1", "heddle:{0}", "0", "1", "1", "1",
                                 "pause", "user:ann", "{}", NULL),
                     2);
    assert_string_equal(submit("ann", "work").state, "queued");
    /* Postgres has gone back: what it does not know is forgotten. */
    limits_control("pause", "user:bob", "{}");
    assert_int_equal(desk_number("FCALL", "heddle_control", "1", "heddle:{0}", "3", "1", "1", "1",
                                 "pause", "user:ann", "{}", NULL),
                     1);
    assert_string_equal(submit("ann", "work").state, "paused");
    assert_string_equal(submit("bob", "work").state, "queued");
    desk_refused("expected FROM TO IS_LAST", "FCALL", "heddle_control", "1", "heddle:{0}", "0",
                 NULL);
}

static void a_queue_that_was_lost_waits_for_its_controls(void **state)
{
    (void)state;
    redis_reply_free(desk_call("FLUSHALL", NULL));
    assert_int_equal(queue_install_awaiting_controls(desk.link, 1, DESK_PAYLOAD_MAX, &desk.err),
                     HEDDLE_OK);
    submit("ann", "work");
    assert_nothing_to_do("p");
    assert_int_equal(desk_number("FCALL", "heddle_control", "1", "heddle:{0}", "0", "5", "0", "5",
                                 "pause", "user:ann", "{}", NULL),
                     5);
    assert_nothing_to_do("p");
    submit("bob", "work");
    limits_control("pause", "user:carl", "{}");
    struct lanes_answer answer = desk_claim("p", 10, 10);
    struct claim *claim = desk_only(&answer);
    assert_string_equal(claim->lane.data, "bob");
    claim_free(claim);
    /* Set up again it stays as it is. */
    assert_int_equal(queue_install_awaiting_controls(desk.link, 1, DESK_PAYLOAD_MAX, &desk.err),
                     HEDDLE_OK);
    submit("dan", "work");
    claim = desk_take("p", 10);
    assert_string_equal(claim->lane.data, "dan");
    claim_free(claim);
}

/* Who had begun when it crashed is tried alone, and nothing behind it is begun. */
static void a_suspect_is_tried_whatever_is_paused(void **state)
{
    struct lanes_request request = desk_request("q", 1, 10);
    const char *const reasons[] = {"suspect", NULL};
    struct lanes_answer answer;
    char cursor[24] = "0";

    (void)state;
    struct heddle_receipt first = submit("ann", "work");
    submit("ann", "work");
    struct claim *claim = desk_take("p", 10);
    assert_int_equal(lanes_suspect(desk.link, &desk.command, 0, "p", "ann", first.id, 3, &desk.err),
                     HEDDLE_OK);
    claim_free(claim);
    limits_control("pause", "all", "{}");
    assert_int_equal(
        lanes_adopt(desk.link, &desk.command, 0, &request, reasons, cursor, &answer, &desk.err),
        HEDDLE_OK);
    claim = desk_only(&answer);
    assert_int_equal(claim->operation_count, 1);
    desk_settle("q", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    desk_assert_state("ann", "1 ready");
}

static void an_op_that_becomes_known_while_it_is_paused_waits(void **state)
{
    struct lanes_request request = desk_request("q", 1, 10);
    const char *const reasons[] = {"op mail", NULL};
    struct lanes_answer answer;
    char cursor[24] = "0";

    (void)state;
    submit("ann", "mail");
    struct claim *claim = desk_take("p", 10);
    const struct settlement halt = {.claim = claim, .disposition = LANE_HALT, .reason = "op mail"};
    desk_settle_as("p", &halt, NULL, NULL);
    claim_free(claim);
    limits_control("pause", "op:mail", "{}");
    assert_int_equal(
        lanes_adopt(desk.link, &desk.command, 0, &request, reasons, cursor, &answer, &desk.err),
        HEDDLE_OK);
    assert_int_equal(answer.claims.count, 0);
    desk_assert_state("ann", "1 waiting");
    limits_assert_reason("ann", "paused op mail");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, limits_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_paused_user_waits_and_others_go_on),
        TEST(a_paused_op_stops_its_lane_where_it_stands),
        TEST(while_everything_is_paused_nothing_is_claimed_nor_moved),
        TEST(many_lanes_go_on_step_by_step),
        TEST(a_pause_may_refuse_what_is_new_and_nothing_that_is_known),
        TEST(what_is_cancelled_does_not_stand_in_the_way),
        TEST(no_page_is_applied_out_of_its_turn),
        TEST(a_queue_that_was_lost_waits_for_its_controls),
        TEST(a_suspect_is_tried_whatever_is_paused),
        TEST(an_op_that_becomes_known_while_it_is_paused_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
