/* JSON on stdout (json_out.h). */
#include "app/json_out.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"

void json_out(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(value);
}

void json_out_lines(const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        if (json_is_null(value))
            continue;
        char *text = json_is_string(value)
                         ? memory_copy(json_string_value(value), json_string_length(value))
                         : json_dumps(value, JSON_ENCODE_ANY);
        text_make_line(text);
        printf("%-14s %s\n", key, text);
        free(text);
    }
}
