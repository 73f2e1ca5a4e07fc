/* Lanes put right from outside: rebuilt after a loss, given back, suspected. The functions of the
 * library, called directly. */
#include "desk.h"

#include "base/text.h"
#include "queue/rebuild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define A "00000000-0000-4000-8000-00000000000a"
#define B "00000000-0000-4000-8000-00000000000b"
#define C "00000000-0000-4000-8000-00000000000c"
#define X "00000000-0000-4000-8000-000000000001"
#define Y "00000000-0000-4000-8000-000000000002"

/* Of ann, named by a NULL-terminated list. */
static void submit_ids(const char *const *ids, bool is_journaled)
{
    for (; *ids; ids++) {
        const struct heddle_submission submission = {.user = TEXT("ann"),
                                                     .op = TEXT("work"),
                                                     .id = text_of(*ids),
                                                     .is_journaled = is_journaled};
        assert_int_equal(desk_submit_as(&submission).status, HEDDLE_OK);
    }
}

static size_t rebuild_after(const char *after, const char *const *ids, size_t *looked_at)
{
    struct heddle_operation operations[8] = {0};
    size_t count = 0, missing = 99, all;

    for (; ids[count]; count++) {
        struct heddle_operation *operation = &operations[count];
        strcpy(operation->id, ids[count]);
        operation->op = TEXT("work");
        operation->thread = TEXT("");
        operation->payload = TEXT("{}");
    }
    const struct rebuild_page page = {TEXT("ann"), after, operations, count};
    assert_int_equal(rebuild_lane(desk.link, &desk.command, 0, &page, &missing,
                                  looked_at ? looked_at : &all, &desk.err),
                     HEDDLE_OK);
    if (!looked_at)
        assert_int_equal(all, count);
    return missing;
}

static size_t rebuild(const char *const *ids)
{
    return rebuild_after(NULL, ids, NULL);
}

static void lose(const char *id)
{
    redis_reply_free(desk_call("LREM", "heddle:{0}:lane:ann", "1", id, NULL));
    redis_reply_free(desk_call("HDEL", "heddle:{0}:ops", id, NULL));
}

