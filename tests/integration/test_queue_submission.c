/* Submission: what gets into a lane, and what it is called. The functions of heddle.lua, directly
 * and through heddle/client.h. */
#include "desk.h"

#include "base/digest.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0c3f5d0e-7a37-4b7e-9d4a-1a2b3c4d5e6f"
#define SUBMIT "FCALL", "heddle_submit", "0"

static char *repeat(const char *piece, size_t count)
{
    char *text = malloc(strlen(piece) * count + 1), *end = text;

    *end = '\0';
    for (size_t i = 0; i < count; i++)
        end = stpcpy(end, piece);
    return text;
}

static void assert_nothing_queued(void)
{
    assert_int_equal(desk_number("HLEN", "heddle:{0}:ops", NULL), 0);
    assert_string_equal(desk_keys(), "heddle:partitions heddle:{0}:meta");
}

static void names_and_sizes_are_checked_and_nothing_of_a_bad_one_is_kept(void **state)
{
    char *user = repeat("é", 129), *op = repeat("a", 65),
         *payload = repeat("x", DESK_PAYLOAD_MAX + 1);

    (void)state;
    desk_refused("user", SUBMIT, "", "work", "", "{}", NULL);
    desk_refused("user", SUBMIT, user, "work", "", "{}", NULL);
    desk_refused("user", SUBMIT, "a\xFF", "work", "", "{}", NULL);
    desk_refused("op", SUBMIT, "ann", "", "", "{}", NULL);
    desk_refused("op", SUBMIT, "ann", op, "", "{}", NULL);
    desk_refused("op", SUBMIT, "ann", "Work", "", "{}", NULL);
    desk_refused("op", SUBMIT, "ann", "work\n", "", "{}", NULL);
    desk_refused("thread", SUBMIT, "ann", "work", op, "{}", NULL);
    desk_refused("thread", SUBMIT, "ann", "work", "\xED\xA0\x80", "{}", NULL);
    desk_refused("payload", SUBMIT, "ann", "work", "", payload, NULL);
    desk_refused("UUID", SUBMIT, "ann", "work", "", "{}", "id", "x", NULL);
    desk_refused("reply", SUBMIT, "ann", "work", "", "{}", "reply", "yes", NULL);
    desk_refused("unknown option", SUBMIT, "ann", "work", "", "{}", "colour", "red", NULL);
    desk_refused("expected", SUBMIT, "ann", "work", "", "{}", "id", NULL);
    desk_refused("expected", SUBMIT, "ann", "work", NULL);
    desk_refused("key", "FCALL", "heddle_submit", "1", "heddle:0", "ann", "work", "", "{}", NULL);
    assert_nothing_queued();
    free(user);
    free(op);
    free(payload);
}

static void the_largest_of_everything_is_taken(void **state)
{
    char *user = repeat("é", 128), *op = repeat("a", 64), *thread = repeat("é", 32);
    char *payload = repeat("x", DESK_PAYLOAD_MAX);

    (void)state;
    redis_reply_free(desk_call(SUBMIT, user, op, thread, payload, NULL));
    struct claim *claim = desk_take("p", 1);
    assert_string_equal(claim->operations[0].operation.user.data, user);
    assert_string_equal(claim->operations[0].operation.op.data, op);
    assert_string_equal(claim->operations[0].operation.thread.data, thread);
    assert_string_equal(claim->operations[0].operation.payload.data, payload);
    claim_free(claim);
    free(user);
    free(op);
    free(thread);
    free(payload);
}

static void what_a_user_wrote_never_stands_in_an_error(void **state)
{
    (void)state;
    desk_refused("user", SUBMIT, "s3cret\xFF", "work", "", "{}", NULL);
    assert_null(strstr(desk.err.text, "s3cret"));
    desk_refused("op", SUBMIT, "ann", "s3cret!", "", "{}", NULL);
    assert_null(strstr(desk.err.text, "s3cret"));
    desk_refused("option", SUBMIT, "ann", "work", "", "{}", "s3cret", "s3cret", NULL);
    assert_null(strstr(desk.err.text, "s3cret"));
}

