/* The handlers of a processor: looked up by name, and what their operations take. Those that it was
 * given stay; functions of the database come and go while it runs. Thread-safe. */
#ifndef ENGINE_HANDLERS_H
#define ENGINE_HANDLERS_H

#include "heddle/operation.h"

#include <stdint.h>

struct arena;
struct function;
struct handlers;

/* Borrows the NULL-terminated table. */
struct handlers *handlers_new(const struct heddle_handler *const *table);
void handlers_free(struct handlers *handlers); /* takes NULL; nobody holds any more */

/* NULL where no handler has the name. It stays until handlers_release, which takes NULL. */
const struct heddle_handler *handlers_hold(struct handlers *handlers, struct heddle_text op);
void handlers_release(struct handlers *handlers, const struct heddle_handler *handler);

/* Puts these functions, which it takes, in the place of those before: who holds one of those goes
 * on with it. They stand in the order of their names' bytes; one that has the name of a handler
 * that was given is never found. */
void handlers_replace(struct handlers *handlers, int64_t version, struct function *const *functions,
                      size_t count);

/* That of the last handlers_replace; 0: there was none. */
int64_t handlers_version(const struct handlers *handlers);

/* The names of all that there are now, NULL-terminated, in the arena. */
const char *const *handlers_names(struct handlers *handlers, struct arena *arena);

/* The operation has no effects on the database and is counted with none: submitted directly, it
 * needs no ledger row. */
bool handlers_is_row_less(const struct heddle_handler *handler,
                          const struct heddle_operation *operation);

/* An operation of the handler took so long; whoever says so holds it. */
void handlers_note(struct handlers *handlers, const struct heddle_handler *handler,
                   int64_t cost_us);

/* What one takes: a moving average; 0 where none has been seen. */
int64_t handlers_cost_us(const struct handlers *handlers, const struct heddle_handler *handler);

#endif
