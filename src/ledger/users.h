/* Users as the ledger knows them. Each call is a transaction of its own, on the caller's thread and
 * link. */
#ifndef LEDGER_USERS_H
#define LEDGER_USERS_H

#include "heddle/error.h"

#include <stdint.h>

struct pg_link;

/* `*json`, freed by the caller: an object {weight: the user's; journal: operations of the user's
 * lane that have not ended, as the journal knows them; set_aside: those that are parked or
 * scheduled; failed, dead: of the last day; letters: dead ones that nobody has decided about;
 * halted: likewise}. What is more than 100000 is not counted. */
heddle_status users_told(struct pg_link *link, const char *user, char **json,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Called with {user, failed, dead}, a JSON object that is borrowed for the call. */
typedef void users_failing_function(void *argument, const char *json);

/* The users with the most operations that failed or died in the last day (of the last 100000 of
 * those), the most first. */
heddle_status users_failing(struct pg_link *link, int64_t most, users_failing_function *found,
                            void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