static struct heddle_receipt submit_id(const char *id, const char *user, const char *op,
                                       const char *thread, const char *payload)
{
    const struct heddle_submission submission = {.user = text_of(user),
                                                 .op = text_of(op),
                                                 .thread = text_of(thread),
                                                 .payload = text_of(payload),
                                                 .id = text_of(id)};

    return desk_submit_as(&submission);
}

static void the_same_id_with_the_same_content_is_one_operation(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct heddle_receipt receipt = submit_id(ID, "ann", "work", "t", "{\"n\":1}");
        assert_int_equal(receipt.status, HEDDLE_OK);
        assert_string_equal(receipt.id, ID);
        assert_string_equal(receipt.state, "queued");
    }
    /* Upper case is the same id. */
    assert_int_equal(
        submit_id("0C3F5D0E-7A37-4B7E-9D4A-1A2B3C4D5E6F", "ann", "work", "t", "{\"n\":1}").status,
        HEDDLE_OK);
    desk_assert_state("ann", "1 ready");
}

static void the_same_id_with_other_content_is_a_conflict(void **state)
{
    static const struct {
        const char *user, *op, *thread, *payload;
    } others[] = {
        {"bob", "work", "t", "{\"n\":1}"}, {"ann", "works", "t", "{\"n\":1}"},
        {"ann", "work", "", "{\"n\":1}"},  {"ann", "work", "t", "{\"n\":2}"},
        {"ann", "work", "t", ""},          {"ann", "workt", "", "{\"n\":1}"},
    };

    (void)state;
    assert_int_equal(submit_id(ID, "ann", "work", "t", "{\"n\":1}").status, HEDDLE_OK);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct heddle_receipt receipt =
            submit_id(ID, others[i].user, others[i].op, others[i].thread, others[i].payload);
        assert_int_equal(receipt.status, HEDDLE_REFUSED);
        assert_int_equal(receipt.error.kind, HEDDLE_KIND_CONFLICT);
    }
    assert_int_equal(desk_number("HLEN", "heddle:{0}:ops", NULL), 1);
    desk_assert_state("ann", "1 ready");
    desk_assert_state("bob", "gone");
}

static void a_wrong_partition_is_refused(void **state)
{
    enum { PARTITIONS = 16 };
    char key[32];

    (void)state;
    desk_install(PARTITIONS);
    unsigned own = digest_partition(TEXT("ann"), PARTITIONS);
    for (unsigned p = 0; p < PARTITIONS; p++) {
        snprintf(key, sizeof key, "heddle:{%u}", p);
        if (p == own)
            redis_reply_free(
                desk_call("FCALL", "heddle_submit", "1", key, "ann", "work", "", "{}", NULL));
        else
            desk_refused("another partition", "FCALL", "heddle_submit", "1", key, "ann", "work", "",
                         "{}", NULL);
    }
    /* A partition that there is not is not made by asking for it. */
    struct redis_reply *reply = NULL;
    assert_int_equal(redis_callf(desk.link, &reply, &desk.err, "FCALL", "heddle_submit", "1",
                                 "heddle:{99}", "ann", "work", "", "{}", NULL),
                     HEDDLE_FATAL);
    assert_int_equal(desk_number("EXISTS", "heddle:{99}:meta", "heddle:{99}:ops", NULL), 0);
}

