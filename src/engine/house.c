/* See house.h. */
#include "engine/house.h"

#include "base/clock.h"
#include "engine/batches.h"
#include "engine/controls.h"
#include "engine/retention.h"
#include "engine/shares.h"

enum {
    EVERY_MS = 1000,
    CONTENDED_MS = 100, /* where shares are moved about */
    ASKED_MS = 20,      /* after the last time, where somebody asks */
};

static heddle_status tend_controls(struct house *house, struct pg_link *pg,
                                   struct redis_link *redis, unsigned partitions,
                                   struct heddle_error *err);

void house_ask(struct house *house)
{
    atomic_store(&house->is_asked, true);
}

void house_hurry(struct house *house)
{
    house->controls_ms = house->batches_ms = 0;
}

heddle_status house_tend(struct house *house, struct pg_link *pg, struct redis_link *redis,
                         unsigned partitions, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    if (atomic_exchange(&house->is_asked, false) &&
        house->controls_ms > house->last_controls_ms + ASKED_MS)
        house->controls_ms = house->last_controls_ms + ASKED_MS;
    if (clock_now_ms() >= house->controls_ms)
        status = tend_controls(house, pg, redis, partitions, err);
    if (status == HEDDLE_OK && clock_now_ms() >= house->batches_ms) {
        status = batches_tend(pg, redis, partitions, err);
        house->batches_ms = clock_now_ms() + EVERY_MS;
    }
    if (status == HEDDLE_OK && house->retention && clock_now_ms() >= house->retention_ms)
        status = retention_step(pg, house->retention, &house->retention_ms, err);
    return status;
}

int64_t house_next_ms(const struct house *house)
{
    int64_t ms = house->controls_ms < house->batches_ms ? house->controls_ms : house->batches_ms;

    return house->retention && house->retention_ms < ms ? house->retention_ms : ms;
}

static heddle_status tend_controls(struct house *house, struct pg_link *pg,
                                   struct redis_link *redis, unsigned partitions,
                                   struct heddle_error *err)
{
    bool is_contended;

    heddle_status status = controls_spread(pg, redis, partitions, err);
    if (status == HEDDLE_OK)
        status = shares_balance(pg, redis, partitions, &is_contended, err);
    if (status != HEDDLE_OK)
        return status;
    house->last_controls_ms = clock_now_ms();
    house->controls_ms = house->last_controls_ms + (is_contended ? CONTENDED_MS : EVERY_MS);
    return HEDDLE_OK;
}
