/* See verb.h. */
#include "app/verb.h"

#include "app/arguments.h"

#include <stdio.h>
#include <string.h>

static const char *name_of(const void *verbs, size_t row_size, size_t index)
{
    return *(const char *const *)(const void *)((const char *)verbs + index * row_size);
}

const void *verb_find(const struct invocation *invocation, const void *verbs, size_t row_size,
                      size_t count)
{
    const char *word = arguments_word(invocation->arguments, 0);
    char allowed[200] = "";
    size_t used = 0;

    for (size_t i = 0; word && i < count; i++)
        if (strcmp(name_of(verbs, row_size, i), word) == 0)
            return (const char *)verbs + i * row_size;
    for (size_t i = 0; i < count && used < sizeof allowed; i++)
        used += (size_t)snprintf(allowed + used, sizeof allowed - used, "%s%s",
                                 i == 0           ? ""
                                 : i + 1 == count ? " and "
                                                  : ", ",
                                 name_of(verbs, row_size, i));
    report_text(EXIT_USAGE, "%s %.60s: allowed are %s", invocation->command->name,
                word ? word : "(none)", allowed);
    return NULL;
}
