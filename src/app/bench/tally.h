/* What processors of a benchmark tell: memory that they share with the command, and the no-op
 * handler that writes there which operations came, in which order. */
#ifndef APP_BENCH_TALLY_H
#define APP_BENCH_TALLY_H

#include "heddle/operation.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

enum { TALLY_PROCESSORS_MAX = 64 };

struct tally {
    atomic_int processor_count;
    pid_t processors[TALLY_PROCESSORS_MAX];
    atomic_int_fast64_t runs;     /* of the no-op handler */
    atomic_int_fast64_t repeated; /* that had come before */
    atomic_int_fast64_t early;   /* that came before one of the same user that stands before them */
    atomic_int_fast64_t strange; /* that are not ours */
    uint32_t users;
    uint32_t watched_users; /* the first ones, with one operation in turn: see started_us */
    uint64_t watched;       /* operations whose start is noted */
    atomic_int_fast64_t *started_us; /* by the number in which they were submitted, from 0 */
    atomic_uint_fast32_t last[];     /* by user, from 1: number of the newest operation */
};

/* Before any processor is forked. NULL where there is no memory. One at a time: a handler has no
 * argument of its own to find it by. */
struct tally *tally_new(uint32_t users, uint32_t watched_users, uint64_t watched);
void tally_free(struct tally *tally);

/* In a processor, at its start. */
void tally_join(struct tally *tally);

/* Every handler that ships, and the no-op; NULL-terminated, static. */
const struct heddle_handler *const *tally_handlers(void);

#endif
