/* JSON on stdout (json_out.h). */
#include "app/json_out.h"

#include <stdio.h>

void json_out(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(value);
}

const char *json_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

double json_number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}