#define IDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void what_is_missing_is_told_id_by_id(void **state)
{
    const struct heddle_text ids[] = {TEXT(A), TEXT(X), TEXT(B), TEXT(Y)};
    bool is_missing[4];

    (void)state;
    submit_ids(IDS(A, B), true);
    assert_int_equal(
        rebuild_find_missing(desk.link, &desk.command, 0, ids, 4, is_missing, &desk.err),
        HEDDLE_OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(is_missing[i], i % 2);
}

static void a_lane_that_lost_nothing_stays_as_it_is(void **state)
{
    (void)state;
    submit_ids(IDS(A), true);
    submit_ids(IDS(X), false);
    submit_ids(IDS(B), true);
    assert_int_equal(rebuild(IDS(A, B)), 0);
    desk_assert_lane("ann", 3, IDS(A, X, B));
    desk_assert_state("ann", "3 ready");
}

static void a_lane_that_is_gone_comes_back_in_the_journals_order(void **state)
{
    (void)state;
    assert_int_equal(rebuild(IDS(A, B, C)), 3);
    desk_assert_lane("ann", 3, IDS(A, B, C));
    desk_assert_state("ann", "3 ready");
    struct claim *claim = desk_take("p", 8);
    assert_int_equal(claim->operation_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(claim->operations[i].is_journaled);
        assert_string_equal(claim->operations[i].operation.user.data, "ann");
    }
    /* Again while it is claimed: nothing moves. */
    assert_int_equal(rebuild(IDS(A, B, C)), 0);
    desk_assert_state("ann", "3 claimed");
    desk_settle("p", claim, 0, 3, LANE_RELEASE);
    claim_free(claim);
    desk_assert_state("ann", "gone");
}

static void what_was_lost_comes_before_the_rest_and_nothing_else_is_dropped(void **state)
{
    (void)state;
    submit_ids(IDS(A, B), true);
    submit_ids(IDS(X), false);
    submit_ids(IDS(C), true);
    lose(A);
    assert_int_equal(rebuild(IDS(A, B, C)), 1);
    desk_assert_lane("ann", 4, IDS(A, B, X, C));
    /* One from the middle brings those before it to the front as well. */
    lose(C);
    assert_int_equal(rebuild(IDS(A, B, C)), 1);
    desk_assert_lane("ann", 4, IDS(A, B, C, X));
    desk_assert_state("ann", "4 ready");
}

static void an_order_that_is_not_the_journals_is_mended(void **state)
{
    (void)state;
    submit_ids(IDS(C, A), true);
    submit_ids(IDS(X), false);
    submit_ids(IDS(B), true);
    assert_int_equal(rebuild(IDS(A, B, C)), 0);
    desk_assert_lane("ann", 4, IDS(A, X, B, C));
}

static void what_was_lost_from_the_depth_comes_behind_the_one_before_it(void **state)
{
    (void)state;
    submit_ids(IDS(A, B), true);
    submit_ids(IDS(X), false);
    submit_ids(IDS(C), true);
    lose(B);
    assert_int_equal(rebuild_after(A, IDS(B, C), NULL), 1);
    desk_assert_lane("ann", 4, IDS(A, B, X, C));
    /* At the end, and where the one before it has ended meanwhile. */
    lose(C);
    assert_int_equal(rebuild_after(B, IDS(C), NULL), 1);
    desk_assert_lane("ann", 4, IDS(A, B, C, X));
    lose(A);
    lose(B);
    lose(C);
    assert_int_equal(rebuild_after(B, IDS(C), NULL), 1);
    desk_assert_lane("ann", 2, IDS(C, X));
}

/* Nothing behind a crowd is moved in front of it: whoever asked goes on from there. */
static void what_stands_far_behind_stays_there(void **state)
{
    size_t looked_at = 0;

    (void)state;
    submit_ids(IDS(A), true);
    for (int i = 0; i < 2100; i++)
        desk_submit("ann", "");
    submit_ids(IDS(B, C), true);
    lose(A);
    assert_int_equal(rebuild_after(NULL, IDS(A, B, C), &looked_at), 1);
    assert_int_equal(looked_at, 2);
    AUTO_REPLY first = desk_call("LINDEX", "heddle:{0}:lane:ann", "0", NULL);
    AUTO_REPLY last = desk_call("LRANGE", "heddle:{0}:lane:ann", "-2", "-1", NULL);
    assert_string_equal(redis_reply_text(first).data, A);
    assert_string_equal(redis_reply_text(redis_reply_at(last, 0)).data, B);
    assert_string_equal(redis_reply_text(redis_reply_at(last, 1)).data, C);
}

/* Who runs a lane while it is rebuilt settles what it ran, and nothing that came in front of it. */
static void a_lane_is_rebuilt_under_its_holder(void **state)
{
    (void)state;
    submit_ids(IDS(B, C), true);
    struct claim *claim = desk_take("p", 2);
    assert_int_equal(rebuild(IDS(A, B, C)), 1);
    desk_assert_state("ann", "3 claimed");
    desk_settle("p", claim, 0, 2, LANE_RELEASE);
    claim_free(claim);
    desk_assert_lane("ann", 1, IDS(A));
    desk_assert_state("ann", "1 ready");
}

static void a_lane_that_waits_for_its_gap_is_ready_once_rebuilt(void **state)
{
    (void)state;
    submit_ids(IDS(B), true);
    struct claim *claim = desk_take("p", 1);
    const struct settlement gap = {.claim = claim, .disposition = LANE_GAP, .wait_ms = 30000};
    desk_settle_as("p", &gap, NULL, NULL);
    claim_free(claim);
    desk_assert_state("ann", "1 waiting");
    assert_int_equal(rebuild(IDS(A, B)), 1);
    desk_assert_state("ann", "2 ready");
    claim = desk_take("p", 2);
    assert_string_equal(claim->operations[0].operation.id, A);
    /* A gap is no attempt. */
    assert_int_equal(claim->operations[1].operation.attempt, 1);
    claim_free(claim);
}

static void a_rebuild_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    desk_refused("expected", "FCALL", "heddle_rebuild", "1", "heddle:{0}", NULL);
    desk_refused("expected", "FCALL", "heddle_rebuild", "1", "heddle:{0}", "ann", "", "work", "",
                 "{}", NULL);
    desk_assert_state("ann", "gone");
}

