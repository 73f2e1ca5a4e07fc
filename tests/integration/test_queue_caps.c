/* Caps in one partition: no more is queued than may be, one that is refused keeps no other back,
 * what ends makes room, and nothing stays behind. The functions of heddle.lua, called directly. */
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

static struct heddle_submission submission_of(const char *user, const char *op, const char *id,
                                              enum heddle_priority priority)
{
    return (struct heddle_submission){
        .user = text_of(user), .op = text_of(op), .id = text_of(id), .flow.priority = priority};
}

static void refused_of(const char *user, const char *op, enum heddle_priority priority,
                       const char *expected)
{
    const struct heddle_submission submission = submission_of(user, op, "", priority);
    struct heddle_receipt receipt = desk_submit_as(&submission);

    assert_int_equal(receipt.status, HEDDLE_RETRY);
    assert_int_equal(receipt.error.kind, HEDDLE_KIND_TOO_LARGE);
    if (strncmp(receipt.error.text, "full: ", 6) != 0 || !strstr(receipt.error.text, expected))
        fail_msg("wanted '%s': %s", expected, receipt.error.text);
}

static void refused(const char *user, const char *op, const char *expected)
{
    refused_of(user, op, HEDDLE_PRIORITY_NORMAL, expected);
}

static void accepted(const char *user, const char *op, const char *id)
{
    const struct heddle_submission submission = submission_of(user, op, id, HEDDLE_PRIORITY_NORMAL);
    struct heddle_receipt receipt = desk_submit_as(&submission);

    if (receipt.status != HEDDLE_OK)
        fail_msg("%s", receipt.error.text);
}

/* Claims and ends so many operations of a lane. */
static void end(const char *processor, int count)
{
    struct claim *claim = desk_take(processor, count);

    assert_int_equal(claim->operation_count, count);
    desk_settle(processor, claim, 0, (size_t)count, LANE_RELEASE);
    claim_free(claim);
}

static void a_user_has_as_many_as_it_may_and_others_have_theirs(void **state)
{
    (void)state;
    limits_control("cap", "users", "{\"count\":3}");
    limits_control("cap", "user:bob", "{\"count\":5}");
    limits_submit("ann", "work", 2);
    const struct heddle_submission urgent =
        submission_of("ann", "mail", "", HEDDLE_PRIORITY_INTERACTIVE);
    desk_submit_as(&urgent);
    refused("ann", "work", "the user has 3 of 3 queued");
    limits_submit("bob", "work", 5);
    refused("bob", "work", "the user has 5 of 5 queued");
    limits_control("cap", "user:bob", "");
    refused("bob", "work", "the user has 5 of 3 queued");
    limits_control("cap", "users", "");
    limits_submit("bob", "work", 1);
}

/* Of five the first three have room, one of which is there already, and the last is not hindered.
 */
