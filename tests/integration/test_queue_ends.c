/* Retries and ends as Redis sees them: options of a submission, parked operations, and what the
 * journal says again of an operation that is here. */
#include "desk.h"

#include "base/policy.h"
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
#define OTHER_ID "1c3f5d0e-7a37-4b7e-9d4a-1a2b3c4d5e6f"

enum { HOUR_MS = 3600000 };

/* As the relay says it, with so many attempts. */
static void relay(const char *id, int attempts)
{
    const struct heddle_submission submission = {.user = TEXT("ann"),
                                                 .op = TEXT("work"),
                                                 .id = text_of(id),
                                                 .is_journaled = true,
                                                 .attempts = attempts,
                                                 .submitted_us = INT64_C(1700000000123456)};

    assert_int_equal(desk_submit_as(&submission).status, HEDDLE_OK);
}

/* Settles a claim in which nothing ended. */
static void settle(struct claim *claim, enum disposition disposition, int64_t wait_ms)
{
    struct settlement settlement = {
        .claim = claim, .disposition = disposition, .wait_ms = wait_ms, .reason = "failed"};

    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
}

/* Parks the first of a claim. */
static void park(struct claim *claim)
{
    const struct settlement settlement = {
        .claim = claim, .count = 1, .disposition = LANE_RELEASE, .cost_us = 1};

    claim->operations[0].is_parked = true;
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
}

static void the_policy_of_a_submission_comes_with_the_claim(void **state)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"),
        .op = TEXT("work"),
        .payload = TEXT("{\"n\":1}"),
        .policy = {1000, 3600000, 1, 2592000000, HEDDLE_ON_FAILURE_HALT}};

    (void)state;
    desk_submit_as(&submission);
    desk_submit("ann", "{\"n\":2}");
    struct claim *claim = desk_take("p", 2);
    char said[POLICY_JSON_SIZE];
    assert_true(policy_to_json(&claim->operations[0].operation.policy, said));
    assert_string_equal(said, "{\"attempts\":1000,\"backoff_ms\":3600000,\"backoff_max_ms\":1,"
                              "\"deadline_ms\":2592000000,\"on_failure\":\"halt\"}");
    assert_false(policy_to_json(&claim->operations[1].operation.policy, said));
    assert_string_equal(claim->operations[1].operation.payload.data, "{\"n\":2}");
    claim_free(claim);
}

static void options_are_refused_with_a_line_each(void **state)
{
    static const char *const names[] = {"attempts", "backoff_ms", "backoff_max_ms", "deadline_ms"};
    static const char *const most[] = {"1000", "3600000", "3600000", "2592000000"};
    static const char *const wrong[] = {"0", "-1", "1.5", "", "x", "1e3", "99999999999"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char reason[80], beyond[24];
        snprintf(reason, sizeof reason, "option %s must be a whole number from 1 to %s", names[i],
                 most[i]);
        snprintf(beyond, sizeof beyond, "%lld", atoll(most[i]) + 1);
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
            desk_refused(reason, "FCALL", "heddle_submit", "0", "ann", "work", "", "", names[i],
                         wrong[k], NULL);
        desk_refused(reason, "FCALL", "heddle_submit", "0", "ann", "work", "", "", names[i], beyond,
                     NULL);
    }
    desk_refused("option on_failure must be block, park or halt", "FCALL", "heddle_submit", "0",
                 "ann", "work", "", "", "on_failure", "stop", NULL);
    desk_assert_state("ann", "gone");
}

static void the_same_id_with_another_policy_is_the_same_operation(void **state)
{
    struct heddle_submission submission = {.user = TEXT("ann"), .op = TEXT("work"), .id = TEXT(ID)};

    (void)state;
    desk_submit_as(&submission);
    submission.policy.attempts = 5;
    assert_int_equal(desk_submit_as(&submission).status, HEDDLE_OK);
    desk_assert_state("ann", "1 ready");
    struct claim *claim = desk_take("p", 1);
    assert_int_equal(claim->operations[0].operation.policy.attempts, 0);
    claim_free(claim);
}

