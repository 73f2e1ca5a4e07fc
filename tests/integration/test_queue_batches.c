/* Batches as the queue counts them: direct operations that have not ended, each once. */
#include "desk.h"

#include "base/text.h"
#include "queue/batches.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID "0190a1b2-c3d4-8e5f-8001-000a1234abcd"

static struct heddle_receipt submit_to(const char *batch, const char *user, const char *id)
{
    const struct heddle_submission submission = {.user = text_of(user),
                                                 .op = TEXT("work"),
                                                 .payload = TEXT("{}"),
                                                 .id = text_of(id),
                                                 .policy = {.attempts = 3},
                                                 .flow = {.batch = text_of(batch)}};

    return desk_submit_as(&submission);
}

static int64_t pending(const char *batch)
{
    int64_t count;

    assert_int_equal(partition_batches(desk.link, 1, &batch, 1, &count, &desk.err), HEDDLE_OK);
    return count;
}

static int64_t running(const char *batch)
{
    int64_t count;

    assert_int_equal(partition_batch_running(desk.link, 1, batch, &count, &desk.err), HEDDLE_OK);
    return count;
}

/* Of the claim's operations so many are settled. */
static void settle(struct claim *claim, size_t count)
{
    desk_settle("p", claim, 0, count, count == claim->operation_count ? LANE_RELEASE : LANE_KEEP);
    claim_free(claim);
}

static void each_counts_once_until_it_has_ended(void **state)
{
    (void)state;
    submit_to("a ü", "ann", ID);
    assert_string_equal(submit_to("a ü", "ann", ID).state, "queued");
    submit_to("a ü", "bob", "");
    submit_to("b", "ann", "");
    desk_submit("ann", "{}");
    assert_int_equal(pending("a ü"), 2);
    assert_int_equal(pending("b"), 1);
    assert_int_equal(pending("c"), 0);
    struct lanes_answer answer = desk_claim("p", 2, 8);
    struct claim *ann = claim_list_pop(&answer.claims), *bob = claim_list_pop(&answer.claims);
    assert_int_equal(running("a ü"), 2);
    assert_int_equal(running("b"), 1);
    desk_settle("p", ann, 0, 1, LANE_KEEP);
    /* Once more, after a lost answer. */
    desk_settle("p", ann, 0, 1, LANE_KEEP);
    assert_int_equal(pending("a ü"), 1);
    assert_int_equal(running("a ü"), 1);
    desk_settle("p", ann, 1, 2, LANE_RELEASE);
    claim_free(ann);
    settle(bob, 1);
    assert_int_equal(pending("a ü") + pending("b"), 0);
    assert_null(strstr(desk_keys(), "batches"));
}

/* A settlement that comes too late takes nothing away. */
static void what_another_processor_settles_counts_once(void **state)
{
    (void)state;
    submit_to("b", "ann", "");
    struct claim *claim = desk_take("p", 1);
    desk_release("p");
    struct claim *taken = desk_take("q", 1);
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    assert_int_equal(pending("b"), 1);
    desk_settle("q", taken, 0, 1, LANE_RELEASE);
    assert_int_equal(pending("b"), 0);
    claim_free(claim);
    claim_free(taken);
}

static void what_the_journal_has_is_counted_there(void **state)
{
    struct heddle_submission submission = {.user = TEXT("ann"),
                                           .op = TEXT("work"),
                                           .payload = TEXT("{}"),
                                           .id = TEXT(ID),
                                           .is_journaled = true,
                                           .flow = {.batch = TEXT("b")}};

    (void)state;
    desk_submit_as(&submission);
    assert_int_equal(pending("b"), 0);
    struct claim *claim = desk_take("p", 1);
    assert_int_equal(running("b"), 1);
    settle(claim, 1);
    /* One that was direct until the journal spoke of it. */
    submit_to("b", "ann", ID);
    assert_int_equal(pending("b"), 1);
    desk_submit_as(&submission);
    desk_submit_as(&submission);
    assert_int_equal(pending("b"), 0);
    submit_to("b", "bob", "");
    settle(desk_take("p", 1), 1);
    settle(desk_take("p", 1), 1);
    assert_int_equal(pending("b"), 0);
}

static bool is_cancelled(const struct claim *claim, size_t index)
{
    return claimed_cancel_cause(&claim->operations[index]) == CANCEL_ASKED;
}

static void what_is_cancelled_ends_so_when_its_turn_comes_and_others_do_not(void **state)
{
    int64_t cancelled = 0;

    (void)state;
    for (int i = 0; i < 1200; i++)
        submit_to(i % 2 ? "b" : "c", i % 3 ? "ann" : "bob", "");
    assert_int_equal(partition_batch_cancel(desk.link, 1, "b", &cancelled, &desk.err), HEDDLE_OK);
    assert_int_equal(cancelled, 600);
    cancelled = 0;
    assert_int_equal(partition_batch_cancel(desk.link, 1, "b", &cancelled, &desk.err), HEDDLE_OK);
    assert_int_equal(cancelled, 0);
    assert_int_equal(pending("b"), 600);
    struct claim *claim = desk_take("p", 4);
    for (size_t i = 0; i < claim->operation_count; i++)
        assert_int_equal(is_cancelled(claim, i),
                         text_equal(claim->operations[i].operation.flow.batch, TEXT("b")));
    settle(claim, 4);
    assert_int_equal(pending("b") + pending("c"), 1196);
}

/* It would hold up what follows the batch until it is due. */
static void what_is_cancelled_does_not_wait_until_it_is_due(void **state)
{
    struct heddle_submission submission = {.user = TEXT("ann"),
                                           .op = TEXT("work"),
                                           .payload = TEXT("{}"),
                                           .flow = {.batch = TEXT("b"), .delay_ms = 3600000}};
    int64_t cancelled = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        desk_submit_as(&submission);
    submission.flow.batch = TEXT("c");
    desk_submit_as(&submission);
    desk_assert_state("ann", "gone");
    assert_int_equal(partition_batch_cancel(desk.link, 1, "b", &cancelled, &desk.err), HEDDLE_OK);
    assert_int_equal(cancelled, 3);
    struct claim *claim = desk_take("p", 8);
    assert_int_equal(claim->operation_count, 3);
    assert_true(is_cancelled(claim, 0) && is_cancelled(claim, 2));
    settle(claim, 3);
    assert_int_equal(pending("b"), 0);
    assert_int_equal(pending("c"), 1);
}

static void note(void *argument, const char *name, int64_t count)
{
    char *seen = argument;

    sprintf(seen + strlen(seen), "%s=%d ", name, (int)count);
}

static void they_are_listed(void **state)
{
    char seen[100] = "";

    (void)state;
    submit_to("b", "ann", "");
    submit_to("b", "bob", "");
    assert_int_equal(partition_batch_list(desk.link, 1, note, seen, &desk.err), HEDDLE_OK);
    assert_string_equal(seen, "b=2 ");
    desk_refused("NAME CURSOR", "FCALL", "heddle_batch_cancel", "1", "heddle:{0}", "b", NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_counts_once_until_it_has_ended),
        TEST(what_another_processor_settles_counts_once),
        TEST(what_the_journal_has_is_counted_there),
        TEST(what_is_cancelled_ends_so_when_its_turn_comes_and_others_do_not),
        TEST(what_is_cancelled_does_not_wait_until_it_is_due),
        TEST(they_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
