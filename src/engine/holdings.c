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
    size_t count GUARDED;
    struct claim *buckets[BUCKETS] GUARDED; /* chained by next_held */
};

static bool cancel_in(struct claim *claim, struct heddle_text id, enum cancel_cause cause);
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
    holdings->count++;
    mutex_unlock(&holdings->mutex);
}

void holdings_remove(struct holdings *holdings, struct claim *claim)
{
    mutex_lock(&holdings->mutex);
    struct claim **link = bucket_of(holdings, claim->seq, claim->lane);
    while (*link && *link != claim)
        link = &(*link)->next_held;
    if (*link) {
        *link = claim->next_held;
        holdings->count--;
    }
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

size_t holdings_count(struct holdings *holdings)
{
    mutex_lock(&holdings->mutex);
    size_t count = holdings->count;
    mutex_unlock(&holdings->mutex);
    return count;
}

size_t holdings_of_lane(struct holdings *holdings, struct heddle_text lane)
{
    size_t count = 0;

    mutex_lock(&holdings->mutex);
    for (size_t b = 0; b < BUCKETS; b++)
        for (struct claim *claim = holdings->buckets[b]; claim; claim = claim->next_held)
            if (text_equal(claim->lane, lane))
                count += claim->operation_count;
    mutex_unlock(&holdings->mutex);
    return count;
}

bool holdings_cancel(struct holdings *holdings, struct heddle_text id, enum cancel_cause cause)
{
    bool is_found = false;

    mutex_lock(&holdings->mutex);
    for (size_t b = 0; b < BUCKETS; b++)
        for (struct claim *claim = holdings->buckets[b]; claim; claim = claim->next_held)
            is_found |= cancel_in(claim, id, cause);
    mutex_unlock(&holdings->mutex);
    return is_found;
}

static bool cancel_in(struct claim *claim, struct heddle_text id, enum cancel_cause cause)
{
    for (size_t i = 0; i < claim->operation_count; i++) {
        struct claimed_operation *claimed = &claim->operations[i];
        if (!text_equal((struct heddle_text){claimed->operation.id, HEDDLE_ID_SIZE}, id))
            continue;
        claimed_cancel(claimed, cause);
        return true;
    }
    return false;
}

static struct claim **bucket_of(struct holdings *holdings, uint64_t seq, struct heddle_text lane)
{
    uint64_t hash = seq;
    for (size_t i = 0; i < lane.size; i++)
        hash = hash * 31 + (unsigned char)lane.data[i];
    return &holdings->buckets[hash % BUCKETS];
}
