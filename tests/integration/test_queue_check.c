/* The queue's invariants broken by a hand in its data: each break is found, told, mended, and
 * nothing else is; afterwards every operation is handed out once, in order. */
#include "desk.h"

#include "fixture.h"

#include "base/text.h"
#include "queue/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define X "00000000-0000-4000-8000-000000000001"

enum { KINDS_SIZE = 400, LONG_LANE = 2500 };

/* Kinds and lanes of what was found, with a blank between: "ghost:ann no_record:bob". */
struct findings {
    char kinds[KINDS_SIZE];
    size_t used, count, mended;
};

static void note(void *argument, const struct queue_finding *finding)
{
    struct findings *findings = argument;

    assert_int_equal(finding->partition, 0);
    assert_true(*finding->text != '\0');
    findings->count++;
    findings->mended += finding->is_mended;
    if (findings->used < KINDS_SIZE)
        findings->used += (size_t)snprintf(
            findings->kinds + findings->used, KINDS_SIZE - findings->used, "%s%s:%s",
            findings->used ? " " : "", finding->kind, finding->lane.data);
}

static struct queue_census census;

static struct findings run(bool repairs)
{
    struct findings findings = {0};
    const struct queue_check check = {.link = desk.link,
                                      .partitions = 1,
                                      .repairs = repairs,
                                      .result_ttl_ms = DESK_TTL_MS,
                                      .report = note,
                                      .argument = &findings};

    assert_int_equal(queue_check_lanes(&check, &census, &desk.err), HEDDLE_OK);
    return findings;
}

/* Found twice by looking, then mended, then gone. */
static void assert_found_and_mended(const char *kinds)
{
    for (int round = 0; round < 3; round++) {
        const struct findings findings = run(round == 2);
        assert_string_equal(findings.kinds, kinds);
        assert_int_equal(findings.mended, round == 2 ? findings.count : 0);
    }
    assert_int_equal(run(true).count, 0);
}

static void assert_sound(void)
{
    const struct findings findings = run(true);
    assert_string_equal(findings.kinds, "");
}

/* Claims and settles all that is ready; the operations of `lane` must be these. */
static void assert_drains(const char *lane, size_t count, const char *const *ids)
{
    struct claim *claim;
    size_t seen = 0;

    while ((claim = desk_take("drain", 100))) {
        if (strcmp(claim->lane.data, lane) == 0)
            for (size_t i = 0; i < claim->operation_count; i++, seen++) {
                assert_true(seen < count);
                if (ids)
                    assert_string_equal(claim->operations[i].operation.id, ids[seen]);
            }
        desk_settle("drain", claim, 0, claim->operation_count, LANE_RELEASE);
        claim_free(claim);
    }
    assert_int_equal(seen, count);
    desk_assert_state(lane, "gone");
    desk_release("drain");
    assert_sound();
}

static const char *ids[3];

/* Three operations of ann's, one of bob's. */
static void submit_some(void)
{
    for (size_t i = 0; i < 3; i++)
        ids[i] = desk_submit("ann", "");
    desk_submit("bob", "");
    assert_sound();
}

static void damage(const char *command, const char *key, const char *first, const char *second)
{
    redis_reply_free(desk_call(command, key, first, second, NULL));
}

static void a_check_counts_everything_once(void **state)
{
    char name[32];

    (void)state;
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "user-%d", i % 20);
        desk_submit(name, "");
    }
    struct lanes_answer answer = desk_claim("p", 9, 8);
    struct claim *claim = answer.claims.first;
    for (int i = 0; i < 7; i++, claim = claim->next) {
        struct settlement settlement = {.claim = claim,
                                        .disposition = i < 4 ? LANE_WAIT : LANE_HALT,
                                        .wait_ms = 60000,
                                        .reason = "op work"};
        desk_settle_as("p", &settlement, NULL, NULL);
    }
    desk_drop(&answer);
    assert_sound();
    assert_int_equal(census.operations, 40);
    assert_int_equal(census.lanes, 20);
    assert_int_equal(census.ready, 11);
    assert_int_equal(census.claimed, 2);
    assert_int_equal(census.waiting, 4);
    assert_int_equal(census.halted, 3);
    assert_int_equal(census.processors, 1);
}

