/* See later.h. */
#include "engine/later.h"

#include "base/clock.h"
#include "base/log.h"
#include "ledger/cron.h"
#include "ledger/journal.h"

enum {
    ENTER_COUNT = 1000,
    TICKS_COUNT = 100,
    MOST_MS = 1000, /* sooner where one is known to be due */
    LEAST_MS = 20,
};

int64_t later_idle_ms(const struct later *later)
{
    const int64_t left_ms = later->next_ms - clock_now_ms();
    return left_ms > 0 ? left_ms : 0;
}

heddle_status later_look(struct later *later, struct heddle_error *err)
{
    int64_t next_ms, tick_ms;
    struct cron_tick tick;

    heddle_status status = journal_unpark(later->pg, ENTER_COUNT, &next_ms, &tick_ms, err);
    for (int i = 0; status == HEDDLE_OK && tick_ms <= 0 && i < TICKS_COUNT; i++) {
        status = cron_fire(later->pg, &tick, err);
        if (status != HEDDLE_OK)
            break;
        tick_ms = tick.next_ms;
        if (*tick.problem)
            heddle_log(HEDDLE_LOG_WARNING, "cron_refused", "name=%s text=%s", LOG_TEXT(tick.name),
                       LOG_TEXT(tick.problem));
    }
    if (status != HEDDLE_OK)
        return status;
    if (next_ms > tick_ms)
        next_ms = tick_ms;
    if (next_ms > MOST_MS)
        next_ms = MOST_MS;
    later->next_ms = clock_now_ms() + (next_ms > LEAST_MS ? next_ms : LEAST_MS);
    return HEDDLE_OK;
}
