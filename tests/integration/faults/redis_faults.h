/* hiredis' calls fail as a test tells (`-Wl,--wrap`, see test_queue_fault_sites.cmake): the n-th of
 * all that can. One thread. */
#ifndef REDIS_FAULTS_H
#define REDIS_FAULTS_H

#include <stdbool.h>

enum redis_fault {
    REDIS_FAULT_UNSENT,  /* what was to be sent never arrived; a connection without memory */
    REDIS_FAULT_SENT,    /* Redis did it, and its answer was lost; a connection that failed */
    REDIS_FAULT_SILENCE, /* the same, and the time ran out */
};

struct redis_faults {
    bool is_armed;
    enum redis_fault kind;
    int at;
    int calls; /* since it was armed first */
    bool has_failed;
};

extern struct redis_faults redis_faults;

#endif
