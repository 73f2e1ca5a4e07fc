/* JSON on stdout, one value a line. */
#ifndef APP_JSON_OUT_H
#define APP_JSON_OUT_H

#include "base/json.h"

#include <jansson.h>

/* Prints and releases. */
void json_out(json_t *value);
/* For people: a line a member that is not null. */
void json_out_lines(const json_t *object);

#endif
