/* The tests' own test: functions of sql/0004_ends.sql with one rule broken. Each experiment below
 * holds for the functions as they are, and must not hold for the mutant it guards against. */
#include "case.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct heddle_statement look = {"look_on", "select 1", 0};

/* How entering the operation ends: an SQLSTATE, or "" where it may run. */
static const char *entering(const char *id, int tried, const char *decision)
{
    const struct heddle_operation operation = case_operation(id, tried);
    struct heddle_uow uow;

    scene.err = (struct heddle_error){0};
    heddle_status status = uow_begin(&uow, scene.a, false, &scene.err);
    if (status == HEDDLE_OK)
        status = ledger_enter_recorded(&uow, &operation, &(struct lane_lock){.lane_key = 7},
                                       decision, &scene.err);
    if (status == HEDDLE_OK)
        status = heddle_uow_query(&uow, &look, NULL, NULL, &scene.err);
    uow_rollback(&uow);
    return status == HEDDLE_OK ? "" : scene.err.sqlstate;
}

static bool is(const char *text, const char *expected)
{
    return strcmp(text, expected) == 0;
}

static bool a_halted_operation_does_not_run(void)
{
    case_submit(FIRST, "ann");
    return case_charge(FIRST, 1, "halted") == HEDDLE_OK && is(entering(FIRST, 2, NULL), "HD006");
}

static bool a_cancelled_operation_does_not_run(void)
{
    case_submit(FIRST, "ann");
    ask("select heddle.cancel('" FIRST "')");
    return is(entering(FIRST, 1, NULL), "HD005") && is(entering(FIRST, 1, "dead"), "HD005");
}

static bool a_parked_operation_does_not_run(void)
{
    case_submit(FIRST, "ann");
    return case_charge(FIRST, 1, "parked") == HEDDLE_OK && is(entering(FIRST, 2, NULL), "HD004");
}

static bool an_attempt_is_not_repeated(void)
{
    case_submit(FIRST, "ann");
    return case_charge(FIRST, 1, "retrying") == HEDDLE_OK && is(entering(FIRST, 1, NULL), "HD007");
}

static bool a_held_lane_is_left_alone(void)
{
    case_submit(FIRST, "ann");
    scene_hold("select pg_advisory_lock(7)");
    bool is_left = is(entering(FIRST, 1, NULL), "55P03");
    scene_let_go();
    return is_left;
}

static bool nobody_overtakes(void)
{
    case_submit_three();
    case_finish(FIRST, HEDDLE_END_DONE);
    return is(entering(THIRD, 1, NULL), "HD002") && is(entering(SECOND, 1, NULL), "");
}

static bool a_charge_is_said_once(void)
{
    case_submit(FIRST, "ann");
    (void)!case_charge(FIRST, 1, "retrying");
    bool is_taken = case_charge(FIRST, 1, "retrying") == HEDDLE_OK;
    return is_taken && is(ask("select attempt from heddle.operations"), "1");
}

static bool each_attempt_has_its_number(void)
{
    static const struct ledger_attempt other = {"{}", "q", 1};

    case_submit(FIRST, "ann");
    (void)!case_charge(FIRST, 1, "retrying");
    (void)!case_charge_by(&other, FIRST, 1, "retrying");
    return is(ask("select attempt from heddle.operations"), "2");
}

static bool a_parked_operation_gives_up_its_place(void)
{
    case_submit(FIRST, "ann");
    (void)!case_charge(FIRST, 1, "parked");
    return is(ask("select seq is null from heddle.operations"), "t");
}

static bool a_cancelled_operation_ends_in_its_place(void)
{
    case_submit_three();
    ask("select heddle.cancel('" FIRST "')");
    return is(entering(SECOND, 1, NULL), "HD002") && is(entering(FIRST, 1, "cancelled"), "");
}

static bool redis_hears_of_a_cancellation(void)
{
    case_submit(FIRST, "ann");
    ask("select heddle.cancel('" FIRST "')");
    return is(ask("select count(*) from heddle.outbox"), "2");
}