static void a_lane_that_was_lost_is_ready_again(void **state)
{
    (void)state;
    submit_some();
    damage("ZREM", "heddle:{0}:ready", "ann", NULL);
    assert_found_and_mended("ready_lost:ann");
    assert_drains("ann", 3, ids);
}

static void ghosts_go(void **state)
{
    (void)state;
    submit_some();
    struct claim *claim = desk_take("p", 1);
    redis_reply_free(desk_call("ZADD", "heddle:{0}:ready", "1", "carl", NULL));
    redis_reply_free(desk_call("ZADD", "heddle:{0}:waiting", "1", "dora", NULL));
    redis_reply_free(desk_call("HSET", "heddle:{0}:halted", "emil", "why", NULL));
    redis_reply_free(desk_call("HSET", "heddle:{0}:held:p", "fay", "1:1:1", NULL));
    assert_found_and_mended("ghost:fay ghost:carl ghost:dora ghost:emil");
    desk_assert_state("ann", "3 claimed");
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    assert_drains("ann", 2, ids + 1);
}

static void of_two_states_the_one_that_binds_most_stays(void **state)
{
    (void)state;
    submit_some();
    redis_reply_free(desk_call("ZADD", "heddle:{0}:waiting", "1e15", "ann", NULL));
    assert_found_and_mended("two_states:ann");
    desk_assert_state("ann", "3 waiting");
    redis_reply_free(desk_call("HSET", "heddle:{0}:halted", "ann", "why", NULL));
    assert_found_and_mended("two_states:ann");
    desk_assert_state("ann", "3 halted");
    damage("HDEL", "heddle:{0}:halted", "ann", NULL);
    assert_found_and_mended("ready_lost:ann");
    struct claim *bobs = desk_take("p", 1), *claim = desk_take("p", 1);
    assert_string_equal(claim->lane.data, "ann");
    redis_reply_free(desk_call("ZADD", "heddle:{0}:ready", "1", "ann", NULL));
    redis_reply_free(desk_call("HSET", "heddle:{0}:halted", "ann", "why", NULL));
    assert_found_and_mended("two_states:ann");
    desk_assert_state("ann", "3 claimed");
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    desk_settle("p", bobs, 0, 1, LANE_RELEASE);
    claim_free(claim);
    claim_free(bobs);
    assert_drains("ann", 2, ids + 1);
}

static void a_claim_of_a_processor_without_a_beat_is_freed(void **state)
{
    (void)state;
    submit_some();
    claim_free(desk_take("dead", 2));
    damage("ZREM", "heddle:{0}:beats", "dead", NULL);
    assert_found_and_mended("orphan_claim:ann");
    desk_assert_state("ann", "3 ready");
    assert_drains("ann", 3, ids);
    assert_string_equal(desk_keys(), "heddle:partitions heddle:{0}:meta");
    /* A lane that is somewhere else as well stays there. */
    submit_some();
    claim_free(desk_take("dead", 2));
    damage("ZREM", "heddle:{0}:beats", "dead", NULL);
    redis_reply_free(desk_call("ZADD", "heddle:{0}:waiting", "1", "ann", NULL));
    assert_found_and_mended("orphan_claim:ann");
    desk_assert_state("ann", "3 waiting");
    assert_drains("ann", 3, ids);
}

