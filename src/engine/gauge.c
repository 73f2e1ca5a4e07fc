/* See gauge.h. */
#include "engine/gauge.h"

#include "base/arena.h"
#include "base/clock.h"
#include "queue/lanes.h"

#include <stdatomic.h>
#include <stdlib.h>

/* The second that is written, those that are read, and one between them for a reader that is
 * slow. */
enum { SLOTS = GAUGE_SECONDS + 3, ENDS = 4, NO_SECOND = -1 };

typedef atomic_uint_least32_t counter;

struct slot {
    atomic_int_least64_t second; /* NO_SECOND while it is emptied */
    counter ends[ENDS];
    counter latencies[HISTOGRAM_BUCKETS];
};

struct gauge {
    int64_t start_s;
    struct slot slots[SLOTS];
};

static struct slot *slot_of(struct gauge *gauge, int64_t now_s);
static void count(counter *of);
static int index_of(enum heddle_end end);
static void add(struct slot *slot, struct gauge_reading *reading);

struct gauge *gauge_new(void)
{
    struct gauge *gauge = memory_take_zeroed(1, sizeof *gauge);

    gauge->start_s = clock_now_us() / 1000000;
    for (int i = 0; i < SLOTS; i++)
        atomic_init(&gauge->slots[i].second, NO_SECOND);
    return gauge;
}

void gauge_free(struct gauge *gauge)
{
    free(gauge);
}

void gauge_note(struct gauge *gauge, const struct settlement *settlements,
                const struct settlement *end)
{
    if (!gauge || settlements == end)
        return;
    struct slot *slot = slot_of(gauge, clock_now_us() / 1000000);
    const int64_t now_us = clock_wall_us();
    for (const struct settlement *s = settlements; s != end; s = s->next)
        for (size_t i = s->first; i < s->first + s->count; i++) {
            const struct claimed_operation *claimed = &s->claim->operations[i];
            if (claimed->end == HEDDLE_END_NONE)
                continue; /* parked */
            count(&slot->ends[index_of(claimed->end)]);
            count(&slot->latencies[histogram_bucket(now_us - claimed->operation.submitted_us)]);
        }
}

void gauge_read(struct gauge *gauge, struct gauge_reading *reading)
{
    const int64_t now_s = clock_now_us() / 1000000, age_s = now_s - gauge->start_s;

    *reading = (struct gauge_reading){
        .seconds = age_s >= GAUGE_SECONDS ? GAUGE_SECONDS
                   : age_s > 1            ? (int)age_s
                                          : 1,
    };
    for (int i = 0; i < SLOTS; i++) {
        int64_t second = atomic_load_explicit(&gauge->slots[i].second, memory_order_acquire);
        if (second != NO_SECOND && second < now_s && second >= now_s - GAUGE_SECONDS)
            add(&gauge->slots[i], reading);
    }
}

/* That of this second; the oldest one's is emptied for it. */
static struct slot *slot_of(struct gauge *gauge, int64_t now_s)
{
    struct slot *slot = &gauge->slots[now_s % SLOTS];

    if (atomic_load_explicit(&slot->second, memory_order_relaxed) == now_s)
        return slot;
    atomic_store_explicit(&slot->second, NO_SECOND, memory_order_relaxed);
    for (int i = 0; i < ENDS; i++)
        atomic_store_explicit(&slot->ends[i], 0, memory_order_relaxed);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        atomic_store_explicit(&slot->latencies[i], 0, memory_order_relaxed);
    atomic_store_explicit(&slot->second, now_s, memory_order_release);
    return slot;
}

/* There is one writer: it need not lock the bus. */
static void count(counter *of)
{
    atomic_store_explicit(of, atomic_load_explicit(of, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static int index_of(enum heddle_end end)
{
    return end == HEDDLE_END_DONE     ? 0
           : end == HEDDLE_END_FAILED ? 1
           : end == HEDDLE_END_DEAD   ? 2
                                      : 3;
}

static void add(struct slot *slot, struct gauge_reading *reading)
{
    uint64_t *const ends[ENDS] = {&reading->done, &reading->failed, &reading->dead,
                                  &reading->cancelled};

    for (int i = 0; i < ENDS; i++)
        *ends[i] += atomic_load_explicit(&slot->ends[i], memory_order_relaxed);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        reading->latency_us.counts[i] +=
            atomic_load_explicit(&slot->latencies[i], memory_order_relaxed);
}