static void of_many_each_gets_its_answer_in_their_order(void **state)
{
    enum { COUNT = 7 };
    static const struct heddle_submission submissions[COUNT] = {
        {.user = TEXT("ann"), .op = TEXT("work"), .payload = TEXT("{\"n\":0}")},
        {.user = TEXT("ann"), .op = TEXT("BAD"), .payload = TEXT("{}")},
        {.user = TEXT("bob"), .op = TEXT("work"), .id = TEXT(ID), .reply = true},
        {.user = TEXT("ann"), .op = TEXT("work"), .payload = TEXT("{\"n\":1}")},
        {.user = TEXT("bob"), .op = TEXT("work"), .id = TEXT(ID)},
        {.user = TEXT("bob"), .op = TEXT("other"), .id = TEXT(ID)},
        {.user = TEXT("ann"), .op = TEXT("work"), .payload = TEXT("{\"n\":2}")},
    };
    static const heddle_status statuses[COUNT] = {HEDDLE_OK, HEDDLE_REFUSED, HEDDLE_OK, HEDDLE_OK,
                                                  HEDDLE_OK, HEDDLE_REFUSED, HEDDLE_OK};
    struct heddle_receipt receipts[COUNT];

    (void)state;
    assert_int_equal(heddle_client_submit(desk.client, submissions, COUNT, receipts, &desk.err),
                     HEDDLE_OK);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(receipts[i].status, statuses[i]);
    assert_int_equal(receipts[1].error.kind, HEDDLE_KIND_INVALID);
    assert_int_equal(receipts[5].error.kind, HEDDLE_KIND_CONFLICT);
    const char *const ids[] = {receipts[0].id, receipts[3].id, receipts[6].id};
    desk_assert_lane("ann", 3, ids);
    desk_assert_state("bob", "1 ready");
}

