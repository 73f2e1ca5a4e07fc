/* A user leaves: what Postgres has of them (sql/0016_closing.sql). Each call is a transaction of
 * its own, or several, on the caller's thread and link; each may be repeated. */
#ifndef LEDGER_CLOSING_H
#define LEDGER_CLOSING_H

#include "base/arena.h"
#include "heddle/error.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_link;

/* Cancels all of the journal's operations of the user that have not ended, but for those of
 * `running`, a list `{ID,…}`, and what somebody has in hand. */
heddle_status closing_cancel(struct pg_link *link, const char *user, const char *running,
                             int64_t *cancelled, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* How many the journal has that have not ended; 20000 at most. */
heddle_status closing_unfinished(struct pg_link *link, const char *user, int64_t *count,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

enum closing_thing { CLOSING_RECURRING, CLOSING_LETTERS, CLOSING_KEYS, CLOSING_CONTROLS };

/* What the user has of it is no more. */
heddle_status closing_drop(struct pg_link *link, const char *user, enum closing_thing thing,
                           int64_t *dropped, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Takes the content out of a part of the user's operations that have ended, of all or of those that
 * were cancelled. `*block`, at first 0, is where to go on: -1 at the end. `*recent`: a list of ids
 * whose results Redis may have yet, in the arena; NULL: none. */
struct closing_part {
    const char *user;
    bool everything;
    int64_t result_ttl_ms;
};
heddle_status closing_redact(struct pg_link *link, const struct closing_part *part,
                             struct arena *arena, int64_t *block, int64_t *redacted,
                             const char **recent, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Processors are told that the user has left. */
heddle_status closing_say(struct pg_link *link, const char *user, const char *reason,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same for one that is idle; false where the journal has operations of theirs. */
heddle_status closing_say_idle(struct pg_link *link, const char *user, bool *is_said,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Where a processor that has just started begins: the newest version that is a minute old; 0: none
 * is. */
heddle_status closing_start(struct pg_link *link, int64_t *version,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Who left behind a version, in order, `most` at most; `*version` is then that of the last one. */
typedef void closing_told_function(void *argument, const char *user, const char *reason);
heddle_status closing_told(struct pg_link *link, int64_t *version, int most, int *count,
                           closing_told_function *told, void *argument,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
