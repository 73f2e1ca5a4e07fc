/* What settings.c shares with settings_file.c, and nobody else includes. */
#ifndef BASE_SETTINGS_INTERNAL_H
#define BASE_SETTINGS_INTERNAL_H

#include "base/settings.h"

struct entry {
    char *text; /* as it was written; owned */
    char *origin;
    enum setting_source source;
};

struct settings {
    const struct setting *table;
    void *values; /* the caller's struct */
    size_t count;
    struct entry entries[];
};

/* Both return HEDDLE_FATAL, with the value masked in the one line for people. */
heddle_status settings_refuse_value(const struct setting *row, const char *value,
                                    const char *origin, const char *allowed,
                                    struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status settings_refuse_unknown(const char *key, const char *value, const char *origin,
                                      struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
