/* A user leaves: what is done about what is there of theirs, in steps of which none needs another
 * to have been done, and each may be done again. Work that runs is left alone. By a command, on its
 * thread and links. */
#ifndef ENGINE_LEAVING_H
#define ENGINE_LEAVING_H

#include "heddle/plugin.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_link;
struct redis_link;

/* About operations that have not begun. */
enum leaving_pending { LEAVING_KEEP, LEAVING_CANCEL, LEAVING_PURGE };

struct leaving {
    struct pg_link *ledger; /* connects where it has to */
    struct redis_link *queue;
    const struct heddle_hooks *const *hooks; /* NULL-terminated; NULL: none */
    const char *user;
    enum heddle_closing reason;
    enum leaving_pending pending;
    bool purges; /* the content of all that has ended, too */
    int64_t result_ttl_ms;
};

/* Called behind each step that was taken; of a failure, `err` tells. */
typedef void leaving_told_function(void *argument, const char *step, heddle_status status,
                                   int64_t count, const struct heddle_error *err);

/* True where every step was done. One that was not is also logged. */
bool leaving_run(const struct leaving *leaving, leaving_told_function *told, void *argument);

/* "logout", "password_change", "deleted", "idle"; static text. */
const char *leaving_reason_name(enum heddle_closing reason);

/* False where no reason has this name. */
bool leaving_reason_from_name(const char *name, enum heddle_closing *reason);

/* Tells one plugin; `number` is for the log, where a failure stands as well as in `err`. */
heddle_status leaving_tell_hook(const struct heddle_hooks *hooks, size_t number, const char *user,
                                enum heddle_closing reason,
                                struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
