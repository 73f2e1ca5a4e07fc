/* The tests' own test: the library of functions with one rule broken. Each experiment below holds
 * for the library as it is, and must not hold for the mutant it guards against. */
#include "desk.h"

#include "base/clock.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID "0c3f5d0e-7a37-4b7e-9d4a-1a2b3c4d5e6f"
#define OTHER_ID "1c3f5d0e-7a37-4b7e-9d4a-1a2b3c4d5e6f"

static bool is_state(const char *lane, const char *expected)
{
    return strcmp(desk_state(lane), expected) == 0;
}

static void submit_some(const char *user, int count)
{
    for (int i = 0; i < count; i++)
        desk_submit(user, "");
}

/* Claims one operation of whoever is next and ends it at this cost: true where it was `lane`. */
static bool serve(const char *lane, int64_t cost_us)
{
    struct claim *claim = desk_take("p", 1);
    const struct settlement settlement = {
        .claim = claim, .count = 1, .disposition = LANE_RELEASE, .cost_us = cost_us};

    assert_non_null(claim);
    bool is_it = strcmp(claim->lane.data, lane) == 0;
    desk_end(claim, 0, 1, false);
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
    return is_it;
}

static bool a_stale_claim_settles_nothing(void)
{
    submit_some("ann", 3);
    struct claim *old = desk_take("p", 2);
    desk_settle("p", old, 0, 0, LANE_RELEASE);
    struct claim *claim = desk_take("p", 2);
    desk_settle("p", old, 0, 2, LANE_RELEASE);
    claim_free(old);
    claim_free(claim);
    return is_state("ann", "3 claimed");
}

static bool settling_goes_by_id(void)
{
    submit_some("ann", 3);
    struct claim *claim = desk_take("p", 2);
    char first[HEDDLE_ID_SIZE + 1];
    strcpy(first, claim->operations[0].operation.id);
    redis_reply_free(desk_call("LREM", "heddle:{0}:lane:ann", "1", first, NULL));
    redis_reply_free(desk_call("HDEL", "heddle:{0}:ops", first, NULL));
    desk_settle("p", claim, 0, 2, LANE_RELEASE);
    claim_free(claim);
    return is_state("ann", "1 ready");
}

static bool a_claimed_lane_is_not_ready(void)
{
    submit_some("ann", 1);
    struct claim *claim = desk_take("p", 1);
    submit_some("ann", 1);
    struct claim *second = desk_take("q", 1);
    bool is_alone = !second;
    claim_free(claim);
    claim_free(second);
    return is_alone && desk_is_sound();
}

static bool a_freed_lane_is_not_its_old_holders(void)
{
    submit_some("ann", 2);
    struct claim *claim = desk_take("p", 1);
    desk_release("p");
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    return is_state("ann", "2 ready");
}

static bool a_heavy_lane_stands_behind(void)
{
    submit_some("heavy", 3);
    serve("heavy", 1000000);
    submit_some("light", 3);
    serve("light", 10);
    return serve("light", 10) && serve("light", 10);
}

static bool a_late_lane_gets_no_arrears(void)
{
    bool heavy = false;

    submit_some("heavy", 30);
    for (int i = 0; i < 10; i++)
        serve("heavy", 1000000);
    submit_some("late", 10);
    for (int i = 0; i < 4; i++)
        heavy |= serve("heavy", 1000000);
    return heavy;
}

static bool an_attempt_is_counted(void)
{
    submit_some("ann", 1);
    struct claim *claim = desk_take("p", 1);
    desk_settle("p", claim, 0, 0, LANE_WAIT);
    claim_free(claim);
    clock_sleep_ms(2);
    claim = desk_take("p", 1);
    bool is_counted = claim && claim->operations[0].operation.attempt == 2;
    claim_free(claim);
    return is_counted;
}

static bool nothing_is_left(void)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"), .op = TEXT("work"), .reply = true};

    desk_submit_as(&submission);
    struct claim *claim = desk_take("p", 1);
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    desk_release("p");
    return strcmp(desk_keys(), "heddle:partitions heddle:{0}:meta") == 0;
}

