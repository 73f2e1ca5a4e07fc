/* Ends the process by SIGKILL at a named point of the engine, for builds with HEDDLE_FAULT_POINTS.
 *
 * CHAOS_POINT is NAME:N: the N-th time that any thread comes by the point NAME. */
#include "base/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fault_point(const char *name)
{
    static atomic_long count;
    const char *wanted = getenv("CHAOS_POINT");
    size_t size = strlen(name);

    if (wanted && strncmp(wanted, name, size) == 0 && wanted[size] == ':' &&
        atomic_fetch_add(&count, 1) + 1 == strtol(wanted + size + 1, NULL, 10))
        kill(getpid(), SIGKILL);
}
