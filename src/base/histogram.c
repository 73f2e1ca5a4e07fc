/* See histogram.h. */
#include "base/histogram.h"

/* A bucket is named by the power of two and the SHARE_BITS behind the leading one. */
enum { SHARE_BITS = 3, SHARES = 1 << SHARE_BITS };

size_t histogram_bucket(int64_t value)
{
    if (value < SHARES)
        return value < 0 ? 0 : (size_t)value;
    const int power = 63 - __builtin_clzll((unsigned long long)value);
    const size_t share = (size_t)(value >> (power - SHARE_BITS)) & (SHARES - 1);
    const size_t bucket = (size_t)(power - SHARE_BITS + 1) * SHARES + share;

    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

int64_t histogram_most(size_t bucket)
{
    if (bucket < SHARES)
        return (int64_t)bucket;
    const int shift = (int)(bucket / SHARES) - 1;

    return (((int64_t)(SHARES + bucket % SHARES) + 1) << shift) - 1;
}

int64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    uint64_t total = 0, seen = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += histogram->counts[i];
    if (total == 0)
        return 0;
    const double wanted = (double)total * quantile;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > 0 && (double)seen >= wanted)
            return histogram_most(i);
    }
    return histogram_most(HISTOGRAM_BUCKETS - 1);
}
