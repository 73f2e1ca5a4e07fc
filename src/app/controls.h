/* What commands that set controls share: pause, resume, limit. On the main thread. */
#ifndef APP_CONTROLS_H
#define APP_CONTROLS_H

#include "app/command.h"

#include <jansson.h>
#include <stdbool.h>

struct control_target;
struct pg_link;

/* --user, --op and --all, of which one may be said. False: more than one is; a line says so. */
bool controls_target(const struct arguments *arguments, struct control_target *target,
                     bool *is_said);

/* --by, or else the caller and the host. Lives until the next call. */
const char *controls_author(const struct arguments *arguments);

/* Tells the queue of what was just set. Where that fails a line says that it comes later. */
enum exit_code controls_tell(const struct invocation *invocation, struct pg_link *ledger);

/* What became of it: of `what`, or where that is NULL of the target. */
void controls_print(const struct invocation *invocation, const char *what,
                    const struct control_target *target, const char *state);

/* A row of a list: as it is, or as a line, with what is `said` of it in front of since when and by
 * whom, and `behind` it; both may be empty. Takes the row. */
void controls_print_row(bool with_json, json_t *row, const char *said, const char *behind);

#endif
