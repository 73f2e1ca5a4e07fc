/* See pause.h. Called by workers. */
#include "engine/pause.h"

#include "base/clock.h"

#include <stdio.h>

enum {
    RETRY_BASE_MS = 100,
    RETRY_CAP_MS = 30000,
    OUTAGE_LEAST_MS = 200,
    OUTAGE_JITTER_MS = 800, /* so that lanes do not come back all at once */
    GAP_MS = 1000,          /* the net; a rebuilt lane is ready at once */
};

void pause_lane(struct settlement *part, enum disposition disposition)
{
    const struct heddle_operation *next =
        &part->claim->operations[part->first + part->count].operation;

    part->disposition = disposition;
    switch (disposition) {
    case LANE_WAIT:
        part->wait_ms = clock_backoff_ms(next->attempt, RETRY_BASE_MS, RETRY_CAP_MS) + 1;
        break;
    case LANE_PAUSE:
        part->wait_ms = OUTAGE_LEAST_MS + (int64_t)clock_random(OUTAGE_JITTER_MS);
        break;
    case LANE_GAP:
        part->wait_ms = GAP_MS;
        break;
    case LANE_HALT:
        snprintf(part->reason, sizeof part->reason, "op %s", next->op.data);
        break;
    case LANE_KEEP:
    case LANE_RELEASE:
        break;
    }
}
