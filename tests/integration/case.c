/* See case.h. */
#include "case.h"

#include "base/text.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct ledger_attempt case_attempt = {"{\"kind\":\"internal\",\"message\":\"no\"}", "p", 1};

static const struct heddle_statement look = {"look", "select 1", 0};

int case_set_up(void **state)
{
    tell("truncate heddle.lane_tails, heddle.lane_heads, heddle.outbox");
    return scene_set_up(state);
}

void case_submit(const char *id, const char *user)
{
    ask("select heddle.submit('%s', 'work', '{\"n\":1}', null, '%s')", user, id);
}

void case_submit_three(void)
{
    case_submit(FIRST, "ann");
    case_submit(SECOND, "ann");
    case_submit(THIRD, "ann");
}

const char *case_state(const char *id)
{
    return ask("select state from heddle.status where id = '%s'", id);
}

struct heddle_operation case_operation(const char *id, int tried)
{
    struct heddle_operation operation = {.user = TEXT("ann"),
                                         .op = TEXT("work"),
                                         .payload = TEXT("{\"n\": 1}"),
                                         .submitted_us = INT64_C(1700000000000000),
                                         .attempt = tried};

    strcpy(operation.id, id);
    return operation;
}

/* Begins a unit of work that enters the operation; what follows fails where that does. */
static heddle_status enter(struct heddle_uow *uow, const char *id, int tried, const char *decision)
{
    const struct heddle_operation operation = case_operation(id, tried);

    heddle_status status = uow_begin(uow, scene.a, false, &scene.err);
    return status == HEDDLE_OK
               ? ledger_enter_recorded(uow, &operation, &(struct lane_lock){.lane_key = 7},
                                       decision, &scene.err)
               : status;
}

void case_assert_enters(const char *id, int tried, const char *decision, const char *sqlstate)
{
    struct heddle_uow uow;

    assert_int_equal(enter(&uow, id, tried, decision), HEDDLE_OK);
    heddle_status status = heddle_uow_query(&uow, &look, NULL, NULL, &scene.err);
    uow_rollback(&uow);
    if (!sqlstate) {
        assert_int_equal(status, HEDDLE_OK);
        return;
    }
    assert_int_not_equal(status, HEDDLE_OK);
    assert_string_equal(scene.err.sqlstate, sqlstate);
}

heddle_status case_charge_by(const struct ledger_attempt *by, const char *id, int tried,
                             const char *state)
{
    const struct heddle_operation operation = case_operation(id, tried);
    const bool parks = strcmp(state, "parked") == 0;
    struct heddle_uow uow;

    heddle_status status =
        parks ? enter(&uow, id, tried, state) : uow_begin(&uow, scene.a, false, &scene.err);
    if (status == HEDDLE_OK && !parks)
        status = uow_lock_lane(&uow, 7, &scene.err);
    if (status == HEDDLE_OK)
        status = ledger_charge(&uow, &operation, by, state, 3600000, &scene.err);
    assert_int_equal(status, HEDDLE_OK);
    return uow_commit(&uow, &scene.err);
}

heddle_status case_charge(const char *id, int tried, const char *state)
{
    const struct ledger_attempt own = {case_attempt.error, case_attempt.processor, (uint64_t)tried};
    return case_charge_by(&own, id, tried, state);
}

void case_finish(const char *id, enum heddle_end end)
{
    const struct heddle_operation operation = case_operation(id, 1);
    const struct outcome outcome = {end, 200, "{}", NULL};
    struct heddle_uow uow;

    assert_int_equal(enter(&uow, id, 1, end == HEDDLE_END_DONE ? NULL : heddle_end_name(end)),
                     HEDDLE_OK);
    assert_int_equal(ledger_finish(&uow, &operation, &outcome, &scene.err), HEDDLE_OK);
    if (end == HEDDLE_END_DEAD)
        assert_int_equal(ledger_bury(&uow, &operation, &case_attempt, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_commit(&uow, &scene.err), HEDDLE_OK);
}

void case_assert_attempts(const char *id, const char *expected)
{
    assert_string_equal(ask("select string_agg(attempt::text, ' ' order by attempt, ended_at)"
                            " from heddle.attempts where id = '%s'",
                            id),
                        expected);
}
