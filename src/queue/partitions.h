/* How many partitions a Redis was set up for. */
#ifndef QUEUE_PARTITIONS_H
#define QUEUE_PARTITIONS_H

#include "heddle/error.h"

#define PARTITIONS_MAX 1024

struct redis_link;

/* Asks Redis; 0: it was not set up. HEDDLE_FATAL: what stands there is not Heddle's. One round
 * trip. */
heddle_status partitions_get(struct redis_link *link, unsigned *count,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
