/* What is for later: operations that are parked or scheduled, and ticks of those that recur. When
 * they are due they enter their lanes, and so the outbox. Confined to the relay's thread. */
#ifndef ENGINE_LATER_H
#define ENGINE_LATER_H

#include "heddle/error.h"

#include <stdint.h>

struct pg_link;

struct later {
    struct pg_link *pg; /* borrowed */
    int64_t next_ms;    /* then it is time for a look */
};

/* Until it is time for a look; 0: now. */
int64_t later_idle_ms(const struct later *later);

/* Looks, whether or not it is time. */
heddle_status later_look(struct later *later, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
