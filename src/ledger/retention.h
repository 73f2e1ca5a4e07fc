/* Retention in Postgres (sql/0013_retention.sql): what has ended goes some time later. Each call is
 * a transaction of its own, on the caller's thread and link. */
#ifndef LEDGER_RETENTION_H
#define LEDGER_RETENTION_H

#include "heddle/error.h"

#include <stdint.h>

struct pg_link;

/* How long what has ended is remembered; 0: for ever. */
struct retention {
    int64_t operations_ms, dead_ms, batches_ms;
};

/* The last run, or the one under way, and how many of each it has deleted. */
struct retention_facts {
    char began_at[40], ended_at[40], next_at[40]; /* empty: not yet */
    int64_t operations, dead_letters, batches, controls;
};

/* A step of the daily run, some milliseconds long. `*due_ms`: so long nothing is to be done. */
heddle_status retention_prune(struct pg_link *link, const struct retention *retention,
                              int64_t *due_ms, struct heddle_error *err) HEDDLE_MUST_CHECK;

heddle_status retention_look(struct pg_link *link, struct retention_facts *facts,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
