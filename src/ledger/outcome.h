/* What became of an operation, and how clients are told. */
#ifndef LEDGER_OUTCOME_H
#define LEDGER_OUTCOME_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"

struct outcome {
    enum heddle_end end;
    int code;
    const char
        *data; /* JSON of a done operation, or NULL; lives in the arena that it was made in */
    const char *error; /* JSON {"kind","message"} of another, or NULL; likewise */
};

/* Done, with the data (NULL: null). */
struct outcome outcome_done(const char *data);

/* How an operation ends that was refused or failed for good: data that does not fit, or collides,
 * is the submitter's (failed; sets err->kind), anything else is ours to look into (dead). A handler
 * that gave way to a cancellation is cancelled. */
enum heddle_end outcome_end_for(heddle_status status, struct heddle_error *err);

/* Cancelled, as whoever asked for it is told. */
struct outcome outcome_cancelled(void);

/* Cancelled, for it had not begun in time. */
struct outcome outcome_expired(void);

/* {"kind":…,"message":…} of an error, in the arena. */
const char *outcome_error(const struct heddle_error *err, struct arena *arena);

/* Ended otherwise, for the reason in `err`. The error's JSON lies in the arena. */
struct outcome outcome_failed(enum heddle_end end, const struct heddle_error *err,
                              struct arena *arena);

/* {"id":…,"state":…,"code":…,"data":… or "error":…} in the arena. */
struct heddle_text outcome_format(const struct outcome *outcome, const char *id,
                                  struct arena *arena);

#endif
