/* The handlers of a processor: looked up by name, and what their operations take. Thread-safe. */
#ifndef ENGINE_HANDLERS_H
#define ENGINE_HANDLERS_H

#include "heddle/operation.h"

#include <stdint.h>

struct handlers;

/* Borrows the NULL-terminated table. */
struct handlers *handlers_new(const struct heddle_handler *const *table);
void handlers_free(struct handlers *handlers); /* takes NULL */

/* NULL where no handler has the name. */
const struct heddle_handler *handlers_find(const struct handlers *handlers, struct heddle_text op);

/* Its operations have no effects on the database: submitted directly, they need no ledger row. */
bool handlers_is_row_less(const struct heddle_handler *handler);

/* An operation of the handler took so long. */
void handlers_note(struct handlers *handlers, const struct heddle_handler *handler,
                   int64_t cost_us);

/* What one takes: a moving average; 0 where none has been seen. */
int64_t handlers_cost_us(const struct handlers *handlers, const struct heddle_handler *handler);

#endif
