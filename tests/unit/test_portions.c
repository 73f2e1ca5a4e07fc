/* What is divided among partitions: never more than there is, all of it where somebody waits, and
 * whoever waits longest is not passed over. */
#include "engine/portions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PARTITIONS = 16, ROUNDS = 20000 };

static uint64_t seed;

static int64_t random_below(int64_t most)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((seed >> 33) % (uint64_t)most);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t in_force(const struct portion *portions)
{
    int64_t sum = 0;

    for (size_t i = 0; i < PARTITIONS; i++)
        sum += larger(portions[i].share, portions[i].used);
    return sum;
}

/* A round as engine/shares.c makes it. */
static void move(struct portion *portions, int64_t total, bool is_capped)
{
    int64_t sum = 0;

    portions_divide(portions, PARTITIONS, total, is_capped);
    for (size_t i = 0; i < PARTITIONS; i++)
        sum += portions[i].wanted;
    assert_in_range(sum, 0, total);
    for (size_t i = 0; i < PARTITIONS; i++)
        if (portions[i].wanted < portions[i].share)
            portions[i].share = portions[i].wanted;
    portions_fit(portions, PARTITIONS, total);
    for (size_t i = 0; i < PARTITIONS; i++)
        if (portions[i].wanted > portions[i].share)
            portions[i].share = portions[i].wanted;
}

static void whatever_happens_no_more_is_in_force_than_there_is(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct portion portions[PARTITIONS] = {0};
        int64_t total = 1;
        seed = 7;
        for (int round = 0; round < ROUNDS; round++) {
            if (round % 50 == 0) {
                total = 1 + random_below(round % 100 ? 8 : 300);
                memset(portions, 0, sizeof portions);
            }
            for (size_t i = 0; i < PARTITIONS; i++) {
                struct portion *portion = &portions[i];
                portion->is_known = random_below(20) > 0;
                portion->waiting = random_below(3) ? 0 : random_below(40);
                portion->oldest_us = portion->waiting ? 1 + random_below(1000) : 0;
                /* What runs beyond the share only ends. */
                if (kind == 0)
                    portion->used = random_below(larger(portion->share, portion->used) + 1);
                if (!portion->is_known)
                    portion->share = 0;
            }
            move(portions, total, kind == 0);
            assert_in_range(in_force(portions), 0, total);
        }
    }
}

static void who_waits_has_all_but_a_reserve(void **state)
{
    struct portion portions[PARTITIONS] = {0};

    (void)state;
    for (size_t i = 0; i < PARTITIONS; i++)
        portions[i].is_known = true;
    move(portions, 1600, false);
    for (size_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(portions[i].share, 100);
    assert_false(portions_are_contended(portions, PARTITIONS));
    portions[3].waiting = portions[3].oldest_us = 1;
    move(portions, 1600, false);
    assert_int_equal(portions[3].share, 1600 - 15 * 6);
    /* Slots: no more than it can use, as the others can. */
    memset(portions, 0, sizeof portions);
    for (size_t i = 0; i < PARTITIONS; i++)
        portions[i].is_known = true;
    portions[3].waiting = portions[3].oldest_us = 2;
    move(portions, 18, true);
    assert_int_equal(portions[3].share, 3);
    assert_int_equal(portions[0].share, 1);
}

/* One token among many: each has its turn, in the order in which they came. */
static void who_waits_longest_is_next(void **state)
{
    struct portion portions[PARTITIONS] = {0};

    (void)state;
    for (size_t i = 0; i < PARTITIONS; i++) {
        portions[i].is_known = true;
        portions[i].waiting = 1;
        portions[i].oldest_us = (int64_t)(1 + (7 * i) % PARTITIONS);
    }
    for (int64_t turn = 1; turn <= 3 * PARTITIONS; turn++) {
        move(portions, 1, turn % 2);
        for (size_t i = 0; i < PARTITIONS; i++) {
            assert_int_equal(portions[i].share, portions[i].oldest_us == turn);
            if (portions[i].share)
                portions[i].oldest_us += PARTITIONS;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_no_more_is_in_force_than_there_is),
        cmocka_unit_test(who_waits_has_all_but_a_reserve),
        cmocka_unit_test(who_waits_longest_is_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
