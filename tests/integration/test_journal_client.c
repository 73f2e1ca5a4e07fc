/* The C client's durable side, against a real Postgres. */
#include "fixture.h"

#include "base/text.h"
#include "heddle/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ID "00000000-0000-4000-8000-000000000001"

static struct heddle_journal *journal;
static struct heddle_error err;

static int set_up(void **state)
{
    (void)state;
    fixture_migrate();
    tell("truncate heddle.operations, heddle.lane_tails, heddle.lane_heads, heddle.outbox");
    return heddle_journal_new(fixture_postgres(), FIXTURE_PATIENCE_MS, &journal, &err);
}

static int tear_down(void **state)
{
    (void)state;
    heddle_journal_free(journal);
    journal = NULL;
    fixture_done();
    return 0;
}

static struct heddle_submission say(const char *user, const char *payload)
{
    return (struct heddle_submission){.user = text_of(user),
                                      .op = TEXT("say"),
                                      .thread = TEXT(""),
                                      .payload = text_of(payload),
                                      .id = TEXT("")};
}

static void submissions_are_accepted_together_in_their_order_with_their_options(void **state)
{
    struct heddle_submission submissions[] = {say("bob", "{\"n\":1}"), say("ann", "{\"n\":2}"),
                                              say("bob", "{\"n\":3}")};
    struct heddle_receipt receipts[3];

    (void)state;
    submissions[1].id = TEXT(ID);
    submissions[2].policy =
        (struct heddle_policy){.attempts = 3, .on_failure = HEDDLE_ON_FAILURE_PARK};
    assert_int_equal(heddle_journal_submit(journal, submissions, 3, receipts, &err), HEDDLE_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(receipts[i].status, HEDDLE_OK);
        assert_string_equal(receipts[i].state, "queued");
        assert_string_equal(
            ask("select payload->>'n' from heddle.operations where id = '%s'", receipts[i].id),
            i == 0   ? "1"
            : i == 1 ? "2"
                     : "3");
    }
    assert_string_equal(receipts[1].id, ID);
    assert_string_equal(
        ask("select string_agg(payload->>'n', ' ' order by seq) from heddle.operations"
            " where user_id = 'bob'"),
        "1 3");
    assert_string_equal(
        ask("select options->>'attempts' || (options->>'on_failure') from heddle.operations"
            " where id = '%s'",
            receipts[2].id),
        "3park");
    assert_string_equal(ask("select count(*) from heddle.outbox"), "3");
    /* Again is the same. */
    assert_int_equal(heddle_journal_submit(journal, &submissions[1], 1, receipts, &err), HEDDLE_OK);
    assert_int_equal(receipts[0].status, HEDDLE_OK);
    assert_string_equal(ask("select count(*) from heddle.operations"), "3");
}

static void what_a_submission_asks_for_stands_in_the_row(void **state)
{
    struct heddle_submission submissions[] = {say("ann", "{}"), say("ann", "{}")};
    struct heddle_receipt receipts[2];
    struct heddle_text long_name = text_of(ask("select repeat('x', 201)"));

    (void)state;
    submissions[0].flow = (struct heddle_flow){.expires_ms = 7,
                                               .priority = HEDDLE_PRIORITY_BULK,
                                               .batch = TEXT("a \"b\""),
                                               .unique_key = TEXT("k"),
                                               .unique_ms = 9,
                                               .replaces = true};
    /* Together and one by one. */
    assert_int_equal(heddle_journal_submit(journal, submissions, 2, receipts, &err), HEDDLE_OK);
    assert_int_equal(receipts[0].status, HEDDLE_OK);
    static const char expected[] =
        "2 a \"b\" {\"batch\": \"a \\\"b\\\"\", \"priority\": \"bulk\", \"expires_ms\": 7}";
    static const char query[] = "select class || ' ' || batch || ' ' || options::text"
                                " from heddle.operations where id = '%s'";
    assert_string_equal(ask(query, receipts[0].id), expected);
    assert_string_equal(ask("select class || coalesce(batch, '-') || coalesce(options::text, '-')"
                            " from heddle.operations where id = '%s'",
                            receipts[1].id),
                        "0--");
    submissions[0].flow.unique_key = TEXT("l");
    assert_int_equal(heddle_journal_submit(journal, submissions, 1, receipts, &err), HEDDLE_OK);
    assert_string_equal(ask(query, receipts[0].id), expected);
    submissions[0].flow.batch = long_name;
    assert_int_equal(heddle_journal_submit(journal, submissions, 2, receipts, &err), HEDDLE_OK);
    assert_int_equal(receipts[0].status, HEDDLE_REFUSED);
    assert_string_equal(receipts[0].error.text,
                        "batch must be 1 to 200 bytes of UTF-8 without NUL");
    assert_int_equal(receipts[1].status, HEDDLE_OK);
}

static void one_that_is_refused_says_so_and_keeps_no_other_back(void **state)
{
    const struct heddle_submission submissions[] = {say("ann", ""), say("ann", "[]"), say("", "{}"),
                                                    say("ann", "{}")};
    struct heddle_receipt receipts[4];

    (void)state;
    assert_int_equal(heddle_journal_submit(journal, submissions, 4, receipts, &err), HEDDLE_OK);
    assert_int_equal(receipts[0].status, HEDDLE_OK);
    assert_int_equal(receipts[1].status, HEDDLE_REFUSED);
    assert_string_equal(receipts[1].error.text, "payload must be a JSON object");
    assert_int_equal(receipts[2].status, HEDDLE_REFUSED);
    assert_int_equal(receipts[2].error.kind, HEDDLE_KIND_INVALID);
    assert_int_equal(receipts[3].status, HEDDLE_OK);
    assert_string_equal(ask("select count(*) from heddle.operations"), "2");
}

static void a_lost_connection_is_opened_again(void **state)
{
    const struct heddle_submission submission = say("ann", "{}");
    struct heddle_receipt receipt;

    (void)state;
    assert_int_equal(heddle_journal_submit(journal, &submission, 1, &receipt, &err), HEDDLE_OK);
    tell("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'heddle "
         "client'");
    ask_until("0",
              "select count(*) from pg_stat_activity where application_name = 'heddle client'");
    heddle_status status = heddle_journal_submit(journal, &submission, 1, &receipt, &err);
    if (status == HEDDLE_RETRY)
        status = heddle_journal_submit(journal, &submission, 1, &receipt, &err);
    assert_int_equal(status, HEDDLE_OK);
    assert_int_equal(receipt.status, HEDDLE_OK);
}

static void a_string_that_makes_no_sense_is_fatal(void **state)
{
    struct heddle_journal *none;

    (void)state;
    assert_int_equal(heddle_journal_new("not=a=string", 100, &none, &err), HEDDLE_FATAL);
    heddle_journal_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(submissions_are_accepted_together_in_their_order_with_their_options),
        TEST(what_a_submission_asks_for_stands_in_the_row),
        TEST(one_that_is_refused_says_so_and_keeps_no_other_back),
        TEST(a_lost_connection_is_opened_again),
        TEST(a_string_that_makes_no_sense_is_fatal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
