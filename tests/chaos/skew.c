/* Preloaded into a server or a processor: its wall clock is off by as many microseconds as the file
 * named by CHAOS_SKEW holds (an int64 of this machine), at every look. The monotonic clock stays.
 *
 * libfaketime does the same and more, but not in a program that uses jemalloc, as Redis does: it
 * allocates inside clock_gettime, which jemalloc calls while it starts. Nothing here allocates. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *skew_us; /* written by another process; NULL: none */

__attribute__((constructor)) static void map_skew(void)
{
    const char *path = getenv("CHAOS_SKEW");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof *skew_us, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED)
        skew_us = page;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    if (result == 0 && skew_us && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t at_us = now->tv_sec * INT64_C(1000000) + now->tv_nsec / 1000 + *skew_us;
        now->tv_nsec = at_us % 1000000 * 1000 + now->tv_nsec % 1000;
        now->tv_sec = at_us / 1000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
