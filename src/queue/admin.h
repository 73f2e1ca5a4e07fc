/* The queue as an operator sees it: install the functions, ask for versions.
 * Runs on the caller's thread and link. */
#ifndef QUEUE_ADMIN_H
#define QUEUE_ADMIN_H

#include "heddle/error.h"

#include <stdbool.h>
#include <stdint.h>

struct redis_link;

struct queue_facts {
    int library_version; /* 0: not installed */
    unsigned partitions; /* 0: not set up */
    char redis_version[32];
    char eviction_policy[32];
};

/* The version of the function library in this binary. */
int queue_library_version(void);

/* Loads the function library and fixes the number of partitions. Again is fine; an installed
 * library that is newer stays. HEDDLE_REFUSED where the partitions are fixed to another number: err
 * says which. */
heddle_status queue_install(struct redis_link *link, unsigned partitions, int64_t payload_bytes_max,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same, but nothing is claimed from a partition that knows no controls until it hears of them:
 * engine/controls.h. */
heddle_status queue_install_awaiting_controls(struct redis_link *link, unsigned partitions,
                                              int64_t payload_bytes_max,
                                              struct heddle_error *err) HEDDLE_MUST_CHECK;

heddle_status queue_facts_get(struct redis_link *link, struct queue_facts *facts,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* False where Redis lacks what queue_install leaves: it has lost everything, or a part. */
heddle_status queue_is_whole(struct redis_link *link, bool *is_whole,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* HEDDLE_FATAL, with one line that says what to do, unless the library is installed in a version
 * that this binary understands, the partitions are set and the eviction policy is noeviction. */
heddle_status queue_facts_judge(const struct queue_facts *facts,
                                struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
