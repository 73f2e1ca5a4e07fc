/* Settling: what leaves a lane, and what becomes of the lane. The functions of heddle.lua, called
 * directly. */
#include "desk.h"

#include "fixture.h"

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

enum { FOUR = 4 };

/* Submits four operations of ann's and claims the first `claimed` of them; the ids are kept. */
static char ids[FOUR][HEDDLE_ID_SIZE + 1];

static struct claim *claim_of_four(int claimed)
{
    for (size_t i = 0; i < FOUR; i++)
        strcpy(ids[i], desk_submit("ann", ""));
    struct claim *claim = desk_take("p", claimed);
    assert_int_equal(claim->operation_count, claimed);
    return claim;
}

static void assert_left(size_t count, ...)
{
    const char *left[FOUR];
    va_list indexes;

    va_start(indexes, count);
    for (size_t i = 0; i < count; i++)
        left[i] = ids[va_arg(indexes, int)];
    va_end(indexes);
    desk_assert_lane("ann", count, left);
    assert_int_equal(desk_number("HLEN", "heddle:{0}:ops", NULL), count);
}

static void settling_removes_the_operations_it_names_and_no_other(void **state)
{
    (void)state;
    struct claim *claim = claim_of_four(3);
    desk_settle("p", claim, 0, 2, LANE_KEEP);
    assert_left(2, 2, 3);
    desk_assert_state("ann", "2 claimed");
    desk_settle("p", claim, 2, 1, LANE_RELEASE);
    assert_left(1, 3);
    desk_assert_state("ann", "1 ready");
    claim_free(claim);
}

static void settling_goes_by_id_where_others_changed_the_lane(void **state)
{
    (void)state;
    /* An operator has cancelled the first, and put the last in front. */
    struct claim *claim = claim_of_four(3);
    redis_reply_free(desk_call("LREM", "heddle:{0}:lane:ann", "1", ids[0], NULL));
    redis_reply_free(desk_call("HDEL", "heddle:{0}:ops", ids[0], NULL));
    redis_reply_free(
        desk_call("LMOVE", "heddle:{0}:lane:ann", "heddle:{0}:lane:ann", "RIGHT", "LEFT", NULL));
    desk_settle("p", claim, 0, 2, LANE_KEEP);
    assert_left(2, 3, 2);
    desk_settle("p", claim, 2, 1, LANE_RELEASE);
    assert_left(1, 3);
    desk_assert_state("ann", "1 ready");
    claim_free(claim);
}

static void settling_the_same_again_changes_nothing(void **state)
{
    (void)state;
    struct claim *claim = claim_of_four(2);
    for (int i = 0; i < 3; i++) {
        desk_settle("p", claim, 0, 1, LANE_KEEP);
        assert_left(3, 1, 2, 3);
        desk_assert_state("ann", "3 claimed");
    }
    for (int i = 0; i < 3; i++) {
        desk_settle("p", claim, 0, 2, LANE_RELEASE);
        assert_left(2, 2, 3);
        desk_assert_state("ann", "2 ready");
    }
    claim_free(claim);
}

static void a_stale_claim_and_a_stranger_settle_nothing(void **state)
{
    static const enum disposition dispositions[] = {LANE_KEEP, LANE_RELEASE, LANE_WAIT, LANE_HALT};

    (void)state;
    struct claim *old = claim_of_four(2);
    desk_settle("p", old, 0, 0, LANE_RELEASE);
    struct claim *claim = desk_take("p", 2);
    for (size_t i = 0; i < 4; i++) {
        desk_settle("p", old, 0, 2, dispositions[i]);
        desk_settle("q", claim, 0, 2, dispositions[i]);
        assert_left(4, 0, 1, 2, 3);
        desk_assert_state("ann", "4 claimed");
    }
    desk_settle("p", claim, 0, 2, LANE_RELEASE);
    assert_left(2, 2, 3);
    claim_free(old);
    claim_free(claim);
}

