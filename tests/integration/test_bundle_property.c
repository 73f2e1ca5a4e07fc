/* Whatever is bundled with what: the ledger, the effects and their order in each lane are those of
 * the same operations one by one, and so are their follow-ups. */
#include "load.h"

#include "engine/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEEDS = 40, LANES_MAX = 6, DEPTH_MAX = 12, IN_A_HURRY_US = 4000, AT_LEISURE_US = 1000000 };

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane);

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane)
{
    (void)relay;
    fail_msg("nothing is lost, and %s is to be rebuilt", lane.data);
}

static uint64_t random_state;

/* Source: Marsaglia, Xorshift RNGs, 2003. */
static int pick(int count)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int)(random_state % (uint64_t)count);
}

/* Lanes of a seed are the same, however they are executed. */
static void fill(uint64_t seed)
{
    static const char *const ops[] = {"set", "set", "set", "single", "single", "never", "look"};
    static const char *const hows[] = {"ok",   "ok",    "ok",   "ok",      "refuse", "fault",
                                       "late", "flaky", "many", "invalid", "slow"};

    random_state = seed * 0x9E3779B97F4A7C15u;
    const int lane_count = 1 + pick(LANES_MAX);
    /* How much goes wrong differs from seed to seed. */
    const int kinds = 4 + pick(8);
    for (int i = 0; i < lane_count; i++) {
        char user[] = {(char)('a' + i), '\0'};
        struct claim *claim = load_lane(user);
        for (int n = pick(DEPTH_MAX) + 1; n > 0; n--) {
            const char *op = ops[pick(7)], *how = hows[pick(kinds)];
            if (pick(2) && strcmp(op, "look") != 0)
                load_add_journaled(claim, op, how);
            else
                load_add(claim, op, how);
        }
    }
}

/* All that must not depend on what was bundled. */
static char *image(void)
{
    char *text;
    const char *ledger =
        ask("select string_agg(format('%%s %%s %%s %%s %%s %%s', id, user_id, state, code, attempt,"
            " result), E'\\n' order by id) from heddle.operations where op <> 'next'");
    const char *effects = ask("select string_agg(format('%%s %%s %%s', lane, id, how), E'\\n'"
                              " order by lane, seq) from works.effects");
    const char *attempts =
        ask("select string_agg(format('%%s %%s', id, attempt), E'\\n' order by id, attempt)"
            " from heddle.attempts");

    if (asprintf(&text, "%s\n%s\n%s", ledger, effects, attempts) < 0)
        abort();
    return text;
}

static char *run(uint64_t seed, int bundle_max, int64_t bundle_us)
{
    load_set_up(NULL);
    load_configure(bundle_max, bundle_us);
    load_follows = true;
    fill(seed);
    load_run();
    assert_string_equal(ask("select count(*) from heddle.operations"
                            " where finished_at is null and op <> 'next'"),
                        "0");
    load_assert_followed();
    assert_string_equal(ask("select count(*) from heddle.lane_heads h join heddle.lane_tails t"
                            " using (lane) where h.seq <> t.seq"),
                        "0");
    char *text = image();
    tell("truncate heddle.attempts");
    load_tear_down(NULL);
    return text;
}

static void bundles_make_no_difference(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        random_state = seed;
        const int bundle_max = 2 + pick(seed % 2 ? 6 : 126);
        char *alone = run(seed, 1, AT_LEISURE_US);
        char *together = run(seed, bundle_max, seed % 5 ? AT_LEISURE_US : IN_A_HURRY_US);
        if (strcmp(alone, together) != 0)
            fail_msg("seed %d, bundles of %d\n--- alone\n%s\n--- together\n%s", (int)seed,
                     bundle_max, alone, together);
        free(alone);
        free(together);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bundles_make_no_difference)};
    return cmocka_run_group_tests(tests, load_open, load_close);
}
