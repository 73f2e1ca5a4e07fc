/* What Heddle's own functions refuse, in Redis and in Postgres alike: `HEDDLE <code> <text>`. */
#ifndef LINK_REFUSAL_H
#define LINK_REFUSAL_H

#include "heddle/error.h"

#include <stdbool.h>

/* False where the line is none of Heddle's. HEDDLE_REFUSED with the kind that the code names;
 * HEDDLE_RETRY for `full` and `paused`, HEDDLE_FATAL for `version`. `line` may be err->text. */
bool refusal_read(const char *line, heddle_status *status, struct heddle_error *err);

#endif
