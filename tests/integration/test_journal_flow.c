/* Operations of the journal that are for later, that have a unique key, that expire: as
 * sql/0007_flow.sql and 0008_later.sql have it. */
#include "case.h"

#include "base/arena.h"
#include "base/text.h"
#include "heddle/client.h"
#include "ledger/journal.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYED(user, payload, more)                                                                 \
    "select heddle.submit('" user "', 'work', '" payload "', unique_key => 'k'" more ")"

static int set_up(void **state)
{
    tell("truncate heddle.parked, heddle.uniques");
    return case_set_up(state);
}

static void schedule(const char *id, const char *user, const char *delay)
{
    ask("select heddle.submit('%s', 'work', id => '%s', delay => '%s')", user, id, delay);
}

/* So much time has passed for what is scheduled. */
static void pass(const char *interval)
{
    tell("update heddle.parked set due_at = due_at - interval '%s',"
         " asked_at = asked_at - interval '%s'",
         interval, interval);
}

static void assert_lane(const char *expected)
{
    assert_string_equal(
        ask("select coalesce(string_agg(right(id::text, 1), ' ' order by seq), '')"
            " from heddle.operations where seq is not null and finished_at is null"),
        expected);
}

static void what_is_scheduled_is_in_no_lane_until_it_is_due(void **state)
{
    (void)state;
    schedule(FIRST, "ann", "1 hour");
    case_submit(SECOND, "ann");
    assert_string_equal(case_state(FIRST), "scheduled");
    assert_string_equal(ask("select count(*) from heddle.outbox where id = '" FIRST "'"), "0");
    case_assert_enters(FIRST, 1, NULL, "HD004");
    assert_int_equal(ledger_reason_for(&scene.err), LEDGER_IS_PARKED);
    /* The same again is the same, and neither are they adrift. */
    schedule(FIRST, "ann", "2 hours");
    assert_string_equal(ask("select count(*) from heddle.parked"), "1");
    assert_true(atoi(ask("select heddle.unpark(10)")) > 3500000);
    assert_lane("2");
    pass("1 hour");
    assert_string_equal(ask("select heddle.unpark(10) is null"), "t");
    assert_string_equal(case_state(FIRST), "queued");
    assert_lane("2 1");
    case_assert_enters(FIRST, 1, NULL, "HD002");
    case_assert_enters(SECOND, 1, NULL, NULL);
}

/* As what is submitted: the relay sleeps on only where nobody has this lock, or is told. */
static void the_relay_is_told_of_what_is_scheduled(void **state)
{
    (void)state;
    scene_hold("select heddle.submit('ann', 'work', delay => '1 second')");
    assert_string_equal(ask("select count(*) from pg_locks where locktype = 'advisory'"
                            " and mode = 'ShareLock' and (classid::bigint << 32) + objid::bigint"
                            " = 7522537965569666159"),
                        "1");
    scene_let_go();
}

static void a_time_that_has_passed_is_now(void **state)
{
    (void)state;
    ask("select heddle.submit('ann', 'work', id => '" FIRST "', at => now() - interval '1 s')");
    assert_string_equal(case_state(FIRST), "queued");
    assert_lane("1");
}

static void those_that_are_due_enter_in_due_order_whoever_has_the_tail(void **state)
{
    (void)state;
    schedule(THIRD, "ann", "3 hours");
    schedule(FIRST, "ann", "1 hour");
    schedule(SCENE_ID(5), "bob", "1 hour");
    pass("2 hours");
    scene_hold("select heddle.submit('ann', 'work', id => '" SCENE_ID(9) "')");
    ask("select heddle.unpark(10)");
    assert_string_equal(case_state(FIRST), "scheduled");
    assert_string_equal(case_state(SCENE_ID(5)), "queued");
    /* Due after the first one, and looked at before it. */
    schedule(SECOND, "ann", "1 hour");
    pass("1 hour");
    tell("update heddle.parked set due_at = now() + interval '1 hour' where id = '" FIRST "'");
    scene_let_go();
    ask("select heddle.unpark(10)");
    assert_string_equal(ask("select string_agg(right(id::text, 1), ' ' order by seq)"
                            " from heddle.operations where user_id = 'ann' and seq is not null"),
                        "1 3 2");
    assert_string_equal(ask("select count(*) from heddle.parked"), "0");
}

