/* See strands.h. Split by the fetcher, joined by workers, freed by the settler. */
#include "queue/strands.h"

#include "base/arena.h"
#include "base/digest.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct strand {
    struct claim claim;
    struct settlement end; /* by its own worker, who then counts it as ended */
};

struct strands {
    struct claim *whole;
    atomic_size_t left; /* that have not ended */
    size_t count;
    struct strand all[];
};

static void sort(struct claim *claim, int places, size_t counts[STRANDS_MAX]);
static void init(struct strand *strand, struct strands *strands, int place, size_t first,
                 size_t count);
static bool is_more_binding(const struct settlement *one, const struct settlement *other);

void strands_split(struct claim *claim, int places, struct claim_list *list)
{
    size_t counts[STRANDS_MAX] = {0}, count = 0, first = 0;

    if (places > 1) {
        claim->places = places;
        sort(claim, places, counts);
    }
    for (int place = 0; place < places; place++)
        if (counts[place] > 0) {
            claim->place = place;
            count++;
        }
    if (count <= 1) {
        claim_list_push(list, claim);
        return;
    }
    struct strands *strands = memory_take_zeroed(1, sizeof *strands + count * sizeof *strands->all);
    strands->whole = claim;
    atomic_init(&strands->left, count);
    claim->strands = strands;
    for (int place = 0; place < places; place++) {
        if (counts[place] == 0)
            continue;
        struct strand *strand = &strands->all[strands->count++];
        init(strand, strands, place, first, counts[place]);
        claim_list_push(list, &strand->claim);
        first += counts[place];
    }
}

bool strands_join(const struct settlement *settlement, struct settlement *end)
{
    struct strand *own = (struct strand *)settlement->claim;
    struct strands *strands = own->claim.strands;

    own->end = *settlement;
    /* Ordered: the last one sees what the others have written. */
    if (atomic_fetch_sub(&strands->left, 1) > 1)
        return false;
    struct claim *whole = strands->whole;
    const struct settlement *binding = &strands->all[0].end;
    for (size_t i = 0; i < strands->count; i++) {
        struct claim_event **last = &strands->all[i].claim.events;
        while (*last)
            last = &(*last)->next;
        *last = whole->events;
        whole->events = strands->all[i].claim.events;
        if (is_more_binding(&strands->all[i].end, binding))
            binding = &strands->all[i].end;
    }
    *end = *binding;
    end->claim = whole;
    end->first =
        (size_t)(binding->claim->operations - whole->operations) + binding->first + binding->count;
    end->count = 0;
    end->cost_us = 0;
    return true;
}

void strands_free(struct claim *claim)
{
    if (!claim->strands)
        return;
    for (size_t i = 0; i < claim->strands->count; i++)
        arena_done(&claim->strands->all[i].claim.arena);
    free(claim->strands);
}

/* By place, and of a place as they came; counts those of each. */
static void sort(struct claim *claim, int places, size_t counts[STRANDS_MAX])
{
    const size_t size = claim->operation_count * sizeof *claim->operations;
    struct claimed_operation *sorted = memory_take(size);
    int *place_of = memory_take(claim->operation_count * sizeof *place_of);
    size_t count = 0;

    for (size_t i = 0; i < claim->operation_count; i++) {
        const struct heddle_text thread = claim->operations[i].operation.thread;
        place_of[i] = (int)((uint64_t)digest_thread_key(claim->lane, thread) % (unsigned)places);
        counts[place_of[i]]++;
    }
    for (int place = 0; place < places; place++)
        for (size_t i = 0; counts[place] > 0 && i < claim->operation_count; i++)
            if (place_of[i] == place)
                memcpy(&sorted[count++], &claim->operations[i], sizeof *sorted);
    memcpy(claim->operations, sorted, size);
    free(sorted);
    free(place_of);
}

static void init(struct strand *strand, struct strands *strands, int place, size_t first,
                 size_t count)
{
    const struct claim *whole = strands->whole;

    strand->claim = (struct claim){
        .partition = whole->partition,
        .seq = whole->seq,
        .lane = whole->lane,
        .operation_count = count,
        .operations = whole->operations + first,
        .places = whole->places,
        .place = place,
        .strands = strands,
    };
    arena_init(&strand->claim.arena, 0);
}

/* Somebody's decision is waited for longer than any time. */
static bool is_more_binding(const struct settlement *one, const struct settlement *other)
{
    if (one->disposition == LANE_RELEASE || other->disposition == LANE_HALT)
        return false;
    return one->disposition == LANE_HALT || other->disposition == LANE_RELEASE ||
           one->wait_ms > other->wait_ms;
}
