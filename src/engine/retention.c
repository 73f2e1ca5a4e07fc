/* See retention.h. */
#include "engine/retention.h"

#include "base/clock.h"
#include "base/log.h"
#include "link/pg.h"

enum {
    LOOK_EVERY_MS = 60 * 1000,
    PAUSE = 3, /* times what a step took: a quarter of the relay's time at most */
};

heddle_status retention_step(struct pg_link *link, const struct retention *retention,
                             int64_t *next_ms, struct heddle_error *err)
{
    const int64_t begin_ms = clock_now_ms();
    int64_t due_ms = LOOK_EVERY_MS;
    heddle_status status = HEDDLE_OK;

    if (retention->operations_ms > 0 || retention->dead_ms > 0)
        status = retention_prune(link, retention, &due_ms, err);
    if (status != HEDDLE_OK && !pg_is_connected(link))
        return status;
    if (status != HEDDLE_OK)
        heddle_log(HEDDLE_LOG_WARNING, "retention_later", "text=%s", LOG_TEXT(err->text));
    const int64_t now_ms = clock_now_ms();
    if (due_ms == 0)
        due_ms = (now_ms - begin_ms + 1) * PAUSE;
    *next_ms = now_ms + (due_ms < LOOK_EVERY_MS ? due_ms : LOOK_EVERY_MS);
    return HEDDLE_OK;
}
