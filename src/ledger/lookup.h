/* Questions to the ledger, outside any unit of work. */
#ifndef LEDGER_LOOKUP_H
#define LEDGER_LOOKUP_H

#include "heddle/error.h"

#include <stdbool.h>

struct pg_link;

/* The operation's row of heddle.status as one JSON object, freed by the
 * caller; `*found` is false where the ledger has none. */
heddle_status lookup_operation(struct pg_link *link, const char *id, bool *found, char **json,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The operation's result as clients see it (CONTRACT 7: id, state, code, data or error)
 * where it has ended; `*found` is false otherwise. Freed by the caller. */
heddle_status lookup_result(struct pg_link *link, const char *id, bool *found, char **json,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The answer of the SQL function heddle.why to `asked`, both JSON; freed by the caller. */
heddle_status lookup_why(struct pg_link *link, const char *asked, char **json,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
