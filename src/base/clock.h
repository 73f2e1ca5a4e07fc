/* Time. Waiting and measuring use the monotonic clock; the wall clock is only
 * for what people read. All functions are thread-safe. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Monotonic, from an arbitrary start. */
int64_t clock_now_us(void);
int64_t clock_now_ms(void);

/* Wall clock, since the epoch. */
int64_t clock_wall_us(void);

/* Sleeps; a signal does not cut it short. */
void clock_sleep_ms(int64_t duration_ms);

/* A random number below `bound` (> 0), from a generator of the calling thread.
 * Not for secrets. */
uint64_t clock_random(uint64_t bound);

/* Wait before attempt `attempt` (1 is the first retry): a random time below
 * min(cap_ms, base_ms · 2^(attempt-1)).
 * Source: M. Brooker, "Exponential Backoff And Jitter" ("full jitter"), 2015. */
int64_t clock_backoff_ms(int attempt, int64_t base_ms, int64_t cap_ms);

#endif
