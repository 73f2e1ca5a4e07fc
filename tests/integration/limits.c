/* See limits.h. */
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

enum { BEGUN_MAX = 1000 };

struct limits_record limits_record;

static int epoch; /* of the last shares */

/* When operations were handed out: not before, and not after. */
static struct {
    int64_t from_us, to_us;
} begun[BEGUN_MAX];

static int64_t redis_now_us(void);

int limits_set_up(void **state)
{
    epoch = 0;
    limits_record = (struct limits_record){0};
    return desk_set_up(state);
}

void limits_control(const char *kind, const char *target, const char *value)
{
    char from[24], to[24];
    AUTO_REPLY reply = desk_call("HGET", "heddle:{0}:meta", "controls", NULL);
    const long long known = redis_reply_integer(reply);

    snprintf(from, sizeof from, "%lld", known);
    snprintf(to, sizeof to, "%lld", known + 1);
    assert_int_equal(desk_number("FCALL", "heddle_control", "1", "heddle:{0}", from, to, "1", to,
                                 kind, target, value, NULL),
                     known + 1);
}

void limits_rate(const char *target, int rate, int burst)
{
    char value[100];

    snprintf(value, sizeof value, "{\"count\":%d,\"period_us\":1000000,\"burst\":%d}", rate, burst);
    limits_control("rate", target, value);
}

int64_t limits_share(const char *kind, const char *target, const char *amount, const char *credit)
{
    char number[12];

    snprintf(number, sizeof number, "%d", ++epoch);
    AUTO_REPLY reply = desk_call("FCALL", "heddle_shares", "1", "heddle:{0}", number, kind, target,
                                 amount, credit, NULL);
    assert_int_equal(redis_reply_integer(redis_reply_at(reply, 0)), 1);
    assert_int_equal(redis_reply_integer(redis_reply_at(reply, 1)), atoi(amount));
    return redis_reply_integer(redis_reply_at(reply, 5));
}

void limits_submit(const char *user, const char *op, int count)
{
    const struct heddle_submission submission = {
        .user = text_of(user), .op = text_of(op), .payload = TEXT("")};

    for (int i = 0; i < count; i++)
        desk_submit_as(&submission);
}

struct lanes_answer limits_claim(unsigned partition, const char *processor, int lanes,
                                 int operations)
{
    const struct lanes_request request = desk_request(processor, lanes, operations);
    const int64_t from_us = redis_now_us();
    struct lanes_answer answer = desk_claim_by(partition, &request);
    const int64_t to_us = redis_now_us();

    limits_record.calls++;
    for (struct claim *c = answer.claims.first; c; c = c->next)
        for (size_t i = 0; i < c->operation_count; i++) {
            assert_in_range(limits_record.begun, 0, BEGUN_MAX - 1);
            begun[limits_record.begun].from_us = from_us;
            begun[limits_record.begun++].to_us = to_us;
        }
    return answer;
}

void limits_drain(size_t count, int lanes, int operations)
{
    while (limits_record.begun < count) {
        assert_true(limits_record.calls < LIMITS_CALLS_MAX);
        struct lanes_answer answer = limits_claim(0, "p", lanes, operations);
        for (struct claim *c = answer.claims.first, *next; c; c = next) {
            next = c->next;
            desk_settle("p", c, 0, c->operation_count, LANE_RELEASE);
            claim_free(c);
        }
        if (answer.claims.count == 0) {
            assert_true(answer.next_due_ms >= 0);
            clock_sleep_ms((int)answer.next_due_ms);
        }
    }
    assert_int_equal(limits_record.begun, count);
}

void limits_assert_rate(double per_us, int burst)
{
    for (size_t i = 0; i < limits_record.begun; i++)
        for (size_t j = i; j < limits_record.begun; j++) {
            const double most = burst + per_us * (double)(begun[j].to_us - begun[i].from_us);
            if ((double)(j - i + 1) > most + 0.001)
                fail_msg("%zu began within %lld us", j - i + 1,
                         (long long)(begun[j].to_us - begun[i].from_us));
        }
}

void limits_assert_reason(const char *lane, const char *expected)
{
    AUTO_REPLY reply = desk_call("HGET", "heddle:{0}:waits", lane, NULL);
    assert_string_equal(redis_reply_text(reply).data, expected);
}

void limits_assert_nothing_left(void)
{
    struct lanes_answer answer;

    clock_sleep_ms(60);
    answer = desk_claim("p", 10, 10);
    assert_int_equal(answer.claims.count, 0);
    desk_beat("p", DESK_LEASE_MS);
    assert_string_equal(desk_keys(), "heddle:partitions heddle:{0}:beats heddle:{0}:idle "
                                     "heddle:{0}:meta");
    assert_int_equal(desk_number("HEXISTS", "heddle:{0}:meta", "rules", NULL), 0);
}

static int64_t redis_now_us(void)
{
    AUTO_REPLY reply = desk_call("TIME", NULL);

    return redis_reply_integer(redis_reply_at(reply, 0)) * 1000000 +
           redis_reply_integer(redis_reply_at(reply, 1));
}
