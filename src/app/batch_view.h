/* What people see of a batch: its counts, from Postgres and Redis. On the main thread. */
#ifndef APP_BATCH_VIEW_H
#define APP_BATCH_VIEW_H

#include "heddle/error.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct pg_link;
struct redis_link;

struct batch_source {
    struct pg_link *ledger;
    struct redis_link *queue;
    unsigned partitions;
};

/* The batch as an object: name, state, queued, running, done, failed, dead, cancelled, times,
 * completion_id. The caller releases it. */
heddle_status batch_view_get(const struct batch_source *source, const char *name, json_t **view,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Up to `most` batches, an array of such objects, the newest first; those that Redis alone knows
 * before them. `running` is not in it. */
heddle_status batch_view_list(const struct batch_source *source, int most, json_t **views,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* How many of it have not ended, have ended, and have ended other than done. */
int64_t batch_view_left(const json_t *view);
int64_t batch_view_ended(const json_t *view);
int64_t batch_view_bad(const json_t *view);

/* Nobody has ever heard of it. */
bool batch_view_is_unknown(const json_t *view);

/* One line on stdout. */
void batch_view_print(const json_t *view);

#endif
