/* What functions refuse: Heddle's own, in Redis and in Postgres alike, by `HEDDLE <code> <text>`; a
 * team's, in Postgres, by an SQLSTATE. */
#ifndef LINK_REFUSAL_H
#define LINK_REFUSAL_H

#include "heddle/error.h"

#include <stdbool.h>

/* False where the line is none of Heddle's. HEDDLE_REFUSED with the kind that the code names;
 * HEDDLE_RETRY for `full` and `paused`, HEDDLE_FATAL for `version`. `line` may be err->text. */
bool refusal_read(const char *line, heddle_status *status, struct heddle_error *err);

/* Whether what was read is a pause: nothing but an operator ends it, so waiting is no use. */
bool refusal_is_pause(const struct heddle_error *err);

/* HE400, HE403, HE404, HE409, HE410, HE413: HEDDLE_REFUSED with the kind that has this code, and
 * the text. False for any other SQLSTATE. */
bool refusal_read_code(const char *sqlstate, const char *text, heddle_status *status,
                       struct heddle_error *err);

#endif
