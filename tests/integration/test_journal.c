/* Durable operations in a real Postgres: their numbers, their order, and that nobody waits for whom
 * he need not. */
#include "scene.h"

#include "base/text.h"
#include "base/thread.h"
#include "engine/relay.h"
#include "ledger/journal.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char rebuilt[64]; /* lanes that were asked to be rebuilt */

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane);

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane)
{
    (void)relay;
    size_t used = strlen(rebuilt);
    snprintf(rebuilt + used, sizeof rebuilt - used, "%s.", lane.data);
}

static int set_up(void **state)
{
    tell("truncate heddle.lane_tails, heddle.lane_heads, heddle.outbox");
    rebuilt[0] = '\0';
    return scene_set_up(state);
}

/* The lane's chain: every number is known to the one behind it, and to no other. */
static void assert_chain(const char *user)
{
    assert_string_equal(
        ask("select count(*) from (select prev, lag(seq, 1, 0::bigint) over (order by seq) as "
            "before"
            " from heddle.operations where user_id = '%s') as c where prev <> before",
            user),
        "0");
}

static const char *message(int n)
{
    static char payload[4][80];

    snprintf(payload[n % 4], sizeof *payload, "{\"role\":\"user\",\"content\":\"number %d\"}", n);
    return payload[n % 4];
}

static void id_of(int n, char id[HEDDLE_ID_SIZE + 1])
{
    strcpy(id, SCENE_ID(0));
    id[HEDDLE_ID_SIZE - 2] = '1';
    id[HEDDLE_ID_SIZE - 1] = (char)('0' + n);
}

static heddle_status submit_as(struct pg_link *link, const char *id, const char *payload)
{
    const struct heddle_submission submission = {
        .user = TEXT("ann"),
        .op = TEXT("send_message"),
        .thread = TEXT(SCENE_THREAD),
        .payload = text_of(payload),
        .id = text_of(id),
    };
    struct heddle_receipt receipt;

    heddle_status status = journal_submit(link, &submission, 1, &receipt, &scene.err);
    return status == HEDDLE_OK ? receipt.status : status;
}

/* Submits ann's n-th message. */
static heddle_status submit(struct pg_link *link, int n, char id[HEDDLE_ID_SIZE + 1])
{
    id_of(n, id);
    return submit_as(link, id, message(n));
}

static struct claim *claim_of(int n)
{
    char id[HEDDLE_ID_SIZE + 1];

    id_of(n, id);
    struct claim *claim = runs_claim(id, "ann", "send_message", SCENE_THREAD, message(n));
    claim->operations[0].is_journaled = true;
    return claim;
}

static enum disposition execute(int n, enum heddle_end *end)
{
    struct claim *claim = claim_of(n);

    enum disposition disposition = runs_execute(&scene.runs, claim);
    *end = claim->operations[0].end;
    claim_free(claim);
    return disposition;
}

static const char *contents(void)
{
    return ask("select string_agg(right(content, 1), '' order by seq) from chat.messages"
               " where seq > 1");
}

static void submit_all(int count)
{
    char id[HEDDLE_ID_SIZE + 1];

    for (int n = 1; n <= count; n++)
        assert_int_equal(submit(scene.a, n, id), HEDDLE_OK);
}

static void operations_take_effect_in_the_order_of_their_numbers(void **state)
{
    enum heddle_end end;

    (void)state;
    submit_all(3);
    assert_chain("ann");
    assert_string_equal(ask("select count(*) from heddle.outbox"), "3");
    for (int n = 1; n <= 3; n++) {
        assert_int_equal(execute(n, &end), LANE_RELEASE);
        assert_int_equal(end, HEDDLE_END_DONE);
    }
    assert_string_equal(contents(), "123");
    assert_string_equal(ask("select bool_and(state = 'done' and payload is null and attempt = 1)"
                            " from heddle.operations"),
                        "t");
    assert_string_equal(ask("select h.seq = t.seq from heddle.lane_heads h join heddle.lane_tails t"
                            " using (lane)"),
                        "t");
}

