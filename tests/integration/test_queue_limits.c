/* Rates in one partition: no more begins than may, lanes that can't go wait without being looked
 * at again and again, their order is kept, and nothing stays behind. The functions of heddle.lua,
 * called directly. */
#include "limits.h"

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

static void a_user_has_the_rate_of_each_user_and_others_are_not_held(void **state)
{
    (void)state;
    limits_rate("users", 200, 5);
    limits_rate("user:bob", 400, 20);
    limits_submit("ann", "work", 20);
    limits_submit("bob", "work", 20);
    struct lanes_answer answer = limits_claim(0, "p", 10, 100);
    assert_int_equal(answer.claims.count, 2);
    for (struct claim *c = answer.claims.first; c; c = c->next)
        assert_int_equal(c->operation_count, *c->lane.data == 'a' ? 5 : 20);
    limits_record.begun = 5; /* ann's */
    for (struct claim *c = answer.claims.first, *next; c; c = next) {
        next = c->next;
        desk_settle("p", c, 0, c->operation_count, LANE_RELEASE);
        claim_free(c);
    }
    limits_drain(20, 10, 100);
    limits_assert_rate(200e-6, 5);
    /* Each time one or more go: nobody looks in vain. */
    assert_in_range(limits_record.calls, 1, 40);
    limits_control("rate", "users", "");
    limits_control("rate", "user:bob", "");
    limits_assert_nothing_left();
}

static void a_user_that_waits_goes_on_when_its_limit_goes(void **state)
{
    (void)state;
    limits_control("rate", "users", "{\"count\":1,\"period_us\":3600000000,\"burst\":1}");
    limits_submit("ann", "work", 3);
    limits_submit("bob", "work", 2);
    limits_drain(2, 10, 10);
    struct lanes_answer answer = limits_claim(0, "p", 10, 10);
    assert_int_equal(answer.claims.count, 0);
    assert_in_range(answer.next_due_ms, 3000000, 3600001);
    limits_assert_reason("ann", "rate user");
    limits_rate("user:ann", 1000, 10);
    limits_drain(4, 10, 10);
    desk_assert_state("ann", "gone");
    desk_assert_state("bob", "1 waiting");
    limits_control("rate", "users", "");
    limits_drain(5, 10, 10);
    limits_control("rate", "user:ann", "");
    limits_assert_nothing_left();
}

/* Ann has much more of them than the others, and does not hold these up. */
static void who_stands_in_line_shares_what_there_is(void **state)
{
    static const char *const users[] = {"ann", "bob", "carl", "dora"};

    (void)state;
    limits_control("rate", "op:mail", "{\"count\":1,\"period_us\":86400000000,\"burst\":20}");
    limits_share("rate", "op:mail", "20", "0");
    for (int i = 0; i < 4; i++)
        limits_submit(users[i], "mail", i == 0 ? 20 : 4);
    limits_submit("eve", "work", 10);
    struct lanes_answer answer = limits_claim(0, "p", 10, 10);
    struct claim *eve = desk_only(&answer);
    assert_int_equal(eve->operation_count, 10);
    desk_settle("p", eve, 0, 10, LANE_RELEASE);
    claim_free(eve);
    limits_assert_reason("ann", "rate op mail");
    for (int round = 0; round < 2; round++) {
        limits_share("rate", "op:mail", "20", round == 0 ? "8000000" : "4000000");
        answer = limits_claim(0, "p", 10, 10);
        assert_int_equal(answer.claims.count, 4);
        for (struct claim *c = answer.claims.first, *next; c; c = next) {
            next = c->next;
            assert_int_equal(c->operation_count, round == 0 ? 2 : 1);
            desk_settle("p", c, 0, c->operation_count, LANE_RELEASE);
            claim_free(c);
        }
        assert_int_equal(desk_claim("p", 10, 10).claims.count, 0);
    }
    limits_control("rate", "op:mail", "");
    limits_drain(42, 10, 10);
    limits_assert_nothing_left();
}

static void nobody_passes_those_who_stand_in_line(void **state)
{
    (void)state;
    limits_control("rate", "op:mail", "{\"count\":1,\"period_us\":86400000000,\"burst\":4}");
    limits_share("rate", "op:mail", "4", "0");
    limits_submit("ann", "mail", 4);
    assert_null(desk_take("p", 10));
    limits_share("rate", "op:mail", "4", "2000000");
    /* As if it were a moment too early. */
    desk_number("ZADD", "heddle:{0}:lines", "4503599627370496", "rate op mail", NULL);
    limits_submit("bob", "mail", 1);
    assert_int_equal(desk_claim("p", 10, 10).claims.count, 0);
    struct claim *first = desk_take("p", 10), *second = desk_take("p", 10);
    assert_string_equal(first->lane.data, "ann");
    assert_int_equal(first->operation_count, 1);
    assert_string_equal(second->lane.data, "bob");
    desk_settle("p", first, 0, 1, LANE_RELEASE);
    desk_settle("p", second, 0, 1, LANE_RELEASE);
    claim_free(first);
    claim_free(second);
    limits_control("rate", "op:mail", "");
}

