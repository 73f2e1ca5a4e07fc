/* Operations that are functions of the database: table heddle.handlers, whose rules stand in
 * sql/0014_handlers.sql. Each call is a transaction of its own, on the caller's thread and link. */
#ifndef LEDGER_REGISTRY_H
#define LEDGER_REGISTRY_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_link;

struct registry_row {
    const char *op;
    const char *function; /* as it stands in a statement */
    unsigned flags;       /* of enum heddle_handler_flag */
    struct heddle_policy policy;
    int64_t version; /* of its registration: another one has another */
};

struct registry_page {
    int64_t version;
    struct registry_row *rows; /* in the order of their names' bytes */
    size_t count;
};

/* All that are registered, where the registry's version is not `version`, that of an empty one
 * being 0; else nothing, and the page has that version. Texts lie in the arena. */
heddle_status registry_read(struct pg_link *link, int64_t version, struct arena *arena,
                            struct registry_page *page, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Called for each, in the order of names, with its row of heddle.handlers as JSON. */
typedef void registry_found_function(void *argument, const char *json);
heddle_status registry_list(struct pg_link *link, registry_found_function *found, void *argument,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Called for each that is registered and whose function is gone, or is another one. */
typedef void registry_broken_function(void *argument, const char *op, const char *problem);
heddle_status registry_find_broken(struct pg_link *link, registry_broken_function *found,
                                   void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Registers the row, whose version does not matter, in the place of what has its name. `name` is
 * the function's whole one, in the arena. HEDDLE_REFUSED, kind invalid: what does not fit. */
heddle_status registry_add(struct pg_link *link, const struct registry_row *row, const char *by,
                           struct arena *arena, const char **name,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* HEDDLE_REFUSED, kind not_found: it is not registered. */
heddle_status registry_remove(struct pg_link *link, const char *op, const char *by,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
