/* Commands of several verbs, as `heddle dead list|retry|drop`: the row of the command's own table
 * that its first word names. On the main thread. */
#ifndef APP_VERB_H
#define APP_VERB_H

#include "app/command.h"

/* NULL: there is none, and a line says which are allowed. Rows are of any struct that begins with
 * its name. */
#define VERB_FIND(invocation, verbs)                                                               \
    verb_find(invocation, verbs, sizeof *(verbs), sizeof(verbs) / sizeof *(verbs))

const void *verb_find(const struct invocation *invocation, const void *verbs, size_t row_size,
                      size_t count);

#endif
