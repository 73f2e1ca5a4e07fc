/* Hooks of plugins (heddle/plugin.h) around operations. `hooks` is NULL-terminated, or NULL where
 * there are none: then nothing is done. On a worker's thread. */
#ifndef ENGINE_HOOKS_H
#define ENGINE_HOOKS_H

#include "heddle/plugin.h"

struct heddle_task;

/* Keeps in the task what each hook wants to see again. */
void hooks_start(const struct heddle_hooks *const *hooks, struct heddle_task *task);
void hooks_end(const struct heddle_task *task, const struct heddle_execution *execution);

/* Shows them the error before anybody else sees it; they may put another text into it. `operation`
 * may be NULL: see heddle/plugin.h. */
void hooks_error(const struct heddle_hooks *const *hooks, const struct heddle_operation *operation,
                 struct heddle_error *err);

#endif