static void of_many_those_that_have_room_are_accepted(void **state)
{
    static const char id[] = "00000000-0000-4000-8000-000000000001";

    (void)state;
    limits_control("cap", "users", "{\"count\":3}");
    limits_submit("ann", "work", 1);
    accepted("ann", "work", id);
    const struct heddle_submission submissions[] = {
        submission_of("ann", "work", "", HEDDLE_PRIORITY_NORMAL),
        submission_of("ann", "work", id, HEDDLE_PRIORITY_NORMAL),
        submission_of("ann", "work", "", HEDDLE_PRIORITY_NORMAL),
        submission_of("ann", "work", "", HEDDLE_PRIORITY_INTERACTIVE),
        submission_of("bob", "work", "", HEDDLE_PRIORITY_NORMAL),
    };
    struct heddle_receipt receipts[5];
    assert_int_equal(heddle_client_submit(desk.client, submissions, 5, receipts, &desk.err),
                     HEDDLE_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(receipts[i].status, i == 2 || i == 3 ? HEDDLE_RETRY : HEDDLE_OK);
    assert_string_equal(receipts[3].error.text, "full: the user has 3 of 3 queued");
    assert_int_equal(desk_number("LLEN", "heddle:{0}:lane:ann", NULL), 3);
    assert_int_equal(desk_number("LLEN", "heddle:{0}:lane:bob", NULL), 1);
    accepted("ann", "work", id);
    /* Nor is what the journal has accepted. */
    redis_reply_free(desk_call("FCALL", "heddle_submit", "1", "heddle:{0}", "ann", "work", "", "{}",
                               "id", "00000000-0000-4000-8000-000000000002", "journal", "1", NULL));
    assert_int_equal(desk_number("LLEN", "heddle:{0}:lane:ann", NULL), 4);
}

static void an_op_is_counted_with_those_that_were_there_before(void **state)
{
    (void)state;
    limits_submit("ann", "mail", 2);
    limits_submit("ann", "work", 2);
    limits_control("cap", "op:mail", "{\"count\":3}");
    /* Its share is not known yet. */
    limits_submit("bob", "mail", 1);
    limits_share("cap", "op:mail", "4", "0");
    struct claim *claim = desk_take("p", 2); /* which counts the old ones */
    assert_int_equal(desk_number("HGET", "heddle:{0}:counts", "mail", NULL), 3);
    limits_submit("carl", "mail", 1);
    refused("carl", "mail", "op mail has 4 of 4 queued here, 3 are allowed in all");
    limits_submit("carl", "work", 1);
    AUTO_REPLY asked = desk_call("FCALL", "heddle_shares", "1", "heddle:{0}", "100", "cap",
                                 "op:mail", "", "0", NULL);
    assert_int_equal(redis_reply_integer(redis_reply_at(asked, 2)), 4); /* used */
    assert_int_equal(redis_reply_integer(redis_reply_at(asked, 3)), 1); /* refused */
    desk_settle("p", claim, 0, 2, LANE_RELEASE);
    claim_free(claim);
    limits_submit("carl", "mail", 2);
    refused("carl", "mail", "op mail has 4 of 4 queued here, 3 are allowed in all");
    limits_control("cap", "op:mail", "");
    limits_submit("carl", "mail", 1);
    desk_release("p");
}

static void all_that_there_is_counts_until_it_has_ended(void **state)
{
    (void)state;
    limits_control("cap", "all", "{\"count\":100}");
    limits_share("cap", "all", "3", "0");
    limits_control("cap", "op:mail", "{\"count\":100}");
    limits_submit("ann", "mail", 3);
    refused("bob", "work", "everything has 3 of 3 queued here, 100 are allowed in all");
    end("p", 2);
    limits_submit("ann", "work", 2);
    refused("bob", "work", "everything has 3 of 3 queued here, 100 are allowed in all");
    /* Lower, and the share goes along. */
    limits_control("cap", "all", "{\"count\":50}");
    refused("bob", "work", "everything has 3 of 1 queued here, 50 are allowed in all");
    end("p", 3);
    limits_submit("bob", "mail", 1);
    end("p", 1);
    limits_control("cap", "op:mail", "");
    limits_control("cap", "all", "");
    limits_assert_nothing_left();
}

static void bulk_is_refused_when_memory_runs_low(void **state)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"), .op = TEXT("work"), .flow.priority = HEDDLE_PRIORITY_BULK};
    char text[24];

    (void)state;
    AUTO_REPLY info = desk_call("INFO", "memory", NULL);
    long long used = strtoll(
        strstr(redis_reply_text(info).data, "used_memory:") + strlen("used_memory:"), NULL, 10);
    desk_submit_as(&submission);
    snprintf(text, sizeof text, "%lld", used * 100 / 85);
    redis_reply_free(desk_call("CONFIG", "SET", "maxmemory", text, NULL));
    limits_control("cap", "bulk", "{\"count\":50}");
    clock_sleep_ms(110);
    refused_of("ann", "work", HEDDLE_PRIORITY_BULK, "Redis has used ");
    limits_submit("ann", "work", 1);
    limits_control("cap", "bulk", "");
    desk_submit_as(&submission);
    redis_reply_free(desk_call("CONFIG", "SET", "maxmemory", "0", NULL));
    end("p", 3);
    limits_assert_nothing_left();
}

static void a_count_of_what_is_gone_is_mended(void **state)
{
    (void)state;
    limits_control("cap", "op:mail", "{\"count\":3}");
    limits_submit("ann", "mail", 2);
    assert_int_equal(desk_number("HGET", "heddle:{0}:counts", "mail", NULL), 2);
    redis_reply_free(desk_call("DEL", "heddle:{0}:ops", "heddle:{0}:lane:ann", NULL));
    redis_reply_free(desk_call("DEL", "heddle:{0}:ready", NULL));
    AUTO_REPLY told =
        desk_call("FCALL", "heddle_check_members", "1", "heddle:{0}", "counted", "0", "1", NULL);
    assert_int_equal(redis_reply_count(told), 5);
    assert_string_equal(redis_reply_text(redis_reply_at(told, 2)).data, "stray_count");
    limits_control("cap", "op:mail", "");
    limits_assert_nothing_left();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, limits_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_user_has_as_many_as_it_may_and_others_have_theirs),
        TEST(of_many_those_that_have_room_are_accepted),
        TEST(an_op_is_counted_with_those_that_were_there_before),
        TEST(all_that_there_is_counts_until_it_has_ended),
        TEST(a_count_of_what_is_gone_is_mended),
        TEST(bulk_is_refused_when_memory_runs_low),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
