/* The slots of an op in one partition: no more run at once than may, whatever becomes of their
 * claims; who waits for one goes on. The functions of heddle.lua, called directly. */
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

static int64_t busy(void)
{
    return desk_number("SCARD", "heddle:{0}:busy:title", NULL);
}

static void an_op_runs_no_more_often_at_once_than_it_may(void **state)
{
    static const char *const order[] = {"work", "title", "title", "work"};
    char user[24];
    int next_of[5] = {0};
    struct claim_list running;

    (void)state;
    limits_control("slots", "op:title", "{\"count\":2}");
    limits_share("slots", "op:title", "2", "0");
    for (int i = 0; i < 5; i++) {
        snprintf(user, sizeof user, "user-%d", i);
        for (size_t n = 0; n < 4; n++)
            limits_submit(user, order[n], 1);
    }
    claim_list_init(&running);
    for (int titles = 0; limits_record.begun < 20;) {
        assert_true(limits_record.calls < LIMITS_CALLS_MAX);
        struct lanes_answer answer = limits_claim(0, "p", 10, 10);
        for (struct claim *c; (c = claim_list_pop(&answer.claims));) {
            int *place = &next_of[c->lane.data[5] - '0'];
            for (size_t i = 0; i < c->operation_count; i++)
                assert_string_equal(c->operations[i].operation.op.data, order[(*place)++]);
            if (*c->operations[0].operation.op.data == 't') {
                claim_list_push(&running, c);
                titles++;
                continue;
            }
            desk_settle("p", c, 0, c->operation_count, LANE_RELEASE);
            claim_free(c);
        }
        assert_int_equal(busy(), running.count);
        /* The last user's two can't run at once. */
        assert_in_range(running.count, titles < 10 && titles > 0 ? 2 : 0, 2);
        struct claim *ended = claim_list_pop(&running);
        if (ended) {
            desk_settle("p", ended, 0, 1, LANE_RELEASE);
            claim_free(ended);
        }
    }
    assert_int_equal(busy(), 0);
    limits_control("slots", "op:title", "");
    limits_assert_nothing_left();
}

/* Whatever becomes of a claim, its slot is free again, and whoever waits for it goes on. */
static void a_slot_is_given_back_whatever_becomes_of_its_claim(void **state)
{
    (void)state;
    limits_control("slots", "op:title", "{\"count\":1}");
    limits_share("slots", "op:title", "1", "0");
    limits_submit("ann", "title", 1);
    limits_submit("bob", "title", 1);
    /* Its processor dies. */
    struct claim *claimed = desk_take("p", 10);
    assert_string_equal(claimed->lane.data, "ann");
    claim_free(claimed);
    assert_null(desk_take("q", 10));
    desk_release("p");
    assert_int_equal(busy(), 0);
    claimed = desk_take("q", 10);
    assert_string_equal(claimed->lane.data, "bob");
    /* It is tried again later. */
    const struct settlement later = {.claim = claimed, .disposition = LANE_WAIT, .wait_ms = 60000};
    desk_settle_as("q", &later, NULL, NULL);
    claim_free(claimed);
    assert_int_equal(busy(), 0);
    claimed = desk_take("q", 10);
    assert_string_equal(claimed->lane.data, "ann");
    desk_settle("q", claimed, 0, 1, LANE_RELEASE);
    claim_free(claimed);
    assert_int_equal(busy(), 0);
}

/* A suspect may be tried at any time: its slot is its own until it has ended. */
static void a_suspect_keeps_its_slot(void **state)
{
    struct lanes_request request = desk_request("q", 1, 10);
    const char *const reasons[] = {"suspect", NULL};
    struct lanes_answer answer;
    char cursor[24] = "0";

    (void)state;
    limits_control("slots", "op:title", "{\"count\":1}");
    limits_share("slots", "op:title", "1", "0");
    limits_submit("ann", "title", 1);
    limits_submit("bob", "title", 1);
    struct claim *claimed = desk_take("p", 10);
    assert_int_equal(lanes_suspect(desk.link, &desk.command, 0, "p", "ann",
                                   claimed->operations[0].operation.id, 3, &desk.err),
                     HEDDLE_OK);
    claim_free(claimed);
    assert_null(desk_take("p", 10));
    assert_true(desk_is_sound());
    assert_int_equal(
        lanes_adopt(desk.link, &desk.command, 0, &request, reasons, cursor, &answer, &desk.err),
        HEDDLE_OK);
    claimed = desk_only(&answer);
    assert_string_equal(claimed->lane.data, "ann");
    assert_null(desk_take("p", 10));
    desk_settle("q", claimed, 0, 1, LANE_RELEASE);
    claim_free(claimed);
    claimed = desk_take("p", 10);
    assert_string_equal(claimed->lane.data, "bob");
    desk_settle("p", claimed, 0, 1, LANE_RELEASE);
    claim_free(claimed);
}

/* Fewer than run: nothing begins until enough have ended. A share that comes wakes who waits. */
static void slots_that_go_are_not_used_again(void **state)
{
    (void)state;
    limits_control("slots", "op:title", "{\"count\":3}");
    limits_share("slots", "op:title", "2", "0");
    for (const char *const *user = (const char *const[]){"ann", "bob", "carl", NULL}; *user; user++)
        limits_submit(*user, "title", 1);
    struct lanes_answer answer = limits_claim(0, "p", 2, 10);
    assert_int_equal(answer.claims.count, 2);
    limits_share("slots", "op:title", "1", "0");
    struct claim *first = claim_list_pop(&answer.claims), *second = claim_list_pop(&answer.claims);
    desk_settle("p", first, 0, 1, LANE_RELEASE);
    claim_free(first);
    assert_null(desk_take("p", 10));
    limits_share("slots", "op:title", "2", "0");
    first = desk_take("p", 10);
    assert_string_equal(first->lane.data, "carl");
    desk_settle("p", first, 0, 1, LANE_RELEASE);
    desk_settle("p", second, 0, 1, LANE_RELEASE);
    claim_free(first);
    claim_free(second);
}

/* Whatever was lost of it, the check finds it. */
static void what_contradicts_itself_is_found(void **state)
{
    (void)state;
    limits_control("slots", "op:title", "{\"count\":1}");
    limits_submit("ann", "title", 1);
    assert_null(desk_take("p", 10));
    redis_reply_free(desk_call("ZREM", "heddle:{0}:line:busy title", "ann", NULL));
    assert_false(desk_is_sound());
    redis_reply_free(desk_call("ZADD", "heddle:{0}:line:busy title", "1", "ann", NULL));
    assert_true(desk_is_sound());
    redis_reply_free(desk_call("ZADD", "heddle:{0}:line:busy title", "1", "bob", NULL));
    assert_false(desk_is_sound());
    redis_reply_free(desk_call("ZREM", "heddle:{0}:line:busy title", "bob", NULL));
    redis_reply_free(desk_call("SADD", "heddle:{0}:busy:title", "bob", NULL));
    assert_false(desk_is_sound());
    redis_reply_free(desk_call("DEL", "heddle:{0}:busy:title", NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, limits_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_op_runs_no_more_often_at_once_than_it_may),
        TEST(a_slot_is_given_back_whatever_becomes_of_its_claim),
        TEST(a_suspect_keeps_its_slot),
        TEST(slots_that_go_are_not_used_again),
        TEST(what_contradicts_itself_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
