/* What the leading relay looks after beside its outbox: controls reach the partitions, shares of
 * limits go to where operations wait, batches come to their end, what is old goes. On the relay's
 * thread and links. */
#ifndef ENGINE_HOUSE_H
#define ENGINE_HOUSE_H

#include "heddle/error.h"

#include <stdatomic.h>
#include <stdint.h>

struct pg_link;
struct redis_link;
struct retention;

/* With zeroed times, it is time for everything. */
struct house {
    const struct retention *retention;             /* borrowed; NULL: nothing goes */
    int64_t controls_ms, batches_ms, retention_ms; /* the next time */
    int64_t last_controls_ms;
    atomic_bool is_asked;
};

/* A partition needs a share of a limit: somebody looks soon. Thread-safe. */
void house_ask(struct house *house);

/* Something is new: it is time for everything. */
void house_hurry(struct house *house);

/* Does what it is time for. */
heddle_status house_tend(struct house *house, struct pg_link *pg, struct redis_link *redis,
                         unsigned partitions, struct heddle_error *err) HEDDLE_MUST_CHECK;

int64_t house_next_ms(const struct house *house);

#endif