/* Knows every claim but the one of this number. */
static bool is_seq(void *argument, struct heddle_text lane, uint64_t seq)
{
    (void)lane;
    return seq == *(uint64_t *)argument;
}

static void claims_that_nobody_knows_of_are_given_back_and_no_other(void **state)
{
    char cursor[24] = "0";

    (void)state;
    desk_submit("ann", "");
    desk_submit("bob", "");
    struct claim *known = desk_take("p", 1), *lost = desk_take("p", 1);
    uint64_t seq = lost->seq;
    desk_assert_state("bob", "1 claimed");
    for (int calls = 0; calls < 2; calls++) {
        assert_int_equal(
            lanes_give_back(desk.link, &desk.command, 0, "p", cursor, is_seq, &seq, &desk.err),
            HEDDLE_OK);
        assert_string_equal(cursor, "0");
        desk_assert_state("ann", "1 claimed");
        desk_assert_state("bob", "1 ready");
    }
    claim_free(known);
    claim_free(lost);
}

static void suspect(const char *processor, const char *lane, const char *id, int poison_crashes)
{
    assert_int_equal(
        lanes_suspect(desk.link, &desk.command, 0, processor, lane, id, poison_crashes, &desk.err),
        HEDDLE_OK);
}

static struct claim *adopt_suspect(void)
{
    static const char *const reasons[] = {"suspect", NULL};
    const struct lanes_request request = desk_request("quarantine", 1, 1);
    struct lanes_answer answer;
    char cursor[24] = "0";

    assert_int_equal(
        lanes_adopt(desk.link, &desk.command, 0, &request, reasons, cursor, &answer, &desk.err),
        HEDDLE_OK);
    return desk_only(&answer);
}

static void a_suspect_is_charged_for_its_crashes_alone_and_given_up_in_the_end(void **state)
{
    (void)state;
    submit_ids(IDS(A, B), false);
    struct claim *claim = desk_take("p", 2);
    claim_free(claim);
    /* The crash among others accuses nobody yet. */
    suspect("p", "ann", A, 0);
    desk_assert_state("ann", "2 halted");
    for (int crash = 1; crash <= 3; crash++) {
        claim = adopt_suspect();
        assert_string_equal(claim->operations[0].operation.id, A);
        assert_false(claim->operations[0].is_poisoned);
        claim_free(claim);
        suspect("quarantine", "ann", A, 3);
    }
    claim = adopt_suspect();
    assert_true(claim->operations[0].is_poisoned);
    desk_settle("quarantine", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    /* Its neighbour was not charged. */
    claim = desk_take("p", 1);
    assert_string_equal(claim->operations[0].operation.id, B);
    assert_false(claim->operations[0].is_poisoned);
    claim_free(claim);
}

static void a_lane_that_is_not_the_dead_ones_any_more_is_not_suspected(void **state)
{
    (void)state;
    submit_ids(IDS(A), false);
    struct claim *claim = desk_take("q", 1);
    suspect("p", "ann", A, 1);
    desk_assert_state("ann", "1 claimed");
    suspect("p", "nobody", A, 1);
    desk_assert_state("nobody", "gone");
    desk_settle("q", claim, 0, 0, LANE_RELEASE);
    claim_free(claim);
    claim = desk_take("q", 1);
    assert_false(claim->operations[0].is_poisoned);
    claim_free(claim);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_missing_is_told_id_by_id),
        TEST(a_lane_that_lost_nothing_stays_as_it_is),
        TEST(a_lane_that_is_gone_comes_back_in_the_journals_order),
        TEST(what_was_lost_comes_before_the_rest_and_nothing_else_is_dropped),
        TEST(an_order_that_is_not_the_journals_is_mended),
        TEST(what_was_lost_from_the_depth_comes_behind_the_one_before_it),
        TEST(what_stands_far_behind_stays_there),
        TEST(a_lane_is_rebuilt_under_its_holder),
        TEST(a_lane_that_waits_for_its_gap_is_ready_once_rebuilt),
        TEST(a_rebuild_that_makes_no_sense_is_refused),
        TEST(claims_that_nobody_knows_of_are_given_back_and_no_other),
        TEST(a_suspect_is_charged_for_its_crashes_alone_and_given_up_in_the_end),
        TEST(a_lane_that_is_not_the_dead_ones_any_more_is_not_suspected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
