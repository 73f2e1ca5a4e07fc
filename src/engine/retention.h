/* Retention, a step at a time, between pages of the outbox: on the leading relay's thread. Where it
 * stands is in Postgres: whoever leads next goes on there. */
#ifndef ENGINE_RETENTION_H
#define ENGINE_RETENTION_H

#include "heddle/error.h"
#include "ledger/retention.h"

#include <stdint.h>

struct pg_link;

/* `*next_ms`, of clock_now_ms: when to call again. Fails only where the link is lost: what
 * Postgres refuses is logged and tried again later, for relaying goes on. */
heddle_status retention_step(struct pg_link *link, const struct retention *retention,
                             int64_t *next_ms, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
