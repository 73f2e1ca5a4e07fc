/* The operations of a benchmark, in the order in which they are submitted.
 *
 * Each carries its number among its user's, from 1, so that what they leave behind shows what was
 * lost, repeated or out of order. Confined to one thread. */
#ifndef APP_BENCH_WORK_H
#define APP_BENCH_WORK_H

#include "heddle/client.h"

#include <stddef.h>
#include <stdint.h>

struct bench_plan;

#define BENCH_USER_PREFIX "bench-" /* and seven digits, from 1 */
#define BENCH_NOOP_OP "bench_noop"

enum {
    BENCH_THREADS = 10, /* of a user */
    BENCH_NUMBER_DIGITS = 10,
    BENCH_LABEL_SIZE = BENCH_NUMBER_DIGITS + 1 + 2 + 1, /* "NUMBER THREAD " before the filler */
};

struct work;

struct work *work_new(const struct bench_plan *plan);
void work_free(struct work *work);

/* How many operations this user, from 1, has altogether. */
int64_t work_of_user(const struct bench_plan *plan, int64_t user);

/* The next ones, a window at most; 0 at the end. They live until the next call. */
size_t work_next(struct work *work, const struct heddle_submission **submissions);

#endif
