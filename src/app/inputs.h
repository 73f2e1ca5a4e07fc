/* Values of command flags that are checked the same way by several commands.
 * Each prints its own line on stderr where it returns false: exit 2. */
#ifndef APP_INPUTS_H
#define APP_INPUTS_H

#include "app/command.h"
#include "heddle/operation.h"

#include <stddef.h>
#include <stdint.h>

enum { INPUT_WAIT_MS = 30000 };

/* A word of the command (NULL: absent) as a UUID in lower case. */
bool input_id(const char *word, char id[HEDDLE_ID_SIZE + 1]);

/* A duration of at most a week; an absent or empty flag leaves `duration_ms`. */
bool input_duration(const struct arguments *arguments, const char *name, int64_t *duration_ms);

/* --payload: the argument itself, @FILE, or - for stdin; no more than one byte beyond `bytes_max`.
 * `*memory` is the caller's to free; NULL, and an empty text, where the flag is absent. */
bool input_payload(const struct arguments *arguments, int64_t bytes_max, char **memory,
                   struct heddle_text *payload);

/* What the flags say of an operation's retries, and of when and beside which others it is executed;
 * flags that the command does not have say nothing. HEDDLE_REFUSED: `err` has the line. */
heddle_status input_options(const struct arguments *arguments, struct heddle_policy *policy,
                            struct heddle_flow *flow, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