static void an_operation_that_overtook_another_does_nothing_and_has_its_lane_rebuilt(void **state)
{
    enum heddle_end end;

    (void)state;
    submit_all(3);
    assert_int_equal(execute(2, &end), LANE_GAP);
    assert_int_equal(end, HEDDLE_END_NONE);
    assert_int_equal(execute(1, &end), LANE_RELEASE);
    assert_int_equal(execute(3, &end), LANE_GAP);
    assert_string_equal(rebuilt, "ann.ann.");
    assert_int_equal(execute(2, &end), LANE_RELEASE);
    assert_int_equal(execute(3, &end), LANE_RELEASE);
    assert_string_equal(contents(), "123");
}

static void an_operation_that_has_ended_is_recalled_and_not_repeated(void **state)
{
    enum heddle_end end;

    (void)state;
    submit_all(2);
    assert_int_equal(execute(1, &end), LANE_RELEASE);
    assert_int_equal(execute(2, &end), LANE_RELEASE);
    for (int n = 1; n <= 2; n++) {
        assert_int_equal(execute(n, &end), LANE_RELEASE);
        assert_int_equal(end, HEDDLE_END_DONE);
    }
    assert_string_equal(contents(), "12");
    assert_string_equal(rebuilt, "");
}

static void a_refusal_makes_way_for_the_next_one_like_success(void **state)
{
    char id[HEDDLE_ID_SIZE + 1] = SCENE_ID(5);
    enum heddle_end end;

    (void)state;
    assert_int_equal(submit_as(scene.a, id, "{\"role\":\"nobody\"}"), HEDDLE_OK);
    submit_all(1);
    struct claim *claim =
        runs_claim(id, "ann", "send_message", SCENE_THREAD, "{\"role\":\"nobody\"}");
    claim->operations[0].is_journaled = true;
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_RELEASE);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_FAILED);
    claim_free(claim);
    scene_assert_ledger(id, "failed");
    assert_int_equal(execute(1, &end), LANE_RELEASE);
    assert_string_equal(contents(), "1");
}

static void a_refusal_does_not_overtake_either(void **state)
{
    char id[HEDDLE_ID_SIZE + 1] = SCENE_ID(5);

    (void)state;
    submit_all(1);
    assert_int_equal(submit_as(scene.a, id, "{\"role\":\"nobody\"}"), HEDDLE_OK);
    struct claim *claim =
        runs_claim(id, "ann", "send_message", SCENE_THREAD, "{\"role\":\"nobody\"}");
    claim->operations[0].is_journaled = true;
    assert_int_equal(runs_execute(&scene.runs, claim), LANE_GAP);
    assert_int_equal(claim->operations[0].end, HEDDLE_END_NONE);
    claim_free(claim);
    scene_assert_ledger(id, "queued");
}

static void what_the_journal_does_not_know_is_given_up_without_effect(void **state)
{
    enum heddle_end end;

    (void)state;
    assert_int_equal(execute(1, &end), LANE_RELEASE);
    assert_int_equal(end, HEDDLE_END_DEAD);
    assert_string_equal(contents(), "");
}

static void an_idle_lane_is_forgotten_and_goes_on(void **state)
{
    enum heddle_end end;
    int forgotten;

    (void)state;
    submit_all(1);
    assert_int_equal(journal_forget_idle(scene.b, 100, &forgotten, &scene.err), HEDDLE_OK);
    assert_int_equal(forgotten, 0);
    assert_int_equal(execute(1, &end), LANE_RELEASE);
    assert_int_equal(journal_forget_idle(scene.b, 100, &forgotten, &scene.err), HEDDLE_OK);
    assert_int_equal(forgotten, 1);
    assert_string_equal(ask("select (select count(*) from heddle.lane_tails)"
                            " + (select count(*) from heddle.lane_heads)"),
                        "0");
    submit_all(3);
    for (int n = 2; n <= 3; n++)
        assert_int_equal(execute(n, &end), LANE_RELEASE);
    /* The first again, after its lane was forgotten: it is known by its own row. */
    assert_int_equal(execute(1, &end), LANE_RELEASE);
    assert_string_equal(contents(), "123");
}

