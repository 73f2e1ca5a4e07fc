/* See clock.h. */
#include "base/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static uint64_t random_next(void);

int64_t clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

int64_t clock_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void clock_sleep_ms(int64_t duration_ms)
{
    struct timespec left = {duration_ms / 1000, duration_ms % 1000 * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

uint64_t clock_random(uint64_t bound)
{
    return random_next() % bound;
}

int64_t clock_backoff_ms(int attempt, int64_t base_ms, int64_t cap_ms)
{
    int64_t most_ms = base_ms;
    for (int i = 1; i < attempt && most_ms < cap_ms; i++)
        most_ms *= 2;
    if (most_ms > cap_ms)
        most_ms = cap_ms;
    return (int64_t)clock_random((uint64_t)most_ms + 1);
}

/* Source: G. Marsaglia, "Xorshift RNGs", 2003; the multiplication is S. Vigna's xorshift64*. */
static uint64_t random_next(void)
{
    static _Thread_local uint64_t state;

    while (state == 0)
        if (getrandom(&state, sizeof state, 0) != sizeof state)
            state = (uint64_t)clock_wall_us();
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Du;
}