static void a_beat_that_nobody_gives_any_more_goes_and_frees_its_lanes(void **state)
{
    (void)state;
    submit_some();
    claim_free(desk_take("dead", 2));
    redis_reply_free(desk_call("ZADD", "heddle:{0}:beats", "1000", "dead", NULL));
    redis_reply_free(desk_call("ZADD", "heddle:{0}:beats", "9e15", "ahead", NULL));
    desk_beat("alive", DESK_LEASE_MS); /* which takes over what has expired */
    redis_reply_free(desk_call("ZADD", "heddle:{0}:beats", "1000", "dead", "9e15", "ahead", NULL));
    assert_found_and_mended("stale_beat: stale_beat:");
    /* Whoever is ahead may live: it has a minute to beat again. */
    assert_int_equal(desk_number("ZCARD", "heddle:{0}:beats", NULL), 2);
    desk_release("ahead");
    /* One that is late by less is its neighbours' affair. */
    redis_reply_free(desk_call("ZADD", "heddle:{0}:beats", "1", "late", NULL));
    AUTO_REPLY time = desk_call("TIME", NULL);
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%s000", redis_reply_text(redis_reply_at(time, 0)).data);
    redis_reply_free(desk_call("ZADD", "heddle:{0}:beats", seconds, "late", NULL));
    assert_sound();
    desk_release("late");
    desk_release("alive");
    assert_drains("ann", 3, ids);
}

static void the_lanes_of_a_stale_beat_are_freed_with_it(void **state)
{
    (void)state;
    submit_some();
    claim_free(desk_take("dead", 2));
    redis_reply_free(desk_call("ZADD", "heddle:{0}:beats", "1000", "dead", NULL));
    assert_string_equal(run(false).kinds, "stale_beat:");
    assert_string_equal(run(true).kinds, "stale_beat: orphan_claim:ann");
    assert_drains("ann", 3, ids);
}

static void who_listens_no_more_is_not_woken(void **state)
{
    struct redis_link *listener;
    struct heddle_error err;

    (void)state;
    submit_some();
    assert_int_equal(redis_new(fixture_redis(), DESK_TIMEOUT_MS, &listener, &err), HEDDLE_OK);
    AUTO_REPLY subscribed = NULL;
    assert_int_equal(
        redis_callf(listener, &subscribed, &err, "SUBSCRIBE", "heddle:wake:ears", NULL), HEDDLE_OK);
    redis_reply_free(desk_call("SADD", "heddle:{0}:idle", "gone", "ears", "beats", NULL));
    redis_reply_free(desk_call("ZADD", "heddle:{0}:beats", "1", "beats", NULL));
    desk_beat("beats", DESK_LEASE_MS);
    assert_found_and_mended("stale_idle:");
    assert_int_equal(desk_number("SCARD", "heddle:{0}:idle", NULL), 2);
    redis_free(listener);
    desk_release("beats");
    damage("DEL", "heddle:{0}:idle", NULL, NULL);
    assert_drains("ann", 3, ids);
}

static void an_entry_that_is_no_operation_goes(void **state)
{
    (void)state;
    submit_some();
    damage("HDEL", "heddle:{0}:ops", ids[1], NULL);
    assert_found_and_mended("no_record:ann");
    desk_assert_state("ann", "2 ready");
    /* A lane of nothing else goes with them. */
    damage("RPUSH", "heddle:{0}:lane:carl", X, NULL);
    assert_string_equal(run(false).kinds, "no_record:carl ready_lost:carl");
    assert_string_equal(run(true).kinds, "no_record:carl");
    desk_assert_state("carl", "gone");
    assert_drains("ann", 2, (const char *const[]){ids[0], ids[2]});
}

static void a_lost_operation_goes_back_to_its_place(void **state)
{
    (void)state;
    for (size_t lost = 0; lost < 3; lost++) {
        submit_some();
        damage("LREM", "heddle:{0}:lane:ann", "1", ids[lost]);
        assert_found_and_mended("record_lost:ann");
        assert_drains("ann", 3, ids);
    }
    submit_some();
    damage("DEL", "heddle:{0}:lane:ann", NULL, NULL);
    assert_string_equal(run(false).kinds,
                        "ghost:ann record_lost:ann record_lost:ann record_lost:ann");
    assert_int_equal(run(true).mended, 4);
    assert_drains("ann", 3, ids);
}