static void lanes_of_an_op_keep_its_rate(void **state)
{
    (void)state;
    limits_rate("op:mail", 400, 4);
    limits_share("rate", "op:mail", "4", "0");
    limits_submit("ann", "mail", 20);
    limits_submit("bob", "mail", 6);
    limits_submit("carl", "mail", 6);
    limits_drain(32, 10, 10);
    limits_assert_rate(400e-6, 4);
    assert_in_range(limits_record.calls, 1, 80);
    limits_control("rate", "op:mail", "");
    limits_assert_nothing_left();
}

static void without_a_share_nothing_begins_and_all_goes_when_the_limit_does(void **state)
{
    (void)state;
    limits_rate("all", 100, 10);
    limits_submit("ann", "work", 2);
    limits_submit("bob", "work", 2);
    struct lanes_answer answer = limits_claim(0, "p", 10, 10);
    assert_int_equal(answer.claims.count, 0);
    assert_int_equal(answer.next_due_ms, -1);
    limits_assert_reason("ann", "rate all");
    desk_assert_state("bob", "2 waiting");
    limits_control("rate", "all", "");
    limits_drain(4, 10, 10);
    limits_assert_nothing_left();
}

/* The credit that a share takes along is what there was of it. */
static void shares_move_with_their_credit_and_no_more(void **state)
{
    (void)state;
    limits_rate("op:mail", 1, 10);
    assert_int_equal(limits_share("rate", "op:mail", "10", "8000000"), 0);
    limits_submit("ann", "mail", 20);
    limits_drain(8, 10, 10);
    clock_sleep_ms(5);
    const int64_t back = limits_share("rate", "op:mail", "0", "0");
    assert_in_range(back, 1, 999999);
    struct lanes_answer answer = limits_claim(0, "p", 10, 10);
    assert_int_equal(answer.claims.count, 0);
    assert_int_equal(answer.next_due_ms, -1);
    assert_int_equal(limits_share("rate", "op:mail", "2", "5000000"), 3000000);
    limits_drain(10, 10, 10);
    /* Whoever comes with an older number is not listened to. */
    assert_int_equal(desk_number("FCALL", "heddle_shares", "1", "heddle:{0}", "1", NULL), 0);
    AUTO_REPLY reply = desk_call("FCALL", "heddle_shares", "1", "heddle:{0}", "1", "rate",
                                 "op:mail", "10", "0", NULL);
    assert_int_equal(redis_reply_integer(redis_reply_at(reply, 0)), 0);
    assert_int_equal(desk_number("HGET", "heddle:{0}:shares", "rate op:mail", NULL), 2);
    /* Half as many in all: others may have the rest. */
    limits_rate("op:mail", 1, 5);
    assert_int_equal(desk_number("HGET", "heddle:{0}:shares", "rate op:mail", NULL), 1);
    limits_control("rate", "op:mail", "");
    limits_drain(20, 10, 10);
    limits_assert_nothing_left();
}

static void what_is_cancelled_neither_waits_nor_counts(void **state)
{
    (void)state;
    limits_control("rate", "op:mail", "{\"count\":1,\"period_us\":3600000000,\"burst\":1}");
    limits_share("rate", "op:mail", "1", "0");
    const struct heddle_submission submission = {
        .user = TEXT("ann"), .op = TEXT("mail"), .payload = TEXT("")};
    struct heddle_receipt receipt = desk_submit_as(&submission);
    assert_null(desk_take("p", 10));
    redis_reply_free(
        desk_call("FCALL", "heddle_cancel", "1", "heddle:{0}", receipt.id, "{}", "60000", NULL));
    struct claim *claimed = desk_take("p", 10);
    assert_int_equal(claimed->operation_count, 1);
    desk_settle("p", claimed, 0, 1, LANE_RELEASE);
    claim_free(claimed);
    limits_control("rate", "op:mail", "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, limits_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_user_has_the_rate_of_each_user_and_others_are_not_held),
        TEST(a_user_that_waits_goes_on_when_its_limit_goes),
        TEST(who_stands_in_line_shares_what_there_is),
        TEST(nobody_passes_those_who_stand_in_line),
        TEST(lanes_of_an_op_keep_its_rate),
        TEST(without_a_share_nothing_begins_and_all_goes_when_the_limit_does),
        TEST(shares_move_with_their_credit_and_no_more),
        TEST(what_is_cancelled_neither_waits_nor_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
