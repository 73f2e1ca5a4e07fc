/* Strands of a lane in a real Postgres: what they take, and in which order operations of the
 * journal may enter in them, as sql/0011_lanes.sql has it. */
#include "case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LANE = 7 };

static const struct heddle_statement look = {"look", "select 1", 0};
static const struct lane_lock all_of_it = {.lane_key = LANE};

static struct lane_lock strand(int thread, int place)
{
    return (struct lane_lock){LANE, true, 10 + thread, 20 + place};
}

/* FIRST and THIRD are of thread x, SECOND is of y. */
static void submit_three(void)
{
    static const char *const ids[] = {FIRST, SECOND, THIRD}, *const threads[] = {"x", "y", "x"};

    for (int i = 0; i < 3; i++)
        ask("select heddle.submit('ann', 'work', '{\"n\":1}', '%s', '%s')", threads[i], ids[i]);
}

static heddle_status begin(struct heddle_uow *uow, struct pg_link *link, const char *id,
                           struct lane_lock lock)
{
    const struct heddle_operation operation = case_operation(id, 1);

    assert_int_equal(uow_begin(uow, link, false, &scene.err), HEDDLE_OK);
    assert_int_equal(ledger_enter_recorded(uow, &operation, &lock, NULL, &scene.err), HEDDLE_OK);
    return heddle_uow_query(uow, &look, NULL, NULL, &scene.err);
}

static void assert_begins(const char *id, struct lane_lock lock, const char *sqlstate)
{
    struct heddle_uow uow;

    heddle_status status = begin(&uow, scene.b, id, lock);
    uow_rollback(&uow);
    assert_int_equal(status == HEDDLE_OK, sqlstate == NULL);
    if (sqlstate)
        assert_string_equal(scene.err.sqlstate, sqlstate);
}

