/* JSON on stdout, one value a line; and members of what others have written. */
#ifndef APP_JSON_OUT_H
#define APP_JSON_OUT_H

#include <jansson.h>

/* Prints and releases. */
void json_out(json_t *value);
/* For people: a line a member that is not null. */
void json_out_lines(const json_t *object);

/* A text member; "" where it is absent or something else. */
const char *json_text(const json_t *object, const char *name);
/* A number, whole or not; 0. */
double json_number(const json_t *object, const char *name);

#endif