/* Submitted by one call, at one time. */
static void one_of_a_batch_goes_back_to_its_place(void **state)
{
    struct heddle_submission submissions[3];
    struct heddle_receipt receipts[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        submissions[i] = (struct heddle_submission){.user = TEXT("ann"), .op = TEXT("work")};
    assert_int_equal(heddle_client_submit(desk.client, submissions, 3, receipts, &desk.err),
                     HEDDLE_OK);
    damage("LREM", "heddle:{0}:lane:ann", "1", receipts[1].id);
    assert_found_and_mended("record_lost:ann");
    assert_drains("ann", 3, (const char *const[]){receipts[0].id, receipts[1].id, receipts[2].id});
}

/* The journal has it, and puts it back: see engine/pass.h. */
static void a_lost_operation_of_the_journal_is_forgotten(void **state)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"), .op = TEXT("work"), .id = TEXT(X), .is_journaled = true};

    (void)state;
    submit_some();
    assert_int_equal(desk_submit_as(&submission).status, HEDDLE_OK);
    damage("LREM", "heddle:{0}:lane:ann", "1", X);
    assert_found_and_mended("record_lost:ann");
    assert_int_equal(desk_number("HEXISTS", "heddle:{0}:ops", X, NULL), 0);
    assert_drains("ann", 3, ids);
}

static void a_key_that_would_stay_for_ever_gets_an_end(void **state)
{
    (void)state;
    submit_some();
    damage("SET", "heddle:{0}:results:" X, "d", NULL);
    damage("RPUSH", "heddle:{0}:reply:" X, "{}", NULL);
    assert_string_equal(run(false).kinds, "endless_key: endless_key:");
    assert_found_and_mended("endless_key: endless_key:");
    assert_in_range(desk_number("PTTL", "heddle:{0}:reply:" X, NULL), 1, DESK_TTL_MS);
    assert_drains("ann", 3, ids);
}

/* A lane that takes many calls: entries without operations all over it, and lost operations. */
static void a_long_lane_is_looked_through_in_pieces(void **state)
{
    static char all[LONG_LANE][HEDDLE_ID_SIZE + 1];
    const char *expected[LONG_LANE];
    size_t left = 0;

    (void)state;
    for (size_t i = 0; i < LONG_LANE; i++)
        strcpy(all[i], desk_submit("ann", ""));
    for (size_t i = 0; i < LONG_LANE; i++) {
        if (i % 10 == 7)
            damage("HDEL", "heddle:{0}:ops", all[i], NULL);
        else
            expected[left++] = all[i];
        if (i % 250 == 11)
            damage("LREM", "heddle:{0}:lane:ann", "1", all[i]);
    }
    const struct findings seen = run(false), findings = run(true);
    assert_int_equal(seen.count, LONG_LANE / 10 + LONG_LANE / 250);
    assert_int_equal(findings.mended, seen.count);
    assert_sound();
    assert_drains("ann", left, expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_check_counts_everything_once),
        TEST(a_lane_that_was_lost_is_ready_again),
        TEST(ghosts_go),
        TEST(of_two_states_the_one_that_binds_most_stays),
        TEST(a_claim_of_a_processor_without_a_beat_is_freed),
        TEST(a_beat_that_nobody_gives_any_more_goes_and_frees_its_lanes),
        TEST(the_lanes_of_a_stale_beat_are_freed_with_it),
        TEST(who_listens_no_more_is_not_woken),
        TEST(an_entry_that_is_no_operation_goes),
        TEST(a_lost_operation_goes_back_to_its_place),
        TEST(one_of_a_batch_goes_back_to_its_place),
        TEST(a_lost_operation_of_the_journal_is_forgotten),
        TEST(a_key_that_would_stay_for_ever_gets_an_end),
        TEST(a_long_lane_is_looked_through_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
