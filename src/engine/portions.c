/* See portions.h. */
#include "engine/portions.h"

#include "base/arena.h"

#include <stdlib.h>

enum { RESERVE_PARTS = 16 /* a part of that size is for those who do not wait yet */ };

static int64_t demand_of(const struct portion *portion);
static void divide_by_demand(struct portion **sorted, size_t count, int64_t total, int64_t demand,
                             bool is_capped);
static void keep_as_is(struct portion **sorted, size_t count, int64_t total);
static void spread(struct portion **sorted, size_t count, int64_t left);
static struct portion **sort(struct portion *portions, size_t count, size_t *known);
static int by_age(const void *a, const void *b);
static int64_t larger(int64_t a, int64_t b);

void portions_divide(struct portion *portions, size_t count, int64_t total, bool is_capped)
{
    size_t known;
    struct portion **sorted = sort(portions, count, &known);
    int64_t demand = 0;

    for (size_t i = 0; i < count; i++)
        portions[i].wanted = 0;
    for (size_t i = 0; i < known; i++)
        demand += demand_of(sorted[i]);
    if (known > 0 && demand > 0)
        divide_by_demand(sorted, known, total, demand, is_capped);
    else if (known > 0)
        keep_as_is(sorted, known, total);
    free(sorted);
}

void portions_fit(struct portion *portions, size_t count, int64_t total)
{
    size_t known;
    struct portion **sorted = sort(portions, count, &known);
    int64_t left = total;

    for (size_t i = 0; i < count; i++)
        left -= larger(portions[i].share, portions[i].used);
    for (size_t i = 0; i < known; i++) {
        struct portion *portion = sorted[i];
        if (portion->wanted <= portion->share)
            continue;
        /* What is in use beyond the share is taken already. */
        int64_t cost =
            larger(portion->wanted, portion->used) - larger(portion->share, portion->used);
        int64_t missing = cost > left ? cost - larger(left, 0) : 0;
        portion->wanted = larger(portion->wanted - missing, portion->share);
        left -= cost - missing;
    }
    free(sorted);
}

bool portions_are_contended(const struct portion *portions, size_t count)
{
    size_t waiting = 0, moved = 0;

    for (size_t i = 0; i < count; i++) {
        waiting += portions[i].waiting > 0;
        moved += portions[i].wanted != portions[i].share;
    }
    return waiting > 1 || (waiting == 1 && moved > 0);
}

static int64_t demand_of(const struct portion *portion)
{
    return portion->used + portion->waiting;
}

static void divide_by_demand(struct portion **sorted, size_t count, int64_t total, int64_t demand,
                             bool is_capped)
{
    const int64_t reserve = total / (RESERVE_PARTS * (int64_t)count);
    const int64_t pool = total - reserve * (int64_t)count;
    int64_t left = total;
    bool is_given = true;

    for (size_t i = 0; i < count; i++) {
        int64_t own = demand_of(sorted[i]);
        /* Both are far below 2^31. */
        int64_t part = (int64_t)((double)pool * (double)own / (double)demand);
        sorted[i]->wanted = reserve + (is_capped && part > own ? own : part);
        left -= sorted[i]->wanted;
    }
    while (left > 0 && is_given) {
        is_given = false;
        for (size_t i = 0; i < count && left > 0; i++) {
            int64_t own = demand_of(sorted[i]);
            if (own == 0 || (is_capped && sorted[i]->wanted >= reserve + own))
                continue;
            sorted[i]->wanted++;
            left--;
            is_given = true;
        }
    }
    spread(sorted, count, left);
}

static void keep_as_is(struct portion **sorted, size_t count, int64_t total)
{
    int64_t given = 0, left = total;

    for (size_t i = 0; i < count; i++)
        given += sorted[i]->share;
    for (size_t i = 0; i < count; i++) {
        sorted[i]->wanted =
            given > total ? (int64_t)((double)sorted[i]->share * (double)total / (double)given)
                          : sorted[i]->share;
        left -= sorted[i]->wanted;
    }
    spread(sorted, count, left);
}

/* What nobody asks for: the same to each, the rest to the first. */
static void spread(struct portion **sorted, size_t count, int64_t left)
{
    for (size_t i = 0; i < count; i++)
        sorted[i]->wanted += left / (int64_t)count + ((int64_t)i < left % (int64_t)count);
}

/* Those that know the limit, who waits longest first. */
static struct portion **sort(struct portion *portions, size_t count, size_t *known)
{
    struct portion **sorted = memory_take((count + 1) * sizeof *sorted);

    *known = 0;
    for (size_t i = 0; i < count; i++)
        if (portions[i].is_known)
            sorted[(*known)++] = &portions[i];
    qsort(sorted, *known, sizeof *sorted, by_age);
    return sorted;
}

static int by_age(const void *a, const void *b)
{
    const struct portion *first = *(struct portion *const *)a;
    const struct portion *second = *(struct portion *const *)b;

    if ((first->waiting > 0) != (second->waiting > 0))
        return first->waiting > 0 ? -1 : 1;
    if (first->waiting > 0 && first->oldest_us != second->oldest_us)
        return first->oldest_us < second->oldest_us ? -1 : 1;
    return first < second ? -1 : 1;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
