/* Counts of durations by their size: few buckets over a wide range, each an eighth of its power of
 * two wide, so a quantile is off by an eighth at most. All functions are pure and thread-safe. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* Up to 2^40, which is 12 days of µs; what is larger is in the last one. */
enum { HISTOGRAM_BUCKETS = 304 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
};

/* Where a value belongs; one below 0 counts as 0. */
size_t histogram_bucket(int64_t value);

/* The largest value of a bucket. */
int64_t histogram_most(size_t bucket);

/* The value below or at which the share `quantile` (0 to 1) of all lies; 0 where there is none. */
int64_t histogram_quantile(const struct histogram *histogram, double quantile);

#endif