static void finish(struct heddle_uow *uow, const char *id)
{
    const struct heddle_operation operation = case_operation(id, 1);
    const struct outcome outcome = {HEDDLE_END_DONE, 200, "{}", NULL};

    assert_int_equal(ledger_finish(uow, &operation, &outcome, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_commit(uow, &scene.err), HEDDLE_OK);
}

static void execute(const char *id, struct lane_lock lock)
{
    struct heddle_uow uow;

    assert_int_equal(begin(&uow, scene.a, id, lock), HEDDLE_OK);
    finish(&uow, id);
}

static void strands_run_beside_each_other_but_not_in_one_thread_or_place(void **state)
{
    struct heddle_uow first;

    (void)state;
    submit_three();
    assert_int_equal(begin(&first, scene.a, FIRST, strand(0, 0)), HEDDLE_OK);
    assert_begins(SECOND, strand(1, 1), NULL);
    assert_begins(SECOND, strand(0, 1), "55P03");
    assert_int_equal(ledger_reason_for(&scene.err), LEDGER_IS_HELD);
    assert_begins(SECOND, strand(1, 0), "55P03");
    assert_begins(SECOND, all_of_it, "55P03");
    uow_rollback(&first);
    assert_int_equal(begin(&first, scene.a, FIRST, all_of_it), HEDDLE_OK);
    assert_begins(SECOND, strand(1, 1), "55P03");
    uow_rollback(&first);
}

static void a_strand_that_writes_directly_takes_the_same(void **state)
{
    const struct lane_lock lock = strand(0, 0);
    struct heddle_uow uow, other;

    (void)state;
    assert_int_equal(uow_begin(&uow, scene.a, false, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_lock(&uow, &lock, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_flush(&uow, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_begin(&other, scene.b, false, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_lock(&other, &lock, &scene.err), HEDDLE_OK);
    assert_int_equal(uow_flush(&other, &scene.err), HEDDLE_RETRY);
    assert_int_equal(ledger_reason_for(&scene.err), LEDGER_IS_HELD);
    uow_rollback(&other);
    uow_rollback(&uow);
}

static void order_is_that_of_the_thread_in_strands_and_of_the_lane_without(void **state)
{
    (void)state;
    submit_three();
    assert_begins(THIRD, strand(0, 0), "HD002");
    assert_begins(SECOND, all_of_it, "HD002");
    execute(SECOND, strand(1, 1));
    assert_begins(THIRD, strand(0, 0), "HD002");
    assert_begins(THIRD, all_of_it, "HD002");
    execute(FIRST, strand(0, 0));
    execute(THIRD, strand(0, 0));
}

static void a_lane_whose_head_nobody_kept_goes_on_as_a_whole(void **state)
{
    (void)state;
    submit_three();
    execute(SECOND, strand(1, 1));
    execute(FIRST, all_of_it);
    assert_string_equal(ask("select count(*) from heddle.lane_heads where seq > 0"), "1");
    execute(THIRD, all_of_it);
    ask("select heddle.submit('ann', 'work', '{\"n\":1}', 'x', '" SCENE_ID(4) "')");
    execute(SCENE_ID(4), strand(0, 0));
    assert_string_equal(ask("select string_agg(seq::text, ' ') from heddle.lane_heads"), "0");
}

static void a_lane_whose_head_nobody_keeps_is_forgotten_when_it_is_idle(void **state)
{
    (void)state;
    submit_three();
    execute(FIRST, strand(0, 0));
    execute(SECOND, strand(1, 1));
    assert_string_equal(ask("select heddle.forget_idle_lanes(10)"), "0");
    execute(THIRD, strand(0, 0));
    assert_string_equal(ask("select heddle.forget_idle_lanes(10)"), "1");
    assert_string_equal(ask("select (select count(*) from heddle.lane_heads)"
                            " + (select count(*) from heddle.lane_tails)"),
                        "0");
    ask("select heddle.submit('ann', 'work', '{\"n\":1}', 'x', '" SCENE_ID(4) "')");
    execute(SCENE_ID(4), all_of_it);
    assert_string_equal(ask("select heddle.forget_idle_lanes(10)"), "1");
}

static void what_a_strand_has_ended_ahead_is_passed_over(void **state)
{
    (void)state;
    submit_three();
    execute(FIRST, all_of_it);
    execute(THIRD, strand(0, 0));
    execute(SECOND, all_of_it);
    assert_string_equal(ask("select heddle.forget_idle_lanes(10)"), "1");
}

/* Who had seen to it that nobody keeps the head did not commit. */
static void a_head_that_has_stayed_behind_is_found(void **state)
{
    enum { LOOKS_MAX = 5000 };
    struct heddle_uow second, third;
    int looks = 0;

    (void)state;
    submit_three();
    execute(FIRST, all_of_it);
    assert_int_equal(begin(&second, scene.a, SECOND, strand(1, 1)), HEDDLE_OK);
    assert_int_equal(begin(&third, scene.b, THIRD, strand(0, 0)), HEDDLE_OK);
    finish(&third, THIRD);
    uow_rollback(&second);
    execute(SECOND, all_of_it);
    while (looks < LOOKS_MAX && strcmp(ask("select heddle.forget_idle_lanes(10)"), "1") != 0)
        looks++;
    assert_in_range(looks, 0, LOOKS_MAX - 1);
    assert_string_equal(ask("select (select count(*) from heddle.lane_heads)"
                            " + (select count(*) from heddle.lane_tails)"),
                        "0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, case_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(strands_run_beside_each_other_but_not_in_one_thread_or_place),
        TEST(a_strand_that_writes_directly_takes_the_same),
        TEST(order_is_that_of_the_thread_in_strands_and_of_the_lane_without),
        TEST(a_lane_whose_head_nobody_kept_goes_on_as_a_whole),
        TEST(a_lane_whose_head_nobody_keeps_is_forgotten_when_it_is_idle),
        TEST(what_a_strand_has_ended_ahead_is_passed_over),
        TEST(a_head_that_has_stayed_behind_is_found),
    };
    return cmocka_run_group_tests(tests, scene_open_prepared, scene_close);
}