static void submitters_and_executors_do_not_wait_for_each_other(void **state)
{
    struct heddle_uow uow;
    char id[HEDDLE_ID_SIZE + 1];
    enum heddle_end end;

    (void)state;
    submit_all(1);
    /* A submitter whose transaction stays open. */
    scene_hold("select heddle.submit('ann', 'send_message', '{\"role\":\"user\","
               "\"content\":\"number 9\"}', '" SCENE_THREAD "')");
    assert_int_equal(execute(1, &end), LANE_RELEASE);
    assert_string_equal(contents(), "1");
    scene_let_go();
    /* An executor whose transaction stays open. */
    static const struct heddle_statement enter = {"enter", "select heddle.enter($1, 1, 1)", 1};
    const char *const params[] = {id};
    submit_all(2);
    id_of(2, id);
    assert_int_equal(uow_begin(&uow, scene.a, false, &scene.err), HEDDLE_OK);
    assert_int_equal(heddle_uow_query(&uow, &enter, params, NULL, &scene.err), HEDDLE_OK);
    char third[HEDDLE_ID_SIZE + 1];
    assert_int_equal(submit(scene.b, 3, third), HEDDLE_OK);
    uow_rollback(&uow);
    assert_chain("ann");
}

struct submitter {
    pthread_t thread;
    struct pg_link *link;
    int number, failures;
};

enum { SUBMITTERS = 4, SUBMISSIONS = 30, LANES = 3 };

static void *submit_to_all(void *argument)
{
    static const char *const lanes[LANES] = {"x", "y", "z"};
    struct submitter *submitter = argument;

    for (int i = 0; i < SUBMISSIONS; i++) {
        struct heddle_submission submissions[2] = {0};
        struct heddle_receipt receipts[2];
        struct heddle_error err;
        for (int k = 0; k < 2; k++)
            submissions[k] = (struct heddle_submission){
                .user = text_of(lanes[(submitter->number + i + k) % LANES]),
                .op = TEXT("work"),
                .thread = TEXT(""),
                .payload = TEXT("{}"),
                .id = TEXT(""),
            };
        /* Nobody waits in a circle, whichever way round they name their lanes. */
        submitter->failures +=
            journal_submit(submitter->link, submissions, 2, receipts, &err) != HEDDLE_OK;
    }
    return NULL;
}

static void many_submitters_give_each_lane_one_chain(void **state)
{
    struct submitter submitters[SUBMITTERS];
    const struct pg_options options = fixture_pg_options("unit of work");

    (void)state;
    for (int i = 0; i < SUBMITTERS; i++)
        submitters[i] = (struct submitter){.link = fixture_pg(&options), .number = i};
    for (int i = 0; i < SUBMITTERS; i++)
        thread_start(&submitters[i].thread, "submitter", submit_to_all, &submitters[i]);
    for (int i = 0; i < SUBMITTERS; i++) {
        thread_join(submitters[i].thread);
        assert_int_equal(submitters[i].failures, 0);
        pg_free(submitters[i].link);
    }
    assert_string_equal(ask("select count(*) from heddle.operations"),
                        ask("select %d", SUBMITTERS * SUBMISSIONS * 2));
    assert_chain("x");
    assert_chain("y");
    assert_chain("z");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(operations_take_effect_in_the_order_of_their_numbers),
        TEST(an_operation_that_overtook_another_does_nothing_and_has_its_lane_rebuilt),
        TEST(an_operation_that_has_ended_is_recalled_and_not_repeated),
        TEST(a_refusal_makes_way_for_the_next_one_like_success),
        TEST(a_refusal_does_not_overtake_either),
        TEST(what_the_journal_does_not_know_is_given_up_without_effect),
        TEST(an_idle_lane_is_forgotten_and_goes_on),
        TEST(submitters_and_executors_do_not_wait_for_each_other),
        TEST(many_submitters_give_each_lane_one_chain),
    };
    return cmocka_run_group_tests(tests, scene_open_prepared, scene_close);
}