static void one_that_is_cancelled_ends_in_its_lane_at_once(void **state)
{
    (void)state;
    schedule(FIRST, "ann", "1 hour");
    assert_string_equal(ask("select heddle.cancel('" FIRST "')"), "cancelled");
    assert_string_equal(ask("select heddle.unpark(10) is null"), "t");
    assert_lane("1");
    case_assert_enters(FIRST, 1, NULL, "HD005");
    case_assert_enters(FIRST, 1, "cancelled", NULL);
}

static void what_counts_since_submission_counts_since_it_was_due(void **state)
{
    struct journal_page page;
    struct arena arena;

    (void)state;
    schedule(FIRST, "ann", "1 hour");
    pass("2 hours");
    ask("select heddle.unpark(10)");
    arena_init(&arena, 0);
    assert_int_equal(journal_outbox(scene.a, NULL, 0, 10, &arena, &page, &scene.err), HEDDLE_OK);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.entries[0].operation.submitted_us / 1000,
                     page.entries[0].operation.flow.at_ms);
    assert_string_equal(ask("select submitted_at + interval '59 minutes' <"
                            " to_timestamp((options ->> 'at_ms')::bigint / 1000)"
                            " from heddle.operations"),
                        "t");
    arena_done(&arena);
}

static void the_second_is_the_first_until_that_has_ended(void **state)
{
    char first[40];

    (void)state;
    snprintf(first, sizeof first, "%s", ask(KEYED("ann", "{}", ", id => '" FIRST "'")));
    assert_string_equal(first, FIRST);
    assert_string_equal(ask(KEYED("ann", "{}", ", id => '" SECOND "'")), FIRST);
    assert_string_not_equal(ask(KEYED("bob", "{}", "")), FIRST);
    assert_string_not_equal(
        ask("select heddle.submit('ann', 'more', unique_key => 'k', id => '" THIRD "')"), FIRST);
    case_finish(FIRST, HEDDLE_END_DONE);
    assert_string_equal(ask(KEYED("ann", "{}", ", id => '" SECOND "'")), SECOND);
    assert_string_equal(ask(KEYED("ann", "{}", "")), SECOND);
    assert_string_equal(ask("select heddle.cancel('" SECOND "')"), "cancelled");
    assert_string_not_equal(ask(KEYED("ann", "{}", "")), SECOND);
}

static void a_key_with_a_time_counts_for_that_time(void **state)
{
    (void)state;
    ask(KEYED("ann", "{}", ", unique_for => '1 hour', id => '" FIRST "'"));
    case_finish(FIRST, HEDDLE_END_DONE);
    assert_string_equal(ask(KEYED("ann", "{}", "")), FIRST);
    tell("update heddle.uniques set until = now()");
    assert_string_not_equal(ask(KEYED("ann", "{}", "")), FIRST);
}

static void one_that_is_scheduled_gets_the_newest_payload(void **state)
{
    (void)state;
    ask(KEYED("ann", "{\"n\":1}", ", delay => '1 hour', id => '" FIRST "'"));
    assert_string_equal(ask(KEYED("ann", "{\"n\":2}", ", replace => true")), FIRST);
    assert_string_equal(ask(KEYED("ann", "{\"n\":3}", ", delay => '2 hours', replace => true")),
                        FIRST);
    assert_string_equal(ask("select payload || ' ' || state || ' ' || (digest = heddle.digest("
                            "user_id, op, thread, payload::text)) from heddle.operations"),
                        "{\"n\": 3} scheduled true");
    pass("1 hour");
    assert_string_equal(ask("select heddle.unpark(10) is null"), "t");
    case_assert_enters(FIRST, 1, NULL, NULL);
}

