/* A processor as a child of a supervisor, by the settings: what `heddle run` and `heddle bench`
 * start. */
#ifndef APP_RUN_CHILD_H
#define APP_RUN_CHILD_H

#include "app/command.h"

#include <stdbool.h>

struct board;
struct heddle_handler;
struct heddle_hooks;
struct supervisor_options;

/* What a supervisor is told by the settings. `child` and what belongs to a reload are the
 * caller's. */
struct supervisor_options run_supervision(const struct invocation *invocation);

/* In a child of the supervisor, on its main thread, before any other exists. A quarantine also ends
 * when no suspect is left. Where it could not finish what it had begun, or was told to end at once,
 * returns EXIT_TIME or ends the process with it. `handlers` is NULL-terminated, and
 * `hooks`, where it is not NULL; both borrowed. */
enum exit_code run_child(const struct invocation *invocation,
                         const struct heddle_handler *const *handlers,
                         const struct heddle_hooks *const *hooks, struct board *board,
                         bool is_quarantine);

#endif
