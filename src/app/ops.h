/* The operations that this program knows: those that ship, and those of the shared objects that the
 * setting `handlers` names. */
#ifndef APP_OPS_H
#define APP_OPS_H

#include "heddle/plugin.h"

struct settings;
struct options;

struct ops {
    const struct heddle_handler **handlers; /* NULL-terminated */
    size_t handler_count;
    const struct heddle_hooks **hooks; /* NULL-terminated; NULL where there are none */
    size_t hook_count;
};

/* Those that ship. */
void ops_init(struct ops *ops);
void ops_done(struct ops *ops);

/* Loads the others, for the life of the process. On the main thread, before there are others.
 * HEDDLE_FATAL: one line for people, that names the setting. */
heddle_status ops_load(struct ops *ops, const struct settings *settings,
                       const struct options *options, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* NULL where none has this name. */
const struct heddle_handler *ops_find(const struct ops *ops, struct heddle_text op);

/* An op that nobody knows would halt its user's lane. HEDDLE_REFUSED: the line names those that are
 * known. */
heddle_status ops_check(const struct ops *ops, struct heddle_text op,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
