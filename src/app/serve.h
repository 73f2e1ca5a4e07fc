/* The life of a processor: it starts, and obeys signals until one ends it. */
#ifndef APP_SERVE_H
#define APP_SERVE_H

#include "app/command.h"

#include <stdbool.h>

struct board;
struct heddle_handler;
struct processor;
struct supervisor_options;

/* What a supervisor is told by the settings. `child` and what belongs to a reload are the
 * caller's. */
struct supervisor_options serve_supervision(const struct invocation *invocation);

/* The life of a processor that has started; then it is freed. As below. */
enum exit_code serve_processor(struct processor *processor, bool is_quarantine);

/* In a child of the supervisor, on its main thread, before any other exists. A quarantine also ends
 * when no suspect is left. Where it could not finish what it had begun, or was told to end at once,
 * returns EXIT_TIME or ends the process with it. `handlers` is NULL-terminated, borrowed. */
enum exit_code serve(const struct invocation *invocation,
                     const struct heddle_handler *const *handlers, struct board *board,
                     bool is_quarantine);

#endif
