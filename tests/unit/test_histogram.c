/* Durations counted by their size. */
#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void buckets_follow_each_other_without_a_gap(void **state)
{
    (void)state;
    for (size_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        assert_int_equal(histogram_bucket(histogram_most(i)), i);
        assert_int_equal(histogram_bucket(histogram_most(i) + 1), i + 1);
    }
    assert_int_equal(histogram_bucket(-1), 0);
    assert_int_equal(histogram_bucket(INT64_MIN), 0);
    assert_int_equal(histogram_bucket(INT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void a_bucket_is_an_eighth_of_its_value_wide(void **state)
{
    (void)state;
    for (size_t i = 16; i < HISTOGRAM_BUCKETS; i++) {
        int64_t least = histogram_most(i - 1) + 1;
        assert_true((histogram_most(i) - least) * 8 <= least);
    }
}

static void quantiles_are_those_of_what_was_counted(void **state)
{
    struct histogram histogram = {0};

    (void)state;
    assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
    for (int64_t value = 1; value <= 1000; value++)
        histogram.counts[histogram_bucket(value)]++;
    assert_in_range(histogram_quantile(&histogram, 0.5), 500, 500 + 500 / 8);
    assert_in_range(histogram_quantile(&histogram, 0.99), 990, 990 + 990 / 8);
    assert_in_range(histogram_quantile(&histogram, 1), 1000, 1000 + 1000 / 8);
    assert_int_equal(histogram_quantile(&histogram, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_follow_each_other_without_a_gap),
        cmocka_unit_test(a_bucket_is_an_eighth_of_its_value_wide),
        cmocka_unit_test(quantiles_are_those_of_what_was_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
