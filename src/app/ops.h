/* The operations that this program knows: those that ship, those of the shared objects that the
 * setting `handlers` names, and functions that are registered in Postgres, who is asked for them
 * only where an op is neither. */
#ifndef APP_OPS_H
#define APP_OPS_H

#include "base/arena.h"
#include "heddle/plugin.h"
#include "ledger/registry.h"

struct settings;
struct options;

struct ops {
    const struct heddle_handler **handlers; /* NULL-terminated */
    size_t handler_count;
    const struct heddle_hooks **hooks; /* NULL-terminated; NULL where there are none */
    size_t hook_count;
    const struct options *options; /* where Postgres is; NULL: it is not asked */
    bool has_asked;
    struct registry_page registered; /* in the arena */
    struct arena arena;
};

/* Those that ship. */
void ops_init(struct ops *ops);
void ops_done(struct ops *ops);

/* Loads the shared objects, for the life of the process; borrows the options. On the main thread,
 * before there are others. HEDDLE_FATAL: one line for people, that names the setting. */
heddle_status ops_load(struct ops *ops, const struct settings *settings,
                       const struct options *options, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* NULL where none that ships or is in a shared object has this name. */
const struct heddle_handler *ops_find(const struct ops *ops, struct heddle_text op);

/* An op that nobody knows would halt its user's lane. HEDDLE_REFUSED: the line names those that are
 * known. HEDDLE_RETRY: only Postgres would know, and can't be reached. */
heddle_status ops_check(struct ops *ops, struct heddle_text op,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