static bool an_id_is_one_operation(void)
{
    struct heddle_submission submission = {.user = TEXT("ann"), .op = TEXT("work"), .id = TEXT(ID)};

    desk_submit_as(&submission);
    submission.payload = TEXT("{\"other\":1}");
    return desk_submit_as(&submission).status == HEDDLE_REFUSED;
}

static bool a_user_has_one_partition(void)
{
    struct redis_reply *reply = NULL;
    bool is_refused = false;

    /* By hand, for an installation would bring the whole library back. */
    redis_reply_free(desk_call("HSET", "heddle:{0}:meta", "partitions", "2", NULL));
    redis_reply_free(
        desk_call("HSET", "heddle:{1}:meta", "partitions", "2", "payload_max", "1000", NULL));
    for (int p = 0; p < 2; p++) {
        char key[32];
        snprintf(key, sizeof key, "heddle:{%d}", p);
        is_refused |= redis_callf(desk.link, &reply, &desk.err, "FCALL", "heddle_submit", "1", key,
                                  "ann", "work", "", "", NULL) == HEDDLE_REFUSED;
        redis_reply_free(reply);
        reply = NULL;
    }
    return is_refused;
}

static bool ids_differ(void)
{
    const struct heddle_submission submissions[2] = {{.user = TEXT("ann"), .op = TEXT("work")},
                                                     {.user = TEXT("ann"), .op = TEXT("work")}};
    struct heddle_receipt receipts[2];

    assert_int_equal(heddle_client_submit(desk.client, submissions, 2, receipts, &desk.err),
                     HEDDLE_OK);
    return strcmp(receipts[0].id, receipts[1].id) != 0;
}

static bool a_full_redis_drains(void)
{
    submit_some("ann", 1);
    struct claim *claim = desk_take("p", 1);
    const struct settlement settlement = {.claim = claim, .count = 1, .disposition = LANE_RELEASE};
    desk_end(claim, 0, 1, false);
    redis_reply_free(desk_call("CONFIG", "SET", "maxmemory", "1", NULL));
    heddle_status status =
        lanes_settle_send(desk.link, &desk.command, 0, "p", DESK_TTL_MS, &settlement, &desk.err);
    if (status == HEDDLE_OK)
        status = lanes_settle_receive(desk.link, NULL, NULL, &desk.err);
    redis_reply_free(desk_call("CONFIG", "SET", "maxmemory", "0", NULL));
    claim_free(claim);
    return status == HEDDLE_OK;
}

static void relay(const char *id, int attempts)
{
    const struct heddle_submission submission = {.user = TEXT("ann"),
                                                 .op = TEXT("work"),
                                                 .id = text_of(id),
                                                 .is_journaled = true,
                                                 .attempts = attempts,
                                                 .submitted_us = 1000};

    desk_submit_as(&submission);
}

static void settle_first(enum disposition disposition, bool is_parked)
{
    struct claim *claim = desk_take("p", 1);
    struct settlement settlement = {.claim = claim,
                                    .count = is_parked,
                                    .disposition = disposition,
                                    .wait_ms = 3600000,
                                    .reason = LANE_HALTED_FAILED};

    claim->operations[0].is_parked = is_parked;
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
}

static bool a_decision_reaches_a_claimed_lane(void)
{
    relay(ID, 0);
    struct claim *claim = desk_take("p", 1);
    const struct settlement settlement = {
        .claim = claim, .disposition = LANE_HALT, .reason = LANE_HALTED_FAILED};
    relay(ID, 0);
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
    return is_state("ann", "1 ready");
}

static bool only_the_head_wakes_its_lane(void)
{
    relay(ID, 0);
    relay(OTHER_ID, 0);
    settle_first(LANE_WAIT, false);
    relay(OTHER_ID, 0);
    bool waits = is_state("ann", "2 waiting");
    relay(ID, 0);
    return waits && is_state("ann", "2 ready");
}

static bool a_long_wait_is_kept(void)
{
    relay(ID, 0);
    settle_first(LANE_WAIT, false);
    desk_beat("q", DESK_LEASE_MS);
    return is_state("ann", "1 waiting");
}

