/* Every fault site of a unit of work: the n-th call of libpq fails, or the n-th statement at the
 * server, n from 1 until the run succeeds. What the status says must be what happened. */
#include "work.h"

#include "base/text.h"
#include "ledger/ledger.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SITES_MAX = 500 };

static const struct heddle_operation operation = {.id = WORK_ID,
                                                  .user = TEXT("ann"),
                                                  .op = TEXT("update_thread"),
                                                  .thread = TEXT(WORK_THREAD),
                                                  .payload = TEXT("{}"),
                                                  .attempt = 1};

static void a_commit_that_answers_rollback_is_no_success(void **state)
{
    struct heddle_uow uow;
    static const struct heddle_statement sneaky = {"sneaky", "rollback", 0};

    (void)state;
    /* As of a statement whose failure nobody noticed: the tag tells. */
    assert_int_equal(uow_begin(&uow, work_link_a, false, &work_err), HEDDLE_OK);
    assert_int_equal(work_update(&uow, &work_err), HEDDLE_OK);
    work_fail_at("lane_lock", "XX000");
    assert_int_equal(uow_lock_lane(&uow, 1, &work_err), HEDDLE_OK);
    assert_int_equal(heddle_uow_query(&uow, &sneaky, NULL, NULL, &work_err), HEDDLE_PERMANENT);
    uow.failed = HEDDLE_OK;
    assert_int_equal(uow_commit(&uow, &work_err), HEDDLE_RETRY);
    assert_non_null(strstr(work_err.text, "ROLLBACK"));
    assert_int_equal(fake.effects, 0);
    assert_int_equal(fake.transactions_open, 0);
    work_goes_on(work_link_a);
}

static void a_link_lost_during_commit_is_unknown_whether_it_committed_or_not(void **state)
{
    static const enum fake_fault_kind kinds[] = {FAKE_LOST_BEFORE, FAKE_LOST_AFTER,
                                                 FAKE_SILENT_BEFORE, FAKE_SILENT_AFTER,
                                                 FAKE_SERVER_SAYS_GOODBYE};

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bool commits = kinds[i] == FAKE_LOST_AFTER || kinds[i] == FAKE_SILENT_AFTER;
        int effects = fake.effects;
        fake_set_fault(
            (struct fake_fault){.kind = kinds[i], .statement = "commit", .sqlstate = "57P01"});
        assert_int_equal(work_run(work_link_a, work_update), HEDDLE_UNKNOWN);
        assert_int_equal(fake.effects, effects + commits);
        assert_int_equal(fake.rollbacks, 0);
        assert_false(pg_is_connected(work_link_a));
        work_goes_on(work_link_a);
    }
}

/* begin → lock → ledger_enter → query → finish → commit. */
static heddle_status operate(struct pg_link *link, struct heddle_error *err)
{
    const struct outcome outcome = outcome_done("{}");
    struct heddle_uow uow;

    heddle_status status = uow_begin(&uow, link, false, err);
    if (status != HEDDLE_OK)
        return status;
    status = uow_lock_lane(&uow, 42, err);
    if (status == HEDDLE_OK)
        status = ledger_enter(&uow, &operation, err);
    if (status == HEDDLE_OK)
        status = work_update(&uow, err);
    if (status == HEDDLE_OK)
        status = ledger_finish(&uow, &operation, &outcome, err);
    if (status != HEDDLE_OK) {
        uow_rollback(&uow);
        return status;
    }
    return uow_commit(&uow, err);
}

static void describe(const struct fake_fault *fault, const char *problem, heddle_status status)
{
    fail_msg("fault %d at %d: status %s (%s %s), effects %d, ledger %d, rollbacks %d: %s",
             (int)fault->kind, fault->at, heddle_status_name(status), work_err.sqlstate,
             work_err.text, fake.effects, fake.has_ledger_row, fake.rollbacks, problem);
}

/* What the status promises, against what the server has. */
static void judge(const struct fake_fault *fault, heddle_status status, const struct pg_link *link)
{
    bool has_happened = fake.effects > 0;

    if (fake.effects != fake.has_ledger_row)
        describe(fault, "effects and ledger row did not go together", status);
    if (status == HEDDLE_OK && !has_happened)
        describe(fault, "a success without effects", status);
    if (status != HEDDLE_OK && status != HEDDLE_UNKNOWN && has_happened)
        describe(fault, "it took effect, and the status denies it", status);
    if (status == HEDDLE_REFUSED || status == HEDDLE_FATAL)
        describe(fault, "a fault of the database is neither of these", status);
    if (fault->kind == FAKE_STATEMENT_FAILS && fake.has_failed) {
        if (status != (*fault->sqlstate == '4' ? HEDDLE_RETRY : HEDDLE_PERMANENT))
            describe(fault, "not what the SQLSTATE asks for", status);
        if (strcmp(work_err.sqlstate, fault->sqlstate) != 0)
            describe(fault, "the error was not kept", status);
    } else if (status == HEDDLE_PERMANENT) {
        describe(fault, "a fault that passes was called permanent", status);
    }
    if (fake.rollbacks > 1)
        describe(fault, "more than one rollback", status);
    if (fake.transactions_open > 0)
        describe(fault, "a transaction hangs", status);
    if (fake.results_live > 0)
        describe(fault, "a result leaked", status);
    if (pg_is_connected(link) && !pg_is_idle(link))
        describe(fault, "the session is neither usable nor discarded", status);
}

