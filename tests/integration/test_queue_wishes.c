/* Replies that are wanted: by others than the submitter, of operations that are not there yet, and
 * by nobody any more. */
#include "desk.h"

#include "base/text.h"
#include "queue/check.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define A "00000000-0000-4000-8000-00000000000a"
#define X "00000000-0000-4000-8000-000000000001"

static void submit(const char *id)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"), .op = TEXT("work"), .id = text_of(id)};

    assert_int_equal(desk_submit_as(&submission).status, HEDDLE_OK);
}

static int64_t replies(const char *id)
{
    char key[100];

    snprintf(key, sizeof key, "heddle:{0}:reply:%s", id);
    return desk_number("LLEN", key, NULL);
}

static void settle_with_result(struct claim *claim)
{
    const struct settlement settlement = {.claim = claim, .count = 1, .disposition = LANE_RELEASE};

    desk_end(claim, 0, 1, true);
    desk_settle_as("p", &settlement, NULL, NULL);
}

static void a_result_may_be_wanted_before_during_and_after(void **state)
{
    struct heddle_receipt receipt;
    const struct heddle_text ann = TEXT("ann");

    (void)state;
    assert_int_equal(heddle_client_want(desk.client, ann, A, &receipt, &desk.err), HEDDLE_OK);
    assert_string_equal(receipt.state, "unknown");
    submit(A);
    struct claim *claim = desk_take("p", 1);
    assert_int_equal(heddle_client_want(desk.client, ann, A, &receipt, &desk.err), HEDDLE_OK);
    assert_string_equal(receipt.state, "running");
    settle_with_result(claim);
    claim_free(claim);
    assert_int_equal(replies(A), 2);
    assert_int_equal(heddle_client_want(desk.client, ann, A, &receipt, &desk.err), HEDDLE_OK);
    assert_string_equal(receipt.state, "done");
    assert_int_equal(replies(A), 3);
    assert_int_equal(desk_number("EXISTS", "heddle:{0}:replies", NULL), 0);
}

static void results_of_many_are_wanted_in_one_round_trip(void **state)
{
    const struct heddle_submission submissions[] = {
        {.user = TEXT("ann"), .id = TEXT(A)},
        {.user = TEXT("ann"), .id = TEXT("no id")},
        {.user = TEXT("ann"), .id = TEXT(X)},
    };
    struct heddle_receipt receipts[3];

    (void)state;
    submit(A);
    assert_int_equal(heddle_client_want_many(desk.client, submissions, 3, receipts, &desk.err),
                     HEDDLE_OK);
    assert_int_equal(receipts[0].status, HEDDLE_OK);
    assert_string_equal(receipts[0].state, "queued");
    assert_int_equal(receipts[1].status, HEDDLE_REFUSED);
    assert_int_equal(receipts[2].status, HEDDLE_OK);
    assert_string_equal(receipts[2].id, X);
    assert_string_equal(receipts[2].state, "unknown");
}