static bool what_is_parked_owes_its_reply(void)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"), .op = TEXT("work"), .id = TEXT(ID), .reply = true};

    desk_submit_as(&submission);
    settle_first(LANE_RELEASE, true);
    return is_state("ann", "gone") && desk_number("HEXISTS", "heddle:{0}:replies", ID, NULL) == 1;
}

static bool what_comes_back_keeps_its_age(void)
{
    relay(ID, 4);
    struct claim *claim = desk_take("p", 1);
    const struct heddle_operation *operation = &claim->operations[0].operation;
    bool is_kept = operation->submitted_us == 1000 && operation->attempt == 5;
    claim_free(claim);
    return is_kept;
}

/* As old as results have to get, and then there is one more. */
static bool results_change_generations(void)
{
    for (int i = 0; i < 2; i++) {
        submit_some("ann", 1);
        struct claim *claim = desk_take("p", 1);
        const struct settlement settlement = {
            .claim = claim, .count = 1, .disposition = LANE_RELEASE};
        desk_end(claim, 0, 1, true);
        desk_settle_as("p", &settlement, NULL, NULL);
        claim_free(claim);
        if (i == 0)
            desk_number("PEXPIRE", "heddle:{0}:results:new", "59000", NULL);
    }
    return desk_number("PTTL", "heddle:{0}:results:new", NULL) > DESK_TTL_MS &&
           desk_number("PTTL", "heddle:{0}:results:old", NULL) >= DESK_TTL_MS;
}

static const struct desk_mutant mutants[] = {
    {"if not claimed or find(claimed, args[at + 1] .. ':', 1, true) ~= 1 then",
     "if not claimed then", a_stale_claim_settles_nothing},
    {"if popped[i] ~= args[first + i - 1] then", "if #popped < count then", settling_goes_by_id},
    {"call('RPUSH', list .. lane, unpack(ids)) == #ids",
     "call('RPUSH', list .. lane, unpack(ids)) > 0", a_claimed_lane_is_not_ready},
    {"call('HDEL', k.base .. 'held:' .. incarnation, lane)", "",
     a_freed_lane_is_not_its_old_holders},
    {"if not tag or tag < vt + i then tag = vt + i end", "tag = vt + i",
     a_heavy_lane_stands_behind},
    {"call('HSET', k.meta, VT[class], format('%.0f', tag))", "", a_late_lane_gets_no_arrears},
    {"attempts_of(record) + 1)", "attempts_of(record))", an_attempt_is_counted},
    {"in_chunks('HDEL', k.ops, ended)", "", nothing_is_left},
    {"if content_of(record) ~= content_of_submission(o) then", "if false then",
     an_id_is_one_operation},
    {"if partition_of(o.user, tonumber(meta[1])) ~= k.partition then", "if false then",
     a_user_has_one_partition},
    {"id_count = (id_count + 1) % 0x40000", "id_count = 0", ids_differ},
    {"settle, 'allow-oom'", "settle", a_full_redis_drains},
    {"record = flagged(record, FLAG_LOOK)", "", a_decision_reaches_a_claimed_lane},
    {"if (reason or call('ZSCORE', k.waiting, o.user)) and awaited(k, o.user) ~= o.id then",
     "if false then", only_the_head_wakes_its_lane},
    {"if at_ms >= newest - CLOCK_SLACK_MS then return end", "", a_long_wait_is_kept},
    {"if not count or s.parked[id] then",
     "if not count or s.parked[id] then call('HDEL', k.replies, id)",
     what_is_parked_owes_its_reply},
    {"o.submitted_us or at_us", "at_us", what_comes_back_keeps_its_age},
    {"if left >= 0 and left < lasts_ms then", "if false then", results_change_generations},
    {"call('PEXPIRE', k.old_results, lasts_ms)", "", results_change_generations},
};

static void each_broken_rule_breaks_its_experiment(void **state)
{
    (void)state;
    desk_try_mutants(mutants, sizeof mutants / sizeof *mutants);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_broken_rule_breaks_its_experiment, desk_set_up,
                                        desk_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