/* One kind of fault at every site; returns how many sites there were. */
static int iterate_unit_of_work(struct fake_fault fault, bool with_prepared_statements,
                                bool is_warm)
{
    for (fault.at = 1; fault.at < SITES_MAX; fault.at++) {
        struct pg_link *link = work_new_link(with_prepared_statements);
        fake = (struct fake_server){.connections_open = 0};
        if (is_warm)
            assert_int_equal(work_run(link, work_list), HEDDLE_OK);
        fake_set_fault(fault);
        work_err = (struct heddle_error){0};
        heddle_status status = operate(link, &work_err);
        bool has_failed = fake.has_failed;
        judge(&fault, status, link);
        pg_free(link);
        fake_reset();
        if (!has_failed) {
            assert_int_equal(status, HEDDLE_OK);
            return fault.at - 1;
        }
    }
    fail_msg("the sites never end");
    return 0;
}

static void a_fault_at_any_site_gets_the_right_status_and_leaks_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < WORK_FAULTS; i++)
        for (int variant = 0; variant < 4; variant++) {
            int sites = iterate_unit_of_work(work_faults[i], variant & 1, variant & 2);
            assert_in_range(sites, 6, SITES_MAX);
        }
}

/* Operations that take different ways through the runner. */
static const struct subject {
    const char *op;
    bool is_journaled, is_read;
} subjects[] = {{"update_thread", false, false},
                {"update_thread", true, false},
                {"auto_rename", false, false},
                {"auto_rename", true, false},
                {"get_thread", false, true}};

/* The same operation until it has ended: first with the fault, then without. */
static void run_until_ended(const struct fake_fault *fault, const struct subject *subject)
{
    struct claim *claim = runs_claim(WORK_ID, "ann", subject->op, WORK_THREAD, "{}");
    struct runs runs;
    enum disposition disposition = LANE_WAIT; /* or a pause: the connection was lost */

    runs_init(&runs, "");
    runs_start(&runs);
    claim->operations[0].is_journaled = subject->is_journaled;
    for (int attempt = 0; disposition != LANE_RELEASE && attempt < 3; attempt++) {
        assert_true(disposition == LANE_WAIT || disposition == LANE_PAUSE);
        if (attempt > 0)
            fake_set_fault((struct fake_fault){.kind = FAKE_NO_FAULT});
        disposition = runs_execute(&runs, claim);
        bool has_ended = claim->operations[0].end != HEDDLE_END_NONE;
        if (has_ended != (disposition == LANE_RELEASE))
            describe(fault, "the lane goes on without its operation", HEDDLE_OK);
        if (fake.transactions_open > 0 || fake.results_live > 0)
            describe(fault, "something was left behind", HEDDLE_OK);
    }
    const enum heddle_end end = claim->operations[0].end;
    const struct heddle_text result = claim->operations[0].result;
    bool is_done = end == HEDDLE_END_DONE;
    const char *ledger = subject->is_read ? "" : is_done ? "done" : "failed";
    if (disposition != LANE_RELEASE || fake.effects != (is_done && !subject->is_read))
        describe(fault, "not done exactly once", HEDDLE_OK);
    if (is_done != (strstr(result.data, "\"state\":\"done\"") != NULL) ||
        strcmp(fake.ledger_state, ledger) != 0)
        describe(fault, "what is told is not what the ledger says", HEDDLE_OK);
    /* Only what Postgres itself refused may end otherwise. */
    if (!is_done && (fault->kind != FAKE_STATEMENT_FAILS || *fault->sqlstate == '4'))
        describe(fault, "a fault that passes ended the operation", HEDDLE_OK);
    claim_free(claim);
    runs_done(&runs);
}

static void iterate_runner(struct fake_fault fault, const struct subject *subject)
{
    bool has_failed = true;

    for (fault.at = 1; has_failed && fault.at < SITES_MAX; fault.at++) {
        fake = (struct fake_server){.fault = fault, .has_ledger_row = subject->is_journaled};
        strcpy(fake.ledger_state, subject->is_journaled ? "queued" : "");
        run_until_ended(&fault, subject);
        has_failed = fake.has_failed || fake.fault.kind == FAKE_NO_FAULT;
        fake_reset();
    }
    assert_false(has_failed);
}

static void the_runner_takes_a_fault_at_any_site_and_runs_the_operation_exactly_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < WORK_FAULTS; i++)
        for (size_t k = 0; k < sizeof subjects / sizeof *subjects; k++)
            iterate_runner(work_faults[i], &subjects[k]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, work_set_up, work_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_that_answers_rollback_is_no_success),
        TEST(a_link_lost_during_commit_is_unknown_whether_it_committed_or_not),
        TEST(a_fault_at_any_site_gets_the_right_status_and_leaks_nothing),
        TEST(the_runner_takes_a_fault_at_any_site_and_runs_the_operation_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
