/* See heat.h. */
#include "engine/heat.h"

#include "base/arena.h"
#include "base/clock.h"

#include <stdlib.h>

struct partition {
    bool is_hot, is_deep;
    int64_t due_ms; /* when a waiting lane comes due (clock_now_ms); INT64_MAX: none known */
};

struct heat {
    unsigned count, deep_count;
    int64_t next_poll_ms;
    size_t operations_per_lane;
    size_t left, share; /* of this round */
    struct partition partitions[];
};

struct heat *heat_new(unsigned partitions)
{
    struct heat *heat = memory_take(sizeof *heat + partitions * sizeof *heat->partitions);

    heat->count = partitions;
    heat->deep_count = 0;
    heat->operations_per_lane = 1;
    for (unsigned p = 0; p < partitions; p++)
        heat->partitions[p].is_deep = false;
    heat_all(heat);
    return heat;
}

void heat_free(struct heat *heat)
{
    free(heat);
}

bool heat_is_hot(const struct heat *heat, unsigned partition)
{
    return heat->partitions[partition].is_hot;
}

size_t heat_count(const struct heat *heat)
{
    size_t count = 0;
    for (unsigned p = 0; p < heat->count; p++)
        count += heat->partitions[p].is_hot;
    return count;
}

void heat_partition(struct heat *heat, int64_t partition)
{
    if (partition >= 0 && partition < heat->count)
        heat->partitions[partition].is_hot = true;
}

void heat_all(struct heat *heat)
{
    for (unsigned p = 0; p < heat->count; p++)
        heat->partitions[p] = (struct partition){true, heat->partitions[p].is_deep, INT64_MAX};
    heat_poll_in(heat, HEAT_POLL_MS);
}

void heat_begin_round(struct heat *heat, size_t lanes, size_t operations)
{
    const size_t hot = heat_count(heat);
    const size_t by_operations = operations / heat->operations_per_lane + (operations > 0);

    heat->left = lanes < by_operations ? lanes : by_operations;
    heat->share = hot > 0 && heat->left > hot ? heat->left / hot : 1;
}

size_t heat_take_lanes(struct heat *heat, unsigned partition, size_t most)
{
    const struct partition *asked = &heat->partitions[partition];
    size_t lanes = asked->is_deep ? most : heat->share;

    if (!asked->is_hot)
        return 0;
    lanes = lanes < most ? lanes : most;
    lanes = lanes < heat->left ? lanes : heat->left;
    heat->left -= lanes;
    return lanes;
}

bool heat_is_deep(const struct heat *heat)
{
    return heat->deep_count > 0;
}

void heat_claimed(struct heat *heat, unsigned partition, size_t asked,
                  const struct claim_list *claims)
{
    bool *is_deep = &heat->partitions[partition].is_deep;
    size_t operations = 0;

    heat->deep_count -= *is_deep;
    *is_deep = claims->count == asked;
    heat->deep_count += *is_deep;
    for (const struct claim *claim = claims->first; claim; claim = claim->next)
        operations += claim->operation_count;
    if (claims->count > 0)
        heat->operations_per_lane =
            (heat->operations_per_lane + operations / claims->count + 1) / 2;
}

void heat_exhausted(struct heat *heat, unsigned partition, int64_t due_ms)
{
    heat->deep_count -= heat->partitions[partition].is_deep;
    heat->partitions[partition] =
        (struct partition){.due_ms = due_ms < 0 ? INT64_MAX : clock_now_ms() + due_ms};
}

int64_t heat_wait_ms(const struct heat *heat)
{
    int64_t wake_ms = heat->next_poll_ms;

    for (unsigned p = 0; p < heat->count; p++)
        if (heat->partitions[p].due_ms < wake_ms)
            wake_ms = heat->partitions[p].due_ms;
    int64_t left_ms = wake_ms - clock_now_ms();
    return left_ms > 0 ? left_ms : 0;
}

void heat_due(struct heat *heat)
{
    int64_t now_ms = clock_now_ms();

    if (now_ms >= heat->next_poll_ms) {
        heat_all(heat);
        return;
    }
    for (unsigned p = 0; p < heat->count; p++)
        if (heat->partitions[p].due_ms <= now_ms)
            heat->partitions[p].is_hot = true;
}

void heat_poll_in(struct heat *heat, int64_t wait_ms)
{
    heat->next_poll_ms = clock_now_ms() + wait_ms;
}
