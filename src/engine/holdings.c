/* See holdings.h. */
#include "engine/holdings.h"

#include "base/arena.h"
#include "base/text.h"
#include "base/thread.h"

#include <stdlib.h>

enum { BUCKETS = 1024 };

struct holdings {
    struct mutex mutex;
    uint64_t answered_seq GUARDED;
    struct claim *buckets[BUCKETS] GUARDED; /* chained by next_held */
};

static struct claim **bucket_of(struct holdings *holdings, uint64_t seq, struct heddle_text lane);

struct holdings *holdings_new(void)
{
    struct holdings *holdings = memory_take_zeroed(1, sizeof *holdings);
    mutex_init(&holdings->mutex);
    return holdings;
}

void holdings_free(struct holdings *holdings)
{
    if (!holdings)
        return;
    mutex_done(&holdings->mutex);
    free(holdings);
}

void holdings_add(struct holdings *holdings, struct claim *claim)
{
    mutex_lock(&holdings->mutex);
    struct claim **bucket = bucket_of(holdings, claim->seq, claim->lane);
    claim->next_held = *bucket;
    *bucket = claim;
    mutex_unlock(&holdings->mutex);
}

void holdings_remove(struct holdings *holdings, struct claim *claim)
{
    mutex_lock(&holdings->mutex);
    struct claim **link = bucket_of(holdings, claim->seq, claim->lane);
    while (*link && *link != claim)
        link = &(*link)->next_held;
    if (*link)
        *link = claim->next_held;
    mutex_unlock(&holdings->mutex);
}

void holdings_answered(struct holdings *holdings, uint64_t seq)
{
    mutex_lock(&holdings->mutex);
    holdings->answered_seq = seq;
    mutex_unlock(&holdings->mutex);
}

bool holdings_knows(struct holdings *holdings, struct heddle_text lane, uint64_t seq)
{
    mutex_lock(&holdings->mutex);
    bool is_known = seq > holdings->answered_seq;
    for (struct claim *claim = *bucket_of(holdings, seq, lane); claim && !is_known;
         claim = claim->next_held)
        is_known = claim->seq == seq && text_equal(claim->lane, lane);
    mutex_unlock(&holdings->mutex);
    return is_known;
}

static struct claim **bucket_of(struct holdings *holdings, uint64_t seq, struct heddle_text lane)
{
    uint64_t hash = seq;
    for (size_t i = 0; i < lane.size; i++)
        hash = hash * 31 + (unsigned char)lane.data[i];
    return &holdings->buckets[hash % BUCKETS];
}
