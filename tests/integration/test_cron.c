/* Operations that recur: what is submitted at their ticks, as sql/0009_cron.sql has it. */
#include "case.h"

#include "ledger/cron.h"
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

/* A test that begins in the last seconds of a minute would see two ticks. */
static int set_up(void **state)
{
    tell("select pg_sleep(60.01 - s) from (select extract(second from clock_timestamp())) t (s)"
         " where s > 57");
    tell("truncate heddle.parked, heddle.uniques, heddle.cron");
    return case_set_up(state);
}

static void add(const char *catch_up, const char *options)
{
    const struct cron_row row = {.name = "tick",
                                 .schedule = "@every 1h",
                                 .user = "ann",
                                 .op = "work",
                                 .payload = "{\"n\": 1}",
                                 .catch_up = catch_up,
                                 .options = options};
    char next[CRON_TIME_SIZE];

    assert_int_equal(cron_add(scene.a, &row, "me", next, &scene.err), HEDDLE_OK);
}

/* As if its next tick had been so many hours before the last whole one. */
static void miss(int hours)
{
    tell("update heddle.cron set next_at = date_trunc('hour', now()) - interval '%d hours';"
         "update heddle.cron set due_at = next_at",
         hours);
}

/* Until nothing is due; how often. */
static int fire_all(void)
{
    struct cron_tick tick;
    int fired = 0;

    do {
        assert_int_equal(cron_fire(scene.a, &tick, &scene.err), HEDDLE_OK);
        fired += *tick.name != '\0';
    } while (tick.next_ms <= 0 && fired < 1000);
    return fired;
}

static const char *submitted(void)
{
    return ask("select count(*) from heddle.operations where user_id = 'ann'");
}