static void each_disposition_leaves_the_lane_in_one_state(void **state)
{
    static const struct {
        enum disposition disposition;
        const char *left, *empty;
    } cases[] = {{LANE_KEEP, "3 claimed", NULL},
                 {LANE_RELEASE, "3 ready", "gone"},
                 {LANE_WAIT, "3 waiting", "gone"},
                 {LANE_HALT, "3 halted", "gone"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        desk_install(1);
        struct claim *claim = claim_of_four(4);
        struct settlement settlement = {.claim = claim,
                                        .count = 1,
                                        .disposition = cases[i].disposition,
                                        .wait_ms = 60000,
                                        .reason = "op work"};
        desk_end(claim, 0, 4, false);
        desk_settle_as("p", &settlement, NULL, NULL);
        desk_assert_state("ann", cases[i].left);
        assert_true(desk_is_sound());
        claim_free(claim);
        if (!cases[i].empty)
            continue;
        /* With its last operation the lane goes, whatever was to become of it. */
        desk_install(1);
        claim = claim_of_four(4);
        settlement.claim = claim;
        settlement.count = 4;
        desk_end(claim, 0, 4, false);
        desk_settle_as("p", &settlement, NULL, NULL);
        desk_assert_state("ann", cases[i].empty);
        claim_free(claim);
    }
}

static void a_lane_that_waits_comes_again_with_its_attempt_counted(void **state)
{
    enum { WAIT_MS = 40 };

    (void)state;
    struct claim *claim = claim_of_four(2);
    for (int attempt = 1; attempt < 4; attempt++) {
        const struct settlement settlement = {
            .claim = claim, .disposition = LANE_WAIT, .wait_ms = WAIT_MS};
        assert_string_equal(claim->operations[0].operation.id, ids[0]);
        assert_int_equal(claim->operations[0].operation.attempt, attempt);
        assert_int_equal(claim->operations[1].operation.attempt, 1);
        int64_t started_ms = clock_now_ms();
        desk_settle_as("p", &settlement, NULL, NULL);
        claim_free(claim);
        struct lanes_answer answer = desk_claim("p", 1, 2);
        while (answer.claims.count == 0 && clock_now_ms() - started_ms < FIXTURE_PATIENCE_MS) {
            assert_true(answer.is_exhausted);
            assert_in_range(answer.next_due_ms, 0, WAIT_MS);
            clock_sleep_ms(1);
            answer = desk_claim("p", 1, 2);
        }
        assert_true(clock_now_ms() - started_ms >= WAIT_MS - 1);
        claim = desk_only(&answer);
        assert_non_null(claim);
    }
    claim_free(claim);
}

static void several_lanes_settle_in_one_call(void **state)
{
    (void)state;
    static const enum disposition dispositions[] = {LANE_RELEASE, LANE_KEEP, LANE_HALT};
    static const char *const lanes[] = {"ann", "bob", "cid"};
    static const char *const states[] = {"1 ready", "1 claimed", "1 halted"};
    struct settlement settlements[3];

    for (size_t i = 0; i < 6; i++)
        desk_submit(lanes[i % 3], "");
    struct lanes_answer answer = desk_claim("p", 3, 1);
    struct claim *claim = answer.claims.first;
    for (size_t i = 0; i < 3; i++, claim = claim->next) {
        desk_end(claim, 0, 1, false);
        settlements[i] = (struct settlement){.next = i < 2 ? &settlements[i + 1] : NULL,
                                             .claim = claim,
                                             .count = 1,
                                             .disposition = dispositions[i],
                                             .reason = "op work"};
    }
    desk_settle_as("p", settlements, NULL, NULL);
    for (size_t i = 0; i < 3; i++)
        desk_assert_state(lanes[i], states[i]);
    desk_drop(&answer);
}

static void a_malformed_settlement_is_refused_as_a_whole(void **state)
{
    char *seq;

    (void)state;
    struct claim *claim = claim_of_four(1);
    assert_true(asprintf(&seq, "%llu", (unsigned long long)claim->seq) > 0);
    /* A good lane, then half of one: the words of a call behind its head. */
    const char *const words[] = {
        "FCALL", "heddle_settle", "1", "heddle:{0}", "p",    "1000", "0", "0", "ann",
        seq,     "release",       "0", "1",          ids[0], "bob",  seq};
    size_t sizes[sizeof words / sizeof *words];
    struct redis_reply *reply = NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        sizes[i] = strlen(words[i]);
    assert_int_equal(
        redis_call(desk.link, sizeof words / sizeof *words, words, sizes, &reply, &desk.err),
        HEDDLE_REFUSED);
    assert_left(4, 0, 1, 2, 3);
    desk_assert_state("ann", "4 claimed");
    free(seq);
    claim_free(claim);
}

static struct lanes_answer adopt(const char *processor, const char *const *ops, char cursor[24])
{
    const struct lanes_request request = desk_request(processor, 16, 8);
    struct lanes_answer answer;

    assert_int_equal(
        lanes_adopt(desk.link, &desk.command, 0, &request, ops, cursor, &answer, &desk.err),
        HEDDLE_OK);
    return answer;
}

static void halted_lanes_are_adopted_by_who_knows_their_operation(void **state)
{
    static const char *const strange[] = {"op other", "work", "op wor", "op work ", NULL};
    static const char *const known[] = {"op other", "op work", NULL};
    char cursor[24] = "0";

    (void)state;
    struct claim *claim = claim_of_four(2);
    desk_settle("p", claim, 0, 1, LANE_HALT);
    claim_free(claim);
    struct lanes_answer answer = desk_claim("q", 16, 8);
    assert_int_equal(answer.claims.count, 0);
    assert_int_equal(answer.halted, 1);
    answer = adopt("q", strange, cursor);
    assert_int_equal(answer.claims.count, 0);
    assert_string_equal(cursor, "0");
    desk_assert_state("ann", "3 halted");
    answer = adopt("q", known, cursor);
    assert_int_equal(answer.claims.count, 1);
    assert_int_equal(answer.claims.first->operation_count, 3);
    assert_string_equal(answer.claims.first->operations[0].operation.id, ids[1]);
    desk_assert_state("ann", "3 claimed");
    desk_settle("q", answer.claims.first, 0, 3, LANE_RELEASE);
    desk_assert_state("ann", "gone");
    desk_drop(&answer);
}

/* More than a page of the scan holds, and more than one call may take. */
static void many_halted_lanes_are_adopted_in_the_end(void **state)
{
    enum { LANES = 700 };
    static const char *const known[] = {"op work", NULL};
    char cursor[24] = "0", name[32];
    int adopted = 0;

    (void)state;
    for (int i = 0; i < LANES; i++) {
        snprintf(name, sizeof name, "user-%d", i);
        desk_submit(name, "");
        struct claim *claim = desk_take("p", 1);
        desk_settle("p", claim, 0, 0, LANE_HALT);
        claim_free(claim);
    }
    for (int calls = 0; adopted < LANES && calls < LANES; calls++) {
        struct lanes_answer answer = adopt("q", known, cursor);
        assert_in_range(answer.claims.count, 0, 16);
        adopted += (int)answer.claims.count;
        desk_drop(&answer);
    }
    assert_int_equal(adopted, LANES);
    assert_int_equal(desk_number("HLEN", "heddle:{0}:halted", NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(settling_removes_the_operations_it_names_and_no_other),
        TEST(settling_goes_by_id_where_others_changed_the_lane),
        TEST(settling_the_same_again_changes_nothing),
        TEST(a_stale_claim_and_a_stranger_settle_nothing),
        TEST(each_disposition_leaves_the_lane_in_one_state),
        TEST(a_lane_that_waits_comes_again_with_its_attempt_counted),
        TEST(several_lanes_settle_in_one_call),
        TEST(a_malformed_settlement_is_refused_as_a_whole),
        TEST(halted_lanes_are_adopted_by_who_knows_their_operation),
        TEST(many_halted_lanes_are_adopted_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
