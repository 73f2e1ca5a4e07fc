/* Structured logs: one line an event, `time level event key=value …` on stderr.
 *
 * `event` is a stable name ("commit_unknown"); fields are given as a format of
 * `key=%…` pairs; a value with blanks stands in quotes. Payloads are never logged.
 * All functions are thread-safe; a line is written with one write(2). */
#ifndef HEDDLE_LOG_H
#define HEDDLE_LOG_H

#include "heddle/error.h"

enum heddle_log_level {
    HEDDLE_LOG_DEBUG,
    HEDDLE_LOG_INFO,
    HEDDLE_LOG_WARNING,
    HEDDLE_LOG_ERROR,
};

void heddle_log(enum heddle_log_level level, const char *event, const char *fields, ...)
    HEDDLE_PRINTF(3, 4);

/* True where a line of this level would be written: guards costly fields. */
bool heddle_log_enabled(enum heddle_log_level level);

#endif
