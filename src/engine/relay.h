/* The relay: carries operations from the journal's outbox to Redis, and rebuilds what Redis lost.
 *
 * One thread in every processor, with a Postgres session and a Redis link of its own. One of them
 * in the fleet leads (a session advisory lock) and relays; all rebuild lanes in which their workers
 * found a gap, and learn which functions of the database are operations. An idle leader sleeps
 * until a submitter wakes it: see heddle.wake_relay. */
#ifndef ENGINE_RELAY_H
#define ENGINE_RELAY_H

#include "engine/processor.h"
#include "heddle/error.h"
#include "heddle/operation.h"

struct fetcher;
struct handlers;
struct relay;

/* `options` are borrowed until relay_free, and so are the handlers, which it keeps up with what is
 * registered, and the fetcher, which it tells of that. */
heddle_status relay_new(const struct processor_options *options, unsigned partitions,
                        struct handlers *handlers, struct fetcher *fetcher, struct relay **relay,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;
void relay_free(struct relay *relay);
void relay_start(struct relay *relay);
void relay_stop(struct relay *relay);

/* It leads: it is the one that relays. Thread-safe. */
bool relay_is_leader(const struct relay *relay);

/* Asks for the lane to be rebuilt from the journal soon. The name is copied. Thread-safe. */
void relay_rebuild(struct relay *relay, struct heddle_text lane);

/* Asks for the shares of limits to be looked at soon (engine/shares.h). Thread-safe. */
void relay_balance(struct relay *relay);

#endif
