/* What is told after a settlement: events, and results that somebody asked for after the operation
 * was claimed, which did not go with it. Confined to the settler. */
#ifndef ENGINE_LATE_H
#define ENGINE_LATE_H

#include "heddle/error.h"
#include "queue/lanes.h"

#include <stddef.h>
#include <stdint.h>

struct late_result;
struct redis_link;

/* Embedded; zero is empty. */
struct late {
    struct late_result *results;
    size_t count, capacity;
};

void late_done(struct late *late);

/* The result of the operation `id` of these settlements, up to `end`, has still to be told; they
 * stay as they are until then. */
void late_note(struct late *late, unsigned partition, const struct settlement *settlements,
               const struct settlement *end, struct heddle_text id);

/* Tells them; those that are told are gone where it fails. */
heddle_status late_tell(struct late *late, struct redis_link *link, struct command *command,
                        int64_t result_ttl_ms, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Publishes the claim's events. */
heddle_status late_publish(struct redis_link *link, const struct claim *claim,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
