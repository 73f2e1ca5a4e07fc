/* The logger's own controls; everybody logs through heddle/log.h. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "heddle/log.h"

#include <stddef.h>

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Set once, before threads exist. */
void log_configure(enum heddle_log_level least, enum log_format format);

/* Quotes a value for a `key=%s` field where it has blanks, quotes, '=' or
 * control characters. Returns `buffer`, or `value` where nothing needs a
 * quote. What does not fit is cut. */
const char *log_quote(const char *value, char *buffer, size_t size);
#define LOG_TEXT(value) log_quote((value), (char[300]){0}, 300)

#endif
