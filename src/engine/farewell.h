/* Users that have left: this processor's plugins are told of them, and the leading relay finds
 * those that are idle. Confined to the relay's thread, on its links. */
#ifndef ENGINE_FAREWELL_H
#define ENGINE_FAREWELL_H

#include "heddle/error.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_link;
struct processor_options;
struct redis_link;

/* Embedded. */
struct farewell {
    const struct processor_options *options;
    struct pg_link *pg;
    struct redis_link *redis;
    unsigned partitions, partition; /* the next one to look at for idle users */
    bool has_listeners;             /* a plugin wants to know */
    bool is_ignored;                /* the partitions were told that nobody sweeps */
    int64_t version; /* that was told of; -1: none yet, and older ones don't matter */
    int64_t next_learn_ms, next_sweep_ms;
};

void farewell_init(struct farewell *farewell, const struct processor_options *options,
                   struct pg_link *pg, struct redis_link *redis, unsigned partitions);

/* Tells the plugins who has left, once a second; nothing where none wants to know. */
heddle_status farewell_learn(struct farewell *farewell, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* As the leader: says who was idle for `user_idle_ms`, a few of some partitions, once a second. */
heddle_status farewell_sweep(struct farewell *farewell, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
