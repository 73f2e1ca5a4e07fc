/* Every fault site of a bundle: the n-th call of libpq loses the connection, or the n-th statement
 * fails, n from 1 until a run succeeds. Each operation ends once, in its order, with its
 * follow-up, and is charged nothing: a fault that passes is nobody's. */
#include "load.h"

#include "base/clock.h"
#include "engine/relay.h"
#include "libpq_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { SITES_MAX = 1000, SITES_LEAST = 8, RESUMES_MAX = 500 };

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane);

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane)
{
    (void)relay;
    fail_msg("nothing is lost, and %s is to be rebuilt", lane.data);
}

/* Both ways that a bundle goes, durable and direct ones, a reader, refusals. */
static void fill(void)
{
    struct claim *ann = load_lane("ann"), *bob = load_lane("bob");

    load_add(ann, "set", "ok");
    load_add_journaled(ann, "set", "refuse");
    load_add_journaled(ann, "single", "second");
    load_add(bob, "single", "refuse");
    load_add(bob, "look", "ok");
    load_add_journaled(bob, "set", "ok");
}

static const char *image(void)
{
    return ask("select (select string_agg(state || ' ' || attempt, ', ' order by id)"
               "  from heddle.operations where op <> 'next')"
               " || '; ' || (select string_agg(lane || ' ' || how, ', ' order by lane, seq)"
               "  from works.effects)"
               " || '; ' || (select count(*) from heddle.attempts)"
               " || '; ' || (select count(*) from heddle.lane_heads h"
               "  join heddle.lane_tails t using (lane, seq))");
}

/* A backend that has lost its client may hold the lanes for a moment: they are paused. */
static void run_to_the_end(void)
{
    load_run();
    for (int i = 0; i < RESUMES_MAX && load_left() > 0; i++) {
        clock_sleep_ms(i > 0);
        load_resume();
    }
}

/* Returns whether the fault has happened. */
static bool run_with(enum libpq_fault fault, int at)
{
    load_set_up(NULL);
    load_follows = true;
    fill();
    libpq_faults_arm(fault, at);
    load_run();
    const bool has_happened = libpq_faults_disarm();
    run_to_the_end();
    const char *found = image();
    if (strcmp(found, "done 1, failed 1, done 1, failed 1, done 1;"
                      " ann ok, ann second, bob ok; 0; 2") != 0)
        fail_msg("fault %d at %d: %s", (int)fault, at, found);
    load_assert_followed();
    load_tear_down(NULL);
    return has_happened;
}

static void a_fault_at_any_site_changes_nothing(void **state)
{
    static const enum libpq_fault faults[] = {LIBPQ_CUT_BEFORE, LIBPQ_CUT_AFTER,
                                              LIBPQ_STATEMENT_FAILS};

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        int at = 1;
        while (at < SITES_MAX && run_with(faults[i], at))
            at++;
        assert_in_range(at, SITES_LEAST, SITES_MAX - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_fault_at_any_site_changes_nothing)};
    return cmocka_run_group_tests(tests, load_open, load_close);
}
