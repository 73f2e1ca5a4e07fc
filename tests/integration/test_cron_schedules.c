/* The ticks of schedules, as sql/0009_cron.sql has them. */
#include "case.h"

#include "ledger/cron.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
    tell("truncate heddle.parked, heddle.uniques, heddle.cron");
    return case_set_up(state);
}

/* The next ticks behind a moment, in UTC: "" where there is none. */
static void assert_ticks(const char *schedule, const char *zone, const char *after, int count,
                         const char *expected)
{
    const char *found =
        ask("with recursive t (n, at) as (select 0, '%s+00'::timestamptz union all"
            " select n + 1, heddle.cron_next('%s', '%s', at) from t where n < %d and at is not "
            "null)"
            " select coalesce(string_agg(to_char(at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),"
            " ', ' order by n), '') from t where n > 0 and at is not null",
            after, schedule, zone, count);
    if (strcmp(found, expected) != 0)
        fail_msg("%s behind %s in %s: %s, not %s", schedule, after, zone, found, expected);
}

static void ticks_are_those_of_the_schedule(void **state)
{
    static const struct {
        const char *schedule, *after, *next;
    } rows[] = {
        {"* * * * *", "2026-11-21 10:03:20", "2026-11-21 10:04:00"},
        {"* * * * *", "2026-11-21 10:03:00", "2026-11-21 10:04:00"},
        {"*/5 * * * *", "2026-11-21 10:55:00", "2026-11-21 11:00:00"},
        {"7-30/10 * * * *", "2026-11-21 10:17:30", "2026-11-21 10:27:00"},
        {"50/3 * * * *", "2026-11-21 10:53:00", "2026-11-21 10:56:00"},
        {"1,15,40-42 3 * * *", "2026-11-21 03:15:00", "2026-11-21 03:40:00"},
        {"0 22 * * *", "2026-12-31 22:00:00", "2027-01-01 22:00:00"},
        {"0 0 1 jan *", "2026-01-01 00:00:00", "2027-01-01 00:00:00"},
        {"0 0 * FEB-apr *", "2026-04-30 00:00:00", "2027-02-01 00:00:00"},
        {"0 0 31 * *", "2026-03-31 00:00:00", "2026-05-31 00:00:00"},
        {"0 12 29 2 *", "2026-01-01 00:00:00", "2028-02-29 12:00:00"},
        {"0 12 29 2 *", "2096-02-29 12:00:00", "2104-02-29 12:00:00"},
        {"0 9 * * 1-5", "2026-11-20 09:00:00", "2026-11-23 09:00:00"},
        {"0 9 * * sun", "2026-11-20 09:00:00", "2026-11-22 09:00:00"},
        {"0 9 * * 7", "2026-11-20 09:00:00", "2026-11-22 09:00:00"},
        {"0 9 * * fri-sun", "2026-11-20 09:00:00", "2026-11-21 09:00:00"},
        /* Either will do, where both are given. */
        {"0 0 13 * 5", "2026-11-13 00:00:00", "2026-11-20 00:00:00"},
        {"0 0 13 * 5", "2026-12-11 00:00:00", "2026-12-13 00:00:00"},
        {"0 0 */2 * 1", "2026-11-01 12:00:00", "2026-11-09 00:00:00"},
        {"0 0 30 2 *", "2026-11-20 09:00:00", ""},
        {"@hourly", "2026-11-20 09:00:00", "2026-11-20 10:00:00"},
        {"@daily", "2026-11-20 09:00:00", "2026-11-21 00:00:00"},
        {"@midnight", "2026-11-20 09:00:00", "2026-11-21 00:00:00"},
        {"@weekly", "2026-11-20 09:00:00", "2026-11-22 00:00:00"},
        {"@monthly", "2026-11-20 09:00:00", "2026-12-01 00:00:00"},
        {" @Yearly ", "2026-11-20 09:00:00", "2027-01-01 00:00:00"},
        {"@every 10m", "2026-11-20 09:03:20.5", "2026-11-20 09:10:00"},
        {"@every 1h30m", "1970-01-01 00:00:00", "1970-01-01 01:30:00"},
        {"@every 1s", "2026-11-20 09:03:20", "2026-11-20 09:03:21"},
        {"@every 1d", "2026-11-20 09:03:20", "2026-11-21 00:00:00"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_ticks(rows[i].schedule, "UTC", rows[i].after, 1, rows[i].next);
}

static void clocks_that_are_put_forward_or_back_lose_and_repeat_no_tick(void **state)
{
    (void)state;
    /* 02:00 is 03:00 on 2026-03-29; 03:00 is 02:00 again on 2026-10-25. */
    assert_ticks("30 2 * * *", "Europe/Berlin", "2026-03-28 00:00", 3,
                 "2026-03-28 01:30:00, 2026-03-29 01:00:00, 2026-03-30 00:30:00");
    assert_ticks("10,40 2,3 * * *", "Europe/Berlin", "2026-03-29 00:00", 3,
                 "2026-03-29 01:00:00, 2026-03-29 01:10:00, 2026-03-29 01:40:00");
    assert_ticks("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", 2,
                 "2026-10-25 00:30:00, 2026-10-26 01:30:00");
    assert_ticks("0 3 * * *", "Europe/Berlin", "2026-10-24 12:00", 1, "2026-10-25 02:00:00");
    /* By the clock, hour after hour. */
    assert_ticks("30 * * * *", "Europe/Berlin", "2026-03-29 00:00", 3,
                 "2026-03-29 00:30:00, 2026-03-29 01:30:00, 2026-03-29 02:30:00");
    assert_ticks("*/30 * * * *", "Europe/Berlin", "2026-10-24 23:40", 5,
                 "2026-10-25 00:00:00, 2026-10-25 00:30:00, 2026-10-25 01:00:00,"
                 " 2026-10-25 01:30:00, 2026-10-25 02:00:00");
    /* A day that begins at one, half an hour, a quarter of an hour. */
    assert_ticks("0 0 * * *", "Asia/Beirut", "2026-03-27 12:00", 3,
                 "2026-03-27 22:00:00, 2026-03-28 22:00:00, 2026-03-29 21:00:00");
    assert_ticks("45 1 * * *", "Australia/Lord_Howe", "2026-04-03 20:00", 2,
                 "2026-04-04 14:45:00, 2026-04-05 15:15:00");
    assert_ticks("0 8 * * *", "Asia/Kathmandu", "2026-04-03 20:00", 1, "2026-04-04 02:15:00");
    /* Midnight comes twice. */
    assert_ticks("0 0 * * *", "America/Havana", "2026-10-31 12:00", 2,
                 "2026-11-01 04:00:00, 2026-11-02 05:00:00");
}

static void schedules_that_make_no_sense_are_refused(void **state)
{
    static const char *const schedules[] = {
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "*-5 * * * *",
        "1,,2 * * * *",
        "x * * * *",
        "* * * jux *",
        "-1 * * * *",
        "1.5 * * * *",
        "@every 0s",
        "@every 10",
        "@every 367d",
        "@every -5m",
        "@every 5 min",
        "@reboot",
        "0 0 30 2 *",
        "* * * mon *",
    };

    (void)state;
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
        const struct cron_row row = {
            .name = "bad", .schedule = schedules[i], .user = "ann", .op = "work"};
        char next[CRON_TIME_SIZE];
        if (cron_add(scene.a, &row, "me", next, &scene.err) != HEDDLE_REFUSED ||
            scene.err.kind != HEDDLE_KIND_INVALID)
            fail_msg("\"%s\" is taken", schedules[i]);
    }
    assert_string_equal(ask("select count(*) from heddle.cron"), "0");
}

static void years_of_missed_minutes_are_found_at_once(void **state)
{
    static const char *const schedules[] = {"* * * * *", "* 0-10 * * *", "* * 1-15 * *",
                                            "0 0 29 2 *"};

    (void)state;
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++)
        assert_string_equal(
            ask("with l as (select heddle.cron_last('%s', 'UTC', heddle.cron_next('%s', 'UTC',"
                " '2010-01-01'), '2026-03-31 12:30:30+00') as at)"
                " select heddle.cron_next('%s', 'UTC', at) > '2026-03-31 12:30:30+00'"
                " and at <= '2026-03-31 12:30:30+00' and heddle.cron_next('%s', 'UTC',"
                " at - interval '1 second') = at from l",
                schedules[i], schedules[i], schedules[i], schedules[i]),
            "t");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ticks_are_those_of_the_schedule),
        TEST(clocks_that_are_put_forward_or_back_lose_and_repeat_no_tick),
        TEST(schedules_that_make_no_sense_are_refused),
        TEST(years_of_missed_minutes_are_found_at_once),
    };
    return cmocka_run_group_tests(tests, scene_open_prepared, scene_close);
}