static void a_call_with_many_is_refused_as_a_whole_where_it_makes_no_sense(void **state)
{
    enum { MANY = 257, WORDS = 4 + 5 * MANY };
    static const char *words[WORDS] = {"FCALL", "heddle_submit_many", "1", "heddle:{0}"};
    static size_t sizes[WORDS];
    struct redis_reply *reply = NULL;

    (void)state;
    desk_refused("expected", "FCALL", "heddle_submit_many", "1", "heddle:{0}", "ann", "work", "",
                 "{}", "1", "id", NULL);
    desk_refused("expected", "FCALL", "heddle_submit_many", "1", "heddle:{0}", "ann", "work", "",
                 "{}", "-1", NULL);
    desk_refused("expected", "FCALL", "heddle_submit_many", "1", "heddle:{0}", "ann", "work", "",
                 "{}", "0", "bob", NULL);
    desk_refused("key", "FCALL", "heddle_submit_many", "0", NULL);
    for (int i = 0; i < MANY; i++) {
        static const char *const one[] = {"ann", "work", "", "{}", "0"};
        memcpy(&words[4 + 5 * i], one, sizeof one);
    }
    for (size_t i = 0; i < WORDS; i++)
        sizes[i] = strlen(words[i]);
    assert_int_equal(redis_call(desk.link, WORDS, words, sizes, &reply, &desk.err), HEDDLE_REFUSED);
    assert_nothing_queued();
    assert_int_equal(redis_call(desk.link, WORDS - 5, words, sizes, &reply, &desk.err), HEDDLE_OK);
    assert_int_equal(redis_reply_count(reply), MANY - 1);
    redis_reply_free(reply);
    desk_assert_state("ann", "256 ready");
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void ids_are_unique_and_carry_their_partition(void **state)
{
    enum { COUNT = 100000, BATCH = 10000, USERS = 500, PARTITIONS = 64 };
    static char names[USERS][16];
    struct heddle_submission *submissions = calloc(COUNT, sizeof *submissions);
    struct heddle_receipt *receipts = calloc(COUNT, sizeof *receipts);
    const char **ids = calloc(COUNT, sizeof *ids);

    (void)state;
    desk_install(PARTITIONS);
    for (size_t i = 0; i < USERS; i++)
        snprintf(names[i], sizeof names[i], "user-%zu", i);
    for (size_t i = 0; i < COUNT; i++)
        submissions[i] =
            (struct heddle_submission){.user = text_of(names[i % USERS]), .op = TEXT("work")};
    for (size_t i = 0; i < COUNT; i += BATCH) {
        assert_int_equal(
            heddle_client_submit(desk.client, submissions + i, BATCH, receipts + i, &desk.err),
            HEDDLE_OK);
        /* As after a failover, the counter of ids is forgotten. */
        redis_reply_free(desk_call("SCRIPT", "FLUSH", NULL));
    }
    for (size_t i = 0; i < COUNT; i++) {
        char digits[4] = {0};
        assert_int_equal(receipts[i].status, HEDDLE_OK);
        assert_true(heddle_is_uuid(receipts[i].id, strlen(receipts[i].id)));
        assert_int_equal(receipts[i].id[14], '8');
        assert_non_null(strchr("89ab", receipts[i].id[19]));
        memcpy(digits, receipts[i].id + 20, 3);
        unsigned partition = digest_partition(submissions[i].user, PARTITIONS);
        assert_int_equal(strtoul(digits, NULL, 16), partition);
        assert_int_equal(receipts[i].partition, partition);
        ids[i] = receipts[i].id;
    }
    qsort(ids, COUNT, sizeof *ids, compare_ids);
    for (size_t i = 1; i < COUNT; i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
    free(ids);
    free(receipts);
    free(submissions);
}

static void an_operation_is_found_by_its_id_alone(void **state)
{
    char name[16], *result = NULL;

    (void)state;
    desk_install(16);
    const char *own = desk_submit("ann", "{}");
    assert_int_equal(submit_id(ID, "bob", "work", "", "{}").status, HEDDLE_OK);
    /* One of ours, a foreign one, and one that nobody has heard of. */
    const char *const ids[] = {own, ID, "0c3f5d0e-7a37-4b7e-9d4a-1a2b3c4d5e60"};
    const char *const states[] = {"queued", "queued", "unknown"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            heddle_client_status(desk.client, TEXT(""), ids[i], name, &result, &desk.err),
            HEDDLE_OK);
        assert_string_equal(name, states[i]);
        assert_null(result);
    }
}

struct delivery {
    size_t count;
    char seen[4][40];
};

static void take(void *argument, size_t index, const char *json, size_t size)
{
    struct delivery *delivery = argument;

    assert_int_equal(index, delivery->count);
    snprintf(delivery->seen[delivery->count++], 40, "%.*s", (int)size, json ? json : "");
    if (!json)
        snprintf(delivery->seen[index], 40, "nothing");
}

static void results_are_awaited_in_the_order_of_the_receipts(void **state)
{
    static const struct heddle_submission submissions[3] = {
        {.user = TEXT("ann"), .op = TEXT("work"), .reply = true},
        {.user = TEXT("bob"), .op = TEXT("work"), .reply = true},
        {.user = TEXT("cid"), .op = TEXT("work"), .reply = true}};
    struct heddle_receipt receipts[3];
    struct delivery delivery = {0};
    size_t next;

    (void)state;
    assert_int_equal(heddle_client_submit(desk.client, submissions, 3, receipts, &desk.err),
                     HEDDLE_OK);
    /* The second and the third end, the first does not. */
    struct lanes_answer answer = desk_claim("p", 3, 1);
    for (struct claim *claim = answer.claims.first->next; claim; claim = claim->next)
        desk_settle("p", claim, 0, 1, LANE_RELEASE);
    desk_drop(&answer);
    assert_int_equal(heddle_client_await_many(desk.client, receipts + 1, 2, 10000, take, &delivery,
                                              &next, &desk.err),
                     HEDDLE_OK);
    assert_string_equal(delivery.seen[0], "{\"n\":0}");
    assert_string_equal(delivery.seen[1], "{\"n\":0}");
    assert_int_equal(next, 2);
    delivery.count = 0;
    assert_int_equal(
        heddle_client_await_many(desk.client, receipts, 3, 50, take, &delivery, &next, &desk.err),
        HEDDLE_OK);
    assert_int_equal(delivery.count, 3);
    assert_string_equal(delivery.seen[0], "nothing");
    /* The connection is fit for the next question. */
    assert_int_equal(submit_id(ID, "ann", "work", "", "").status, HEDDLE_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_and_sizes_are_checked_and_nothing_of_a_bad_one_is_kept),
        TEST(the_largest_of_everything_is_taken),
        TEST(what_a_user_wrote_never_stands_in_an_error),
        TEST(the_same_id_with_the_same_content_is_one_operation),
        TEST(the_same_id_with_other_content_is_a_conflict),
        TEST(a_wrong_partition_is_refused),
        TEST(of_many_each_gets_its_answer_in_their_order),
        TEST(a_call_with_many_is_refused_as_a_whole_where_it_makes_no_sense),
        TEST(ids_are_unique_and_carry_their_partition),
        TEST(an_operation_is_found_by_its_id_alone),
        TEST(results_are_awaited_in_the_order_of_the_receipts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
