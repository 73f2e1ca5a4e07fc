/* What can be said of JSON by looking at its bytes once, without taking memory. Pure. */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include "heddle/operation.h"

#include <stdbool.h>

/* True: json_check_payload would accept it. False: it has to be asked. */
bool json_is_plain_object(struct heddle_text json);

/* True for a string in quotes that stands for just the bytes between them, and is UTF-8. */
bool json_is_plain_string(struct heddle_text json);

#endif
