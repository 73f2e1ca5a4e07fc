/* Handlers of operations that are functions of the database (ledger/registry.h). */
#ifndef ENGINE_FUNCTIONS_H
#define ENGINE_FUNCTIONS_H

#include "heddle/operation.h"
#include "heddle/uow.h"

#include <stdatomic.h>
#include <stdint.h>

struct handlers;
struct pg_link;
struct registry_row;

/* The handler stands first: whoever has the one has the other. */
struct function {
    struct heddle_handler handler;
    struct heddle_statement call, call_many;
    int64_t version; /* of its registration */
    atomic_int_fast64_t cost_us;
    int holders; /* of handlers.c, which guards it */
    bool is_gone;
};

/* Copies what it needs of the row. */
struct function *function_new(const struct registry_row *row);
void function_free(struct function *function); /* takes NULL */

/* Makes the handlers those that are registered now; `*has_changed`: others were registered before.
 * On the caller's link. */
heddle_status functions_learn(struct handlers *handlers, struct pg_link *link, bool *has_changed,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
