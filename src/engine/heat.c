/* See heat.h. */
#include "engine/heat.h"

#include "base/arena.h"
#include "base/clock.h"

#include <stdlib.h>

struct partition {
    bool is_hot;
    int64_t due_ms; /* when a waiting lane comes due (clock_now_ms); INT64_MAX: none known */
};

struct heat {
    unsigned count;
    int64_t next_poll_ms;
    struct partition partitions[];
};

struct heat *heat_new(unsigned partitions)
{
    struct heat *heat = memory_take(sizeof *heat + partitions * sizeof *heat->partitions);

    heat->count = partitions;
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
        heat->partitions[p] = (struct partition){true, INT64_MAX};
    heat_poll_in(heat, HEAT_POLL_MS);
}

void heat_exhausted(struct heat *heat, unsigned partition, int64_t due_ms)
{
    heat->partitions[partition] =
        (struct partition){false, due_ms < 0 ? INT64_MAX : clock_now_ms() + due_ms};
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
