/* One pass of the reconciler over the whole journal, for `heddle check` and `heddle rebuild`. On
 * the caller's thread and links. */
#ifndef ENGINE_PASS_H
#define ENGINE_PASS_H

#include "heddle/error.h"

#include <stdbool.h>
#include <stdint.h>

struct journal_entry;
struct pg_link;
struct redis_link;

/* Sets a Redis up again that has lost everything, or a part of it: the journal knows how. `*is_new`
 * says whether that was needed: then controls_spread is, too, before anything is claimed. One that
 * nobody ever set up stays as it is. */
heddle_status pass_set_up(struct pg_link *pg, struct redis_link *redis, bool *is_new,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Told of each operation that Redis has lost, once it is put back. */
typedef void pass_report_function(void *argument, unsigned partition,
                                  const struct journal_entry *entry);

struct pass {
    struct pg_link *pg;
    struct redis_link *redis;
    unsigned partitions;
    bool only_looks;              /* nothing is put back */
    bool takes_outbox;            /* also what a relay would push */
    pass_report_function *report; /* or NULL */
    void *argument;
};

struct pass_counts {
    int64_t lanes, operations; /* unfinished ones that were compared */
    int64_t lost;              /* of them */
};

/* Statuses are those of link/redis.h and link/pg.h; to begin anew repeats nothing. */
heddle_status pass_run(const struct pass *pass, struct pass_counts *counts,
                       struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