static void what_is_not_wanted_any_more_leaves_nothing(void **state)
{
    struct heddle_receipt receipt;

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(heddle_client_want(desk.client, TEXT("ann"), A, &receipt, &desk.err),
                         HEDDLE_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(heddle_client_unwant(desk.client, &receipt, &desk.err), HEDDLE_OK);
    assert_string_equal(desk_keys(), "heddle:partitions heddle:{0}:meta");
}

static void an_id_in_upper_case_is_the_same_id_for_whoever_wants_it(void **state)
{
    struct heddle_receipt receipt;
    char upper[] = A;

    (void)state;
    for (char *c = upper; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    assert_int_equal(heddle_client_want(desk.client, TEXT("ann"), upper, &receipt, &desk.err),
                     HEDDLE_OK);
    assert_string_equal(receipt.id, A);
    assert_int_equal(heddle_client_unwant(desk.client, &receipt, &desk.err), HEDDLE_OK);
    assert_string_equal(desk_keys(), "heddle:partitions heddle:{0}:meta");
}

struct findings {
    int count, mended;
};

static void note(void *argument, const struct queue_finding *finding)
{
    struct findings *findings = argument;

    assert_string_equal(finding->kind, "stray_wish");
    findings->count++;
    findings->mended += finding->is_mended;
}

struct wishes {
    size_t count;
    char id[HEDDLE_ID_SIZE + 1];
};

static void keep(void *argument, unsigned partition, struct heddle_text id)
{
    struct wishes *wishes = argument;

    assert_int_equal(partition, 0);
    wishes->count++;
    strcpy(wishes->id, id.data);
}

/* One of the three: for an operation that is there, for one that has ended, for nothing. */
static void a_reply_that_nobody_would_send_is_sent_or_forgotten(void **state)
{
    struct findings findings = {0};
    struct queue_check check = {.link = desk.link,
                                .partitions = 1,
                                .result_ttl_ms = DESK_TTL_MS,
                                .report = note,
                                .argument = &findings};
    struct wishes wishes = {0};
    struct heddle_receipt receipt;

    (void)state;
    submit(A);
    assert_int_equal(heddle_client_want(desk.client, TEXT("ann"), A, &receipt, &desk.err),
                     HEDDLE_OK);
    assert_int_equal(queue_check_wishes(&check, keep, &wishes, &desk.err), HEDDLE_OK);
    assert_int_equal(wishes.count, 0);
    redis_reply_free(desk_call("HSET", "heddle:{0}:replies", X, "2", NULL));
    assert_int_equal(queue_check_wishes(&check, keep, &wishes, &desk.err), HEDDLE_OK);
    assert_int_equal(wishes.count, 1);
    assert_string_equal(wishes.id, X);

    for (int round = 0; round < 2; round++) {
        check.repairs = round == 1;
        assert_int_equal(queue_check_wish(&check, 0, X, TEXT("{\"n\":1}"), &desk.err), HEDDLE_OK);
    }
    assert_int_equal(findings.count, 2);
    assert_int_equal(findings.mended, 1);
    assert_int_equal(desk_number("LLEN", "heddle:{0}:reply:" X, NULL), 2);
    assert_in_range(desk_number("PTTL", "heddle:{0}:reply:" X, NULL), 1, DESK_TTL_MS);

    redis_reply_free(desk_call("HSET", "heddle:{0}:replies", X, "1", NULL));
    assert_int_equal(queue_check_wish(&check, 0, X, TEXT(""), &desk.err), HEDDLE_OK);
    assert_int_equal(desk_number("LLEN", "heddle:{0}:reply:" X, NULL), 2);
    /* What is wanted rightly stays, whoever asks. */
    assert_int_equal(queue_check_wish(&check, 0, A, TEXT(""), &desk.err), HEDDLE_OK);
    assert_int_equal(findings.count, 3);
    assert_int_equal(desk_number("HLEN", "heddle:{0}:replies", NULL), 1);
    assert_int_equal(heddle_client_unwant(desk.client, &receipt, &desk.err), HEDDLE_OK);
}

/* A wish has an end of its own while Redis has not heard of the operation. */
static void a_wish_whose_client_died_ends_by_itself(void **state)
{
    struct heddle_receipt receipt;

    (void)state;
    assert_int_equal(heddle_client_want(desk.client, TEXT("ann"), X, &receipt, &desk.err),
                     HEDDLE_OK);
    assert_int_equal(desk_number("EXISTS", "heddle:{0}:replies", NULL), 0);
    assert_in_range(desk_number("PTTL", "heddle:{0}:wish:" X, NULL), 1, 3600000);
    assert_true(desk_is_sound());
    redis_reply_free(desk_call("PERSIST", "heddle:{0}:wish:" X, NULL));
    assert_false(desk_is_sound());
    redis_reply_free(desk_call("DEL", "heddle:{0}:wish:" X, NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_result_may_be_wanted_before_during_and_after),
        TEST(results_of_many_are_wanted_in_one_round_trip),
        TEST(what_is_not_wanted_any_more_leaves_nothing),
        TEST(an_id_in_upper_case_is_the_same_id_for_whoever_wants_it),
        TEST(a_wish_whose_client_died_ends_by_itself),
        TEST(a_reply_that_nobody_would_send_is_sent_or_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
