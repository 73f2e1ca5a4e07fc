/* How long a lane waits, and for what. Pure but for the jitter; thread-safe. */
#ifndef ENGINE_PAUSE_H
#define ENGINE_PAUSE_H

#include "queue/lanes.h"

/* Sets the disposition and what it needs, seen from the operation behind those that are settled. */
void pause_lane(struct settlement *part, enum disposition disposition);

#endif