static void one_that_is_queued_makes_way(void **state)
{
    (void)state;
    ask(KEYED("ann", "{\"n\":1}", ", id => '" FIRST "'"));
    assert_string_equal(ask(KEYED("ann", "{\"n\":2}", ", replace => true, id => '" SECOND "'")),
                        SECOND);
    assert_string_equal(case_state(FIRST), "cancelled");
    case_assert_enters(FIRST, 1, NULL, "HD005");
    /* Both have their places. */
    assert_lane("1 2");
    assert_string_equal(ask(KEYED("ann", "{}", "")), SECOND);
}

static void one_that_has_begun_is_left(void **state)
{
    (void)state;
    ask(KEYED("ann", "{\"n\":1}", ", id => '" FIRST "'"));
    scene_hold("select from heddle.operations where id = '" FIRST "' for update");
    assert_string_equal(ask(KEYED("ann", "{\"n\":2}", ", replace => true, id => '" SECOND "'")),
                        SECOND);
    scene_let_go();
    assert_string_equal(case_state(FIRST), "queued");
    assert_string_equal(case_state(SECOND), "queued");
    assert_int_equal(case_charge(FIRST, 1, "retrying"), HEDDLE_OK);
    tell("update heddle.uniques set id = '" FIRST "'");
    assert_string_equal(ask(KEYED("ann", "{\"n\":3}", ", replace => true, id => '" THIRD "'")),
                        THIRD);
    assert_string_equal(case_state(FIRST), "retrying");
    assert_string_equal(case_state(SECOND), "queued");
}

static void of_two_at_once_one_waits_for_the_other(void **state)
{
    (void)state;
    scene_hold(KEYED("ann", "{}", ", id => '" FIRST "'"));
    tell("set lock_timeout = '50ms'");
    tell("do $$ begin perform heddle.submit('ann', 'work', unique_key => 'k');"
         " raise 'it did not wait'; exception when lock_not_available then end $$");
    tell("reset lock_timeout");
    /* Where that one comes to nothing, the key is free. */
    scene_let_go();
    assert_string_not_equal(ask(KEYED("ann", "{}", "")), FIRST);
}

static void keys_that_count_no_more_are_forgotten(void **state)
{
    (void)state;
    ask("select heddle.submit('ann', 'work', unique_key => 'ended', id => '" FIRST "')");
    ask("select heddle.submit('ann', 'work', unique_key => 'waits', id => '" SECOND "')");
    ask("select heddle.submit('ann', 'work', unique_key => 'over', unique_for => '1 hour')");
    ask("select heddle.submit('ann', 'work', unique_key => 'lasts', unique_for => '1 hour')");
    case_finish(FIRST, HEDDLE_END_DONE);
    tell("select heddle.forget_uniques(100)");
    assert_string_equal(ask("select count(*) from heddle.uniques"), "4");
    tell("update heddle.uniques set look_at = now() where key <> 'lasts';"
         "update heddle.uniques set until = now() where key = 'over';"
         "select heddle.forget_uniques(100)");
    assert_string_equal(ask("select string_agg(key, ' ' order by key) from heddle.uniques"
                            " where look_at > now()"),
                        "lasts waits");
    assert_string_equal(ask("select count(*) from heddle.uniques"), "2");
}

