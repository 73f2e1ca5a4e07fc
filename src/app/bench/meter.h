/* What a measurement costs: CPU time and memory of processors, Redis, Postgres and this client.
 *
 * Servers that run elsewhere have no figure but what they tell themselves. Main thread. */
#ifndef APP_BENCH_METER_H
#define APP_BENCH_METER_H

#include "heddle/error.h"

#include <stdint.h>
#include <sys/types.h>

struct pg_link;
struct redis_link;
struct tally;

struct meter {
    struct redis_link *redis;
    const struct tally *tally; /* whose processors count; NULL: none do */
    pid_t postmaster;          /* 0: not on this host */
};

/* At a moment; two of them make a cost. CPU times in µs since each process began. */
struct meter_reading {
    int64_t at_us;
    int64_t client_us, processor_us, redis_us;
    int64_t postgres_us; /* -1: not known */
    int64_t machine_us;  /* all that all cores were busy; -1: not known */
    int64_t redis_bytes; /* used_memory */
};

/* Finds the postmaster. */
heddle_status meter_init(struct meter *meter, struct redis_link *redis, struct pg_link *pg,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

heddle_status meter_read(const struct meter *meter, struct meter_reading *reading,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The most memory that one of the processors has held, in KiB; 0 where that is not told. */
int64_t meter_rss_max_kib(const struct tally *tally);

/* The share of the machine, 0 to 1, that went to others between two readings; -1: not known. */
double meter_others(const struct meter_reading *from, const struct meter_reading *to);

#endif
