/* JSON on stdout, one value a line. */
#ifndef APP_JSON_OUT_H
#define APP_JSON_OUT_H

#include <jansson.h>

/* Prints and releases. */
void json_out(json_t *value);

#endif