static void submissions_are_told_whose_the_key_is(void **state)
{
    struct heddle_submission submissions[4];
    struct heddle_receipt receipts[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        submissions[i] = (struct heddle_submission){.user = TEXT("ann"),
                                                    .op = TEXT("work"),
                                                    .payload = TEXT("{}"),
                                                    .flow = {.unique_key = TEXT("k")}};
    submissions[0].flow.unique_key = TEXT("");
    submissions[2].op = TEXT("Not fit");
    submissions[1].flow.delay_ms = 1000000;
    for (size_t count = 4; count > 0; count -= 3) {
        assert_int_equal(
            journal_submit(scene.a, submissions + 4 - count, count, receipts, &scene.err),
            HEDDLE_OK);
        assert_string_equal(receipts[count - 1].state, "scheduled");
        assert_string_equal(ask("select id from heddle.uniques"), receipts[count - 1].id);
        assert_string_equal(ask("select count(*) from heddle.operations"), "2");
        if (count == 1)
            break;
        assert_string_equal(receipts[0].state, "queued");
        assert_string_equal(receipts[1].state, "scheduled");
        assert_string_equal(receipts[1].id, receipts[3].id);
        assert_int_equal(receipts[2].status, HEDDLE_REFUSED);
    }
}

static struct claim *claim_late(const char *id, int attempt)
{
    struct claim *claim = runs_claim(id, "ann", "send_message", SCENE_THREAD,
                                     "{\"role\": \"user\", \"content\": \"late\"}");

    claim->operations[0].operation.flow.expires_ms = 1;
    claim->operations[0].operation.attempt = attempt;
    return claim;
}

static void assert_expired(const char *id, bool is_expired)
{
    assert_string_equal(
        ask("select state || ' ' || code || ' ' || coalesce(error ->> 'kind', '-') || ' ' ||"
            " (select count(*) from heddle.attempts) || ' ' ||"
            " (select count(*) from chat.messages where content = 'late')"
            " from heddle.operations where id = '%s'",
            id),
        is_expired ? "cancelled 410 expired 0 0" : "done 200 - 0 1");
}

static void what_has_not_begun_in_time_ends_and_has_no_effect(void **state)
{
    (void)state;
    struct claim *claim = claim_late(FIRST, 1);
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_RELEASE);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_CANCELLED);
    assert_non_null(strstr(claim->operations[0].result.data, "\"code\":410"));
    assert_expired(FIRST, true);
    /* Delivered again it is what it was. */
    runs_rewind(claim);
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_RELEASE);
    assert_expired(FIRST, true);
    claim_free(claim);
}

static void one_of_the_journal_takes_its_place(void **state)
{
    (void)state;
    ask("select heddle.submit('ann', 'send_message', '{\"role\": \"user\", \"content\": \"late\"}',"
        " '" SCENE_THREAD "', '" FIRST "', expires => '1 ms')");
    case_submit(SECOND, "ann");
    struct claim *claim = claim_late(FIRST, 1);
    claim->operations[0].is_journaled = true;
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_RELEASE);
    assert_expired(FIRST, true);
    case_assert_enters(SECOND, 1, NULL, NULL);
    claim_free(claim);
}

static void what_has_begun_does_not_expire(void **state)
{
    (void)state;
    ask("select heddle.submit('ann', 'send_message', '{\"role\": \"user\", \"content\": \"late\"}',"
        " '" SCENE_THREAD "', '" FIRST "', expires => '1 ms')");
    tell("update heddle.operations set attempt = 1, state = 'retrying' where id = '" FIRST "'");
    struct claim *claim = claim_late(FIRST, 1);
    claim->operations[0].is_journaled = true;
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_RELEASE);
    assert_expired(FIRST, false);
    claim_free(claim);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_scheduled_is_in_no_lane_until_it_is_due),
        TEST(the_relay_is_told_of_what_is_scheduled),
        TEST(a_time_that_has_passed_is_now),
        TEST(those_that_are_due_enter_in_due_order_whoever_has_the_tail),
        TEST(one_that_is_cancelled_ends_in_its_lane_at_once),
        TEST(what_counts_since_submission_counts_since_it_was_due),
        TEST(the_second_is_the_first_until_that_has_ended),
        TEST(a_key_with_a_time_counts_for_that_time),
        TEST(one_that_is_scheduled_gets_the_newest_payload),
        TEST(one_that_is_queued_makes_way),
        TEST(one_that_has_begun_is_left),
        TEST(of_two_at_once_one_waits_for_the_other),
        TEST(keys_that_count_no_more_are_forgotten),
        TEST(submissions_are_told_whose_the_key_is),
        TEST(what_has_not_begun_in_time_ends_and_has_no_effect),
        TEST(one_of_the_journal_takes_its_place),
        TEST(what_has_begun_does_not_expire),
    };
    return cmocka_run_group_tests(tests, scene_open_prepared, scene_close);
}