static void a_parked_operation_leaves_its_lane_and_its_reply_waits(void **state)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"), .op = TEXT("work"), .id = TEXT(ID), .reply = true};

    (void)state;
    desk_submit_as(&submission);
    const char *second = desk_submit("ann", "");
    park(desk_take("p", 2));
    desk_assert_state("ann", "1 ready");
    desk_assert_lane("ann", 1, &second);
    assert_int_equal(desk_number("EXISTS", "heddle:{0}:reply:" ID, NULL), 0);
    assert_int_equal(desk_number("HGET", "heddle:{0}:replies", ID, NULL), 1);
    /* Back behind the other, as old as it was, with the attempts that it had. */
    relay(ID, 1);
    struct claim *claim = desk_take("p", 1);
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    claim = desk_take("p", 1);
    assert_string_equal(claim->operations[0].operation.id, ID);
    assert_int_equal(claim->operations[0].operation.attempt, 2);
    assert_true(claim->operations[0].operation.submitted_us == INT64_C(1700000000123456));
    assert_true(claim->operations[0].is_journaled);
    claim_free(claim);
}

static void a_lane_that_waits_for_what_was_decided_about_looks_at_once(void **state)
{
    (void)state;
    relay(ID, 0);
    relay(OTHER_ID, 0);
    settle(desk_take("p", 1), LANE_WAIT, HOUR_MS);
    desk_assert_state("ann", "2 waiting");
    /* Not for one behind. */
    relay(OTHER_ID, 0);
    desk_assert_state("ann", "2 waiting");
    relay(ID, 3);
    desk_assert_state("ann", "2 ready");
    struct claim *claim = desk_take("p", 1);
    assert_int_equal(claim->operations[0].operation.attempt, 4);
    settle(claim, LANE_HALT, 0);
    desk_assert_state("ann", "2 halted");
    relay(OTHER_ID, 0);
    desk_assert_state("ann", "2 halted");
    relay(ID, 0);
    desk_assert_state("ann", "2 ready");
}

static void what_is_said_while_a_lane_is_claimed_is_looked_at_when_it_is_settled(void **state)
{
    static const enum disposition dispositions[] = {LANE_HALT, LANE_WAIT, LANE_PAUSE};

    (void)state;
    for (size_t i = 0; i < sizeof dispositions / sizeof *dispositions; i++) {
        desk_install(1);
        relay(ID, 0);
        struct claim *claim = desk_take("p", 1);
        relay(ID, 0);
        desk_assert_state("ann", "1 claimed");
        settle(claim, dispositions[i], HOUR_MS);
        desk_assert_state("ann", "1 ready");
        /* Once. */
        settle(desk_take("p", 1), dispositions[i], HOUR_MS);
        desk_assert_state("ann", dispositions[i] == LANE_HALT ? "1 halted" : "1 waiting");
    }
}

static void a_suspects_lane_stays_in_quarantine(void **state)
{
    (void)state;
    relay(ID, 0);
    claim_free(desk_take("p", 1));
    desk_number("FCALL", "heddle_suspect", "1", "heddle:{0}", "p", "ann", ID, "0", NULL);
    desk_assert_state("ann", "1 halted");
    relay(ID, 0);
    desk_assert_state("ann", "1 halted");
}

static void a_long_wait_is_not_taken_for_a_clock_that_has_gone_back(void **state)
{
    (void)state;
    relay(ID, 0);
    settle(desk_take("p", 1), LANE_WAIT, HOUR_MS);
    for (int beats = 0; beats < 3; beats++)
        desk_beat("q", DESK_LEASE_MS);
    desk_assert_state("ann", "1 waiting");
    desk_release("q");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_policy_of_a_submission_comes_with_the_claim),
        TEST(options_are_refused_with_a_line_each),
        TEST(the_same_id_with_another_policy_is_the_same_operation),
        TEST(a_parked_operation_leaves_its_lane_and_its_reply_waits),
        TEST(a_lane_that_waits_for_what_was_decided_about_looks_at_once),
        TEST(what_is_said_while_a_lane_is_claimed_is_looked_at_when_it_is_settled),
        TEST(a_suspects_lane_stays_in_quarantine),
        TEST(a_long_wait_is_not_taken_for_a_clock_that_has_gone_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
