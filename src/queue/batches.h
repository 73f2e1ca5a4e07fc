/* Batches as the partitions know them: lua/batches.lua. On the caller's thread and link; the
 * statuses are those of link/redis.h. */
#ifndef QUEUE_BATCHES_H
#define QUEUE_BATCHES_H

#include "heddle/error.h"

#include <stddef.h>
#include <stdint.h>

struct redis_link;

/* How many direct operations of each batch have not ended, in all partitions. One round trip. */
heddle_status partition_batches(struct redis_link *link, unsigned partitions,
                                const char *const *names, size_t count, int64_t *pending,
                                struct heddle_error *err) HEDDLE_MUST_CHECK;

/* How many operations of the batch processors have claimed, about. */
heddle_status partition_batch_running(struct redis_link *link, unsigned partitions,
                                      const char *name, int64_t *running,
                                      struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Called for each batch of which a partition has direct operations that have not ended. */
typedef void batch_pending_function(void *argument, const char *name, int64_t pending);
heddle_status partition_batch_list(struct redis_link *link, unsigned partitions,
                                   batch_pending_function *found, void *argument,
                                   struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Direct operations of the batch are cancelled, unless they have begun; adds their number. */
heddle_status partition_batch_cancel(struct redis_link *link, unsigned partitions, const char *name,
                                     int64_t *cancelled,
                                     struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
