/* heddle submit's second form. */
#ifndef APP_SUBMIT_H
#define APP_SUBMIT_H

#include "app/command.h"

struct submission_rules;

/* Submits the lines of --file; flags are checked already. */
enum exit_code submit_file(const struct invocation *invocation,
                           const struct submission_rules *rules);

/* By flag, else by setting. */
bool submit_is_durable(const struct invocation *invocation);

#endif
