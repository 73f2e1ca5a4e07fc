/* Options of a submission beside its retry policy, as Redis takes, refuses and keeps them. */
#include "desk.h"

#include "base/text.h"
#include "queue/rebuild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0190a1b2-c3d4-8e5f-8001-000a1234abcd"

static void assert_flow(const struct heddle_operation *operation, enum heddle_priority priority,
                        int64_t expires_ms, const char *batch)
{
    assert_int_equal(operation->flow.priority, priority);
    assert_int_equal(operation->flow.expires_ms, expires_ms);
    assert_true(text_equal(operation->flow.batch, text_of(batch)));
}

static void what_counts_later_comes_with_the_claim(void **state)
{
    struct heddle_submission submission = {.user = TEXT("ann"),
                                           .op = TEXT("work"),
                                           .payload = TEXT("{\"n\":1}"),
                                           .policy = {.attempts = 3},
                                           .flow = {.expires_ms = 2592000000,
                                                    .priority = HEDDLE_PRIORITY_BULK,
                                                    .batch = TEXT("night ü")}};

    (void)state;
    desk_submit_as(&submission);
    desk_submit("ann", "{\"n\":2}");
    submission.policy = (struct heddle_policy){0};
    submission.flow = (struct heddle_flow){.priority = HEDDLE_PRIORITY_INTERACTIVE};
    submission.user = TEXT("bob");
    desk_submit_as(&submission);
    struct lanes_answer answer = desk_claim("p", 2, 2);
    assert_int_equal(answer.claims.count, 2);
    struct claim *bob = claim_list_pop(&answer.claims), *ann = claim_list_pop(&answer.claims);
    assert_int_equal(ann->operation_count, 2);
    assert_flow(&ann->operations[0].operation, HEDDLE_PRIORITY_NORMAL, 0, "");
    assert_string_equal(ann->operations[0].operation.payload.data, "{\"n\":2}");
    assert_flow(&ann->operations[1].operation, HEDDLE_PRIORITY_BULK, 2592000000, "night ü");
    assert_int_equal(ann->operations[1].operation.policy.attempts, 3);
    assert_flow(&bob->operations[0].operation, HEDDLE_PRIORITY_INTERACTIVE, 0, "");
    claim_free(ann);
    claim_free(bob);
}

static void a_rebuild_keeps_them(void **state)
{
    struct heddle_operation lost = {.id = ID,
                                    .op = TEXT("work"),
                                    .thread = TEXT(""),
                                    .payload = TEXT("{}"),
                                    .submitted_us = 1,
                                    .policy = {.attempts = 3},
                                    .flow = {.expires_ms = 5, .batch = TEXT("b")}};
    const struct rebuild_page page = {.lane = TEXT("ann"), .operations = &lost, .count = 1};
    size_t missing, looked_at;

    (void)state;
    assert_int_equal(
        rebuild_lane(desk.link, &desk.command, 0, &page, &missing, &looked_at, &desk.err),
        HEDDLE_OK);
    assert_int_equal(missing, 1);
    struct claim *claim = desk_take("p", 1);
    assert_flow(&claim->operations[0].operation, HEDDLE_PRIORITY_NORMAL, 5, "b");
    assert_int_equal(claim->operations[0].operation.policy.attempts, 3);
    claim_free(claim);
}

static void refused(const char *reason, const char *name, const char *value)
{
    desk_refused(reason, "FCALL", "heddle_submit", "0", "ann", "work", "", "", name, value, NULL);
}

static void numbers_are_refused_beyond_their_bounds(void **state)
{
    static const char *const names[] = {"delay_ms", "at_ms", "expires_ms", "unique_ms"};
    static const char *const most[] = {"31536000000", "253402300799999", "2592000000",
                                       "2592000000"};
    static const char *const wrong[] = {"0", "-1", "1.5", "", "x", "1e3", "9999999999999999"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char reason[80], beyond[24];
        snprintf(reason, sizeof reason, "option %s must be a whole number from 1 to %s", names[i],
                 most[i]);
        snprintf(beyond, sizeof beyond, "%lld", atoll(most[i]) + 1);
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
            refused(reason, names[i], wrong[k]);
        refused(reason, names[i], beyond);
    }
    desk_assert_state("ann", "gone");
}

static void texts_and_words_are_refused_with_a_line_each(void **state)
{
    char text[258];

    (void)state;
    memset(text, 'x', sizeof text);
    text[257] = '\0';
    refused("option unique_key must be 1 to 256 bytes", "unique_key", text);
    refused("option unique_key must be 1 to 256 bytes", "unique_key", "");
    text[201] = '\0';
    refused("option batch must be 1 to 200 bytes of UTF-8 without NUL", "batch", text);
    refused("option batch must be 1 to 200 bytes of UTF-8 without NUL", "batch", "");
    refused("option batch must be 1 to 200 bytes of UTF-8 without NUL", "batch", "\xff");
    refused("option priority must be interactive, normal or bulk", "priority", "urgent");
    refused("option priority must be interactive, normal or bulk", "priority", "");
    refused("option replace must be 0 or 1", "replace", "true");
    refused("options unique_ms and replace need unique_key", "unique_ms", "5");
    refused("options unique_ms and replace need unique_key", "replace", "1");
    desk_refused("options delay_ms and at_ms exclude each other", "FCALL", "heddle_submit", "0",
                 "ann", "work", "", "", "delay_ms", "1", "at_ms", "1", NULL);
    desk_assert_state("ann", "gone");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_counts_later_comes_with_the_claim),
        TEST(a_rebuild_keeps_them),
        TEST(numbers_are_refused_beyond_their_bounds),
        TEST(texts_and_words_are_refused_with_a_line_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
