/* Limits of the whole fleet, over several partitions, with real servers: whatever is asked where,
 * no more begins than may in all, all of it comes to its turn, and each user's order is kept. */
#include "fixture.h"
#include "limits.h"

#include "base/clock.h"
#include "base/text.h"
#include "engine/controls.h"
#include "engine/shares.h"
#include "queue/partitions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PARTITIONS = 4, USERS_MAX = 64, ROUNDS_MAX = 5000 };

static struct pg_link *ledger;
static int next_of[USERS_MAX]; /* payload of each user's next operation */
static struct claim_list running;

static int set_up(void **state)
{
    fixture_migrate();
    tell("truncate heddle.controls");
    const struct pg_options options = fixture_pg_options("balance");
    ledger = fixture_pg(&options);
    memset(next_of, 0, sizeof next_of);
    claim_list_init(&running);
    int result = limits_set_up(state);
    desk_install(PARTITIONS);
    return result;
}

static int tear_down(void **state)
{
    pg_free(ledger);
    return desk_tear_down(state);
}

static bool balance(void)
{
    bool is_contended = false;

    if (controls_spread(ledger, desk.link, PARTITIONS, &desk.err) != HEDDLE_OK ||
        shares_balance(ledger, desk.link, PARTITIONS, &is_contended, &desk.err) != HEDDLE_OK)
        fail_msg("%s", desk.err.text);
    return is_contended;
}

/* The nth user of a partition: its name is its number. */
static int user_of(unsigned partition, int n)
{
    for (int user = 0; user < USERS_MAX; user++) {
        char name[12];
        snprintf(name, sizeof name, "%d", user);
        int64_t hash = desk_number("EVAL", "return tonumber(redis.sha1hex(ARGV[1]):sub(1,4),16)",
                                   "0", name, NULL);
        if (hash % PARTITIONS == partition && n-- == 0)
            return user;
    }
    fail_msg("partition %u has too few users", partition);
    return -1;
}

static void submit(int user, int first, int count)
{
    char name[12], payload[12];

    snprintf(name, sizeof name, "%d", user);
    for (int i = first; i < first + count; i++) {
        snprintf(payload, sizeof payload, "%d", i);
        const struct heddle_submission submission = {
            .user = text_of(name), .op = TEXT("mail"), .payload = text_of(payload)};
        desk_submit_as(&submission);
    }
}

/* Claims from a partition; what is claimed runs until end_one. */
static void begin(unsigned partition, const char *processor)
{
    struct lanes_answer answer = limits_claim(partition, processor, 8, 8);

    for (struct claim *c; (c = claim_list_pop(&answer.claims));) {
        for (size_t i = 0; i < c->operation_count; i++) {
            int *next = &next_of[atoi(c->lane.data)];
            assert_int_equal(atoi(c->operations[i].operation.payload.data), *next);
            ++*next;
        }
        claim_list_push(&running, c);
    }
}

static void end_one(const char *processor)
{
    struct claim *claim = claim_list_pop(&running);

    if (!claim)
        return;
    desk_settle(processor, claim, 0, claim->operation_count, LANE_RELEASE);
    claim_free(claim);
}

/* All in one partition, then all in another, then everywhere. */
static void a_rate_holds_in_the_fleet_whatever_is_asked_where(void **state)
{
    size_t submitted = 0;
    int given[USERS_MAX] = {0};

    (void)state;
    tell("select heddle.set_limit(op => 'mail', rate => '500/s', burst => 6)");
    balance();
    for (int phase = 0; phase < 3; phase++) {
        for (unsigned p = 0; p < PARTITIONS; p++)
            for (int n = 0; n < 3 && (phase == 2 || p == (unsigned)(2 * phase)); n++) {
                int user = user_of(p, n);
                submit(user, given[user], 8);
                given[user] += 8;
                submitted += 8;
            }
        for (int round = 0; limits_record.begun < submitted; round++) {
            assert_true(round < ROUNDS_MAX);
            for (unsigned p = 0; p < PARTITIONS; p++)
                begin((p + (unsigned)round) % PARTITIONS, "p");
            while (running.count > 0)
                end_one("p");
            if (round % 4 == 0)
                balance();
            clock_sleep_ms(1);
        }
    }
    limits_assert_rate(500e-6, 6);
    tell("select heddle.remove_limit(op => 'mail')");
    balance();
}

/* More partitions than slots, and processors that die. */
static void no_more_run_at_once_than_may_in_the_fleet(void **state)
{
    static const char *const processors[] = {"p", "q"};
    size_t ended = 0, submitted = 0;

    (void)state;
    tell("select heddle.set_limit(op => 'mail', concurrency => 3)");
    balance();
    for (unsigned p = 0; p < PARTITIONS; p++)
        for (int n = 0; n < 4; n++, submitted += 3)
            submit(user_of(p, n), 0, 3);
    for (int round = 0; ended < submitted; round++) {
        const char *processor = processors[round % 2];
        assert_true(round < ROUNDS_MAX);
        for (unsigned p = 0; p < PARTITIONS; p++)
            begin(p, processor);
        assert_in_range(running.count, 0, 3);
        if (round % 5 == 2) {
            /* It dies; what it had comes again, to whoever comes next. */
            for (struct claim *claim; (claim = claim_list_pop(&running)); claim_free(claim))
                next_of[atoi(claim->lane.data)]--;
            assert_int_equal(
                lanes_release(desk.link, &desk.command, PARTITIONS, processor, &desk.err),
                HEDDLE_OK);
        } else {
            balance();
            assert_in_range(running.count, 0, 3);
            for (ended += running.count; running.count > 0;)
                end_one(processor);
        }
    }
    assert_int_equal(ended, submitted);
    tell("select heddle.remove_limit(op => 'mail')");
    balance();
}

static void while_shares_move_those_in_use_are_counted(void **state)
{
    (void)state;
    tell("select heddle.set_limit(op => 'mail', concurrency => 2)");
    balance();
    const int here = user_of(0, 0), there = user_of(1, 0), third = user_of(2, 0);
    submit(here, 0, 1);
    submit(user_of(0, 1), 0, 1);
    begin(0, "p");
    assert_true(balance() || running.count == 2);
    begin(0, "p");
    assert_int_equal(running.count, 2);
    submit(there, 0, 1);
    submit(third, 0, 1);
    for (int i = 0; i < 3; i++) {
        begin(1, "p");
        begin(2, "p");
        assert_int_equal(running.count, 2);
        balance();
    }
    end_one("p");
    balance();
    begin(1, "p");
    begin(2, "p");
    assert_int_equal(running.count, 2);
    /* The limit falls while all of it is in use. */
    tell("select heddle.set_limit(op => 'mail', concurrency => 1)");
    balance();
    end_one("p");
    balance();
    begin(1, "p");
    begin(2, "p");
    assert_int_equal(running.count, 1);
    for (int i = 0; i < 4; i++) {
        end_one("p");
        balance();
        begin(1, "p");
        begin(2, "p");
        assert_in_range(running.count, 0, 1);
    }
    assert_int_equal(limits_record.begun, 4);
    tell("select heddle.remove_limit(op => 'mail')");
    balance();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int finish(void **state)
{
    (void)state;
    fixture_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_rate_holds_in_the_fleet_whatever_is_asked_where),
        TEST(no_more_run_at_once_than_may_in_the_fleet),
        TEST(while_shares_move_those_in_use_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