static void what_is_missed_is_caught_up_as_asked(void **state)
{
    static const struct {
        const char *catch_up;
        int submitted;
    } rows[] = {{"all", 101}, {"once", 1}, {NULL, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tell("truncate heddle.operations, heddle.cron");
        add(rows[i].catch_up, NULL);
        miss(100);
        assert_int_equal(fire_all(), rows[i].submitted);
        assert_int_equal(atoi(submitted()), rows[i].submitted);
        assert_string_equal(ask("select last_at = date_trunc('hour', now()) and next_at ="
                                " date_trunc('hour', now()) + interval '1 hour' from heddle.cron"),
                            "t");
        assert_string_equal(ask("select heddle.cron_id('tick', date_trunc('hour', now())) ="
                                " (select last_id from heddle.cron)"),
                            "t");
        /* In the order of the ticks. */
        assert_string_equal(ask("select count(*) from (select id, row_number() over (order by seq)"
                                " from heddle.operations) o (id, n) where id <>"
                                " heddle.cron_id('tick', date_trunc('hour', now()) +"
                                " (n - %d) * interval '1 hour')",
                                rows[i].submitted),
                            "0");
    }
}

static void a_tick_that_is_skipped_is_one_that_is_late(void **state)
{
    (void)state;
    add("skip", NULL);
    /* Every minute's is, by less than a minute. */
    tell("update heddle.cron set schedule = '* * * * *',"
         " next_at = date_trunc('minute', now()) - interval '3 hours';"
         "update heddle.cron set due_at = next_at");
    assert_int_equal(fire_all(), 1);
    assert_int_equal(atoi(submitted()), 1);
    /* A year's is not. */
    tell("update heddle.cron set schedule = '@yearly', due_at = now(),"
         " next_at = date_trunc('year', now()) - interval '3 years'");
    assert_int_equal(fire_all(), 1);
    assert_int_equal(atoi(submitted()), 1);
    assert_string_equal(
        ask("select next_at > now() and last_at > now() - interval '2 minutes' from heddle.cron"),
        "t");
}

static void a_tick_is_submitted_once_whoever_fires(void **state)
{
    struct cron_tick tick;

    (void)state;
    add("all", NULL);
    miss(3);
    /* Somebody has it in hand: there is nothing for us. */
    scene_hold("select heddle.cron_fire()");
    assert_int_equal(cron_fire(scene.a, &tick, &scene.err), HEDDLE_OK);
    assert_string_equal(tick.name, "");
    /* That one dies; nothing has happened. */
    scene_let_go();
    assert_string_equal(submitted(), "0");
    assert_int_equal(fire_all(), 4);
    assert_string_equal(submitted(), "4");
    /* Though the ledger were put back: the ids are the same. */
    miss(3);
    assert_int_equal(fire_all(), 4);
    assert_string_equal(submitted(), "4");
}

static void a_lane_that_somebody_holds_keeps_nobody(void **state)
{
    (void)state;
    add("all", NULL);
    ask("select heddle.cron_add('tock', '@every 1h', 'bob', 'work')");
    miss(0);
    scene_hold("select heddle.submit('ann', 'work', id => '" FIRST "')");
    assert_int_equal(fire_all(), 2);
    assert_string_equal(ask("select string_agg(user_id, ' ') from heddle.operations"), "bob");
    assert_string_equal(ask("select due_at > now() and next_at < now() and error is null"
                            " from heddle.cron where name = 'tick'"),
                        "t");
    scene_let_go();
    tell("update heddle.cron set due_at = next_at");
    assert_int_equal(fire_all(), 1);
    assert_string_equal(submitted(), "1");
}

static void a_tick_that_is_refused_is_told_and_the_next_one_comes(void **state)
{
    struct cron_tick tick;

    (void)state;
    add("all", NULL);
    miss(1);
    ask("select heddle.pause(op => 'work', refuse => true)");
    assert_int_equal(cron_fire(scene.a, &tick, &scene.err), HEDDLE_OK);
    assert_string_equal(tick.name, "tick");
    assert_non_null(strstr(tick.problem, "HEDDLE paused"));
    assert_non_null(strstr(ask("select error from heddle.cron"), "HEDDLE paused"));
    assert_string_equal(submitted(), "0");
    ask("select heddle.resume(op => 'work')");
    assert_int_equal(fire_all(), 1);
    assert_string_equal(submitted(), "1");
    assert_string_equal(ask("select error from heddle.cron"), "");
    tell("truncate heddle.controls");
}

static void what_is_paused_has_no_ticks_and_makes_up_for_none(void **state)
{
    (void)state;
    add("all", NULL);
    miss(5);
    assert_int_equal(cron_pause(scene.a, "tick", true, &scene.err), HEDDLE_OK);
    assert_int_equal(fire_all(), 0);
    assert_string_equal(ask("select heddle.cron_wait() is null"), "t");
    assert_int_equal(cron_pause(scene.a, "tick", false, &scene.err), HEDDLE_OK);
    assert_int_equal(fire_all(), 0);
    assert_string_equal(ask("select next_at > now() from heddle.cron"), "t");
    assert_int_equal(cron_remove(scene.a, "tick", &scene.err), HEDDLE_OK);
    assert_int_equal(cron_remove(scene.a, "tick", &scene.err), HEDDLE_REFUSED);
    assert_int_equal(cron_pause(scene.a, "tick", true, &scene.err), HEDDLE_REFUSED);
    assert_int_equal(scene.err.kind, HEDDLE_KIND_NOT_FOUND);
}

static void what_replaces_it_goes_on_with_its_ticks(void **state)
{
    (void)state;
    add("all", NULL);
    miss(2);
    add("once", "{\"attempts\":3,\"priority\":\"bulk\",\"batch\":\"b\"}");
    assert_string_equal(ask("select next_at < now() from heddle.cron"), "t");
    assert_int_equal(fire_all(), 1);
    assert_string_equal(
        ask("select class || ' ' || batch || ' ' || (options ->> 'attempts') || ' ' || payload"
            " from heddle.operations"),
        "2 b 3 {\"n\": 1}");
    tell("update heddle.cron set schedule = '@hourly'");
    miss(2);
    add("once", NULL);
    assert_string_equal(ask("select next_at > now() and due_at = next_at from heddle.cron"), "t");
}

static void with_a_unique_key_one_waits_at_a_time(void **state)
{
    (void)state;
    add("all", "{\"unique_key\":\"k\"}");
    miss(9);
    assert_int_equal(fire_all(), 10);
    assert_string_equal(submitted(), "1");
    assert_string_equal(
        ask("select last_id = heddle.cron_id('tick', date_trunc('hour', now()) - interval '9 h')"
            " from heddle.cron"),
        "t");
}

static void what_does_not_fit_is_refused(void **state)
{
    static const struct cron_row rows[] = {
        {.name = "", .schedule = "@daily", .user = "ann", .op = "work"},
        {.name = "a b", .schedule = "@daily", .user = "ann", .op = "work"},
        {.name = "a", .schedule = "@daily", .user = "", .op = "work"},
        {.name = "a", .schedule = "@daily", .user = "ann", .op = "Work"},
        {.name = "a", .schedule = "@daily", .user = "ann", .op = "work", .zone = "Nowhere"},
        {.name = "a", .schedule = "@daily", .user = "ann", .op = "work", .zone = "CET-9"},
        {.name = "a", .schedule = "@daily", .user = "ann", .op = "work", .catch_up = "some"},
        {.name = "a", .schedule = "@daily", .user = "ann", .op = "work", .payload = "[]"},
        {.name = "a",
         .schedule = "@daily",
         .user = "ann",
         .op = "work",
         .options = "{\"at_ms\":5}"},
        {.name = "a",
         .schedule = "@daily",
         .user = "ann",
         .op = "work",
         .options = "{\"attempts\":0}"},
    };
    char next[CRON_TIME_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(cron_add(scene.a, &rows[i], "me", next, &scene.err), HEDDLE_REFUSED);
    assert_string_equal(ask("select count(*) from heddle.cron"), "0");
}

static void the_next_look_is_when_a_tick_is_due(void **state)
{
    int64_t next_ms, tick_ms;

    (void)state;
    assert_int_equal(journal_unpark(scene.a, 10, &next_ms, &tick_ms, &scene.err), HEDDLE_OK);
    assert_true(next_ms == INT64_MAX && tick_ms == INT64_MAX);
    add(NULL, NULL);
    assert_int_equal(journal_unpark(scene.a, 10, &next_ms, &tick_ms, &scene.err), HEDDLE_OK);
    assert_true(next_ms == INT64_MAX && tick_ms <= 3600000);
    miss(0);
    assert_int_equal(journal_unpark(scene.a, 10, &next_ms, &tick_ms, &scene.err), HEDDLE_OK);
    assert_true(tick_ms <= 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_missed_is_caught_up_as_asked),
        TEST(a_tick_that_is_skipped_is_one_that_is_late),
        TEST(a_tick_is_submitted_once_whoever_fires),
        TEST(a_lane_that_somebody_holds_keeps_nobody),
        TEST(a_tick_that_is_refused_is_told_and_the_next_one_comes),
        TEST(what_is_paused_has_no_ticks_and_makes_up_for_none),
        TEST(what_replaces_it_goes_on_with_its_ticks),
        TEST(with_a_unique_key_one_waits_at_a_time),
        TEST(what_does_not_fit_is_refused),
        TEST(the_next_look_is_when_a_tick_is_due),
    };
    return cmocka_run_group_tests(tests, scene_open_prepared, scene_close);
}