static bool a_busy_one_is_put_off(void)
{
    case_submit(FIRST, "ann");
    (void)!case_charge(FIRST, 1, "parked");
    tell("update heddle.parked set due_at = now() - interval '1 second'");
    scene_hold("select heddle.submit('ann', 'work')");
    ask("select heddle.unpark(10)");
    bool stays = is(ask("select state = 'parked' and due_at > clock_timestamp()"
                        " from heddle.operations join heddle.parked using (id)"),
                    "t");
    scene_let_go();
    return stays;
}

static bool a_dead_letter_is_retried_once(void)
{
    case_submit(FIRST, "ann");
    case_finish(FIRST, HEDDLE_END_DEAD);
    ask("select heddle.retry('" FIRST "')");
    return is(ask("select count(*) from heddle.dead"), "0") &&
           is(ask("select retry_of from heddle.operations where id <> '" FIRST "'"), FIRST);
}

static bool a_halted_operation_starts_anew(void)
{
    case_submit(FIRST, "ann");
    (void)!case_charge(FIRST, 1, "halted");
    ask("select heddle.retry('" FIRST "')");
    return is(entering(FIRST, 1, NULL), "");
}

static const struct mutant {
    const char *function, *old, *broken;
    bool (*holds)(void);
} mutants[] = {
    {"open_operation", "entry.state = 'halted' and coalesce(decision, 'failed')",
     "false and coalesce(decision, 'failed')", a_halted_operation_does_not_run},
    {"open_operation", "decision is distinct from 'cancelled'", "false",
     a_cancelled_operation_does_not_run},
    {"open_operation", "decision is distinct from 'cancelled'", "decision is null",
     a_cancelled_operation_does_not_run},
    {"open_operation", "entry.state in ('parked', 'scheduled')", "false",
     a_parked_operation_does_not_run},
    {"enter", "decision is null and entry.attempt >= tried", "false", an_attempt_is_not_repeated},
    {"enter", "perform heddle.lane_lock(lane_key);", "", a_held_lane_is_left_alone},
    {"enter", "and seq = entry.prev", "", nobody_overtakes},
    {"charge", "if not found then", "if false then", a_charge_is_said_once},
    {"charge", "greatest(tried, entry.attempt + 1)", "tried", each_attempt_has_its_number},
    {"charge", "seq = case when new_state = 'parked' then null else o.seq end", "seq = o.seq",
     a_parked_operation_gives_up_its_place},
    {"cancel", "set state = 'cancelled'", "set finished_at = now(), state = 'cancelled'",
     a_cancelled_operation_ends_in_its_place},
    {"cancel", "perform heddle.nudge(op_id);", "", redis_hears_of_a_cancellation},
    {"unpark", "due_at = later where id", "due_at = due_at where id", a_busy_one_is_put_off},
    {"retry", "set retry_of = op_id", "set retry_of = null", a_dead_letter_is_retried_once},
    {"retry", "attempt = 0", "attempt = attempt", a_halted_operation_starts_anew},
};

/* The function with its `old` replaced; the definition that it had is kept beside. */
static void break_rule(const struct mutant *mutant)
{
    tell("create temporary table if not exists whole (definition text);"
         "delete from whole;"
         "insert into whole select pg_get_functiondef(p.oid) from pg_proc p"
         " join pg_namespace n on n.oid = pronamespace and nspname = 'heddle' where proname = '%s';"
         "do $do$ declare d text := (select definition from whole); begin"
         "  if strpos(d, $old$%s$old$) = 0 then raise 'the mutant no longer fits'; end if;"
         "  execute replace(d, $old$%s$old$, $new$%s$new$); end $do$",
         mutant->function, mutant->old, mutant->old, mutant->broken);
}

static void mend(void)
{
    tell("do $do$ begin execute (select definition from whole); end $do$");
}

static void each_broken_rule_breaks_its_experiment(void **state)
{
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        const struct mutant *mutant = &mutants[i];
        for (int is_broken = 0; is_broken < 2; is_broken++) {
            case_set_up(state);
            if (is_broken)
                break_rule(mutant);
            bool holds = mutant->holds();
            if (is_broken)
                mend();
            scene_tear_down(state);
            if (holds == is_broken)
                fail_msg("%s: '%s' of %s", is_broken ? "nobody misses" : "does not hold as it is",
                         mutant->old, mutant->function);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_broken_rule_breaks_its_experiment),
    };
    return cmocka_run_group_tests(tests, scene_open_prepared, scene_close);
}
