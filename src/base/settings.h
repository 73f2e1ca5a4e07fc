/* Configuration as one table: rows say key, type, bounds, default and help; a
 * struct of the caller's receives the values.
 *
 * A value comes from a flag, the environment (HEDDLE_KEY), a file (INI) or the
 * table, in this order of strength, whichever order they are read in. Each value
 * remembers its origin. Knows no key by name. Not thread-safe: it is filled
 * before threads exist and only read after. */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include "heddle/error.h"

#include <stddef.h>
#include <stdint.h>

#define SETTINGS_PREFIX "HEDDLE_"
#define SETTINGS_SECTION "heddle"

enum setting_type {
    SETTING_TEXT,     /* const char *, owned by the settings */
    SETTING_INTEGER,  /* int64_t */
    SETTING_DURATION, /* int64_t, milliseconds */
    SETTING_BYTES,    /* int64_t */
    SETTING_BOOLEAN,  /* bool */
    SETTING_CHOICE,   /* int, index into choices */
};

enum setting_flag {
    SETTING_SECRET = 1 << 0,      /* printed as ******** */
    SETTING_ADDRESS = 1 << 1,     /* a password inside it is printed as ******** */
    SETTING_NOT_IN_FILE = 1 << 2, /* flag or environment only */
};

/* Rising strength. */
enum setting_source {
    SETTING_FROM_DEFAULT,
    SETTING_FROM_FILE,
    SETTING_FROM_ENVIRONMENT,
    SETTING_FROM_FLAG,
};

struct setting {
    const char *key; /* a-z and _; as a flag also with - for _ */
    enum setting_type type;
    unsigned flags;             /* of enum setting_flag */
    size_t offset;              /* of the value in the caller's struct */
    const char *standard;       /* the default, in the form that people write */
    int64_t least, most;        /* integer; duration in ms; bytes; bytes of a text */
    const char *const *choices; /* NULL-terminated; SETTING_CHOICE only */
    const char *help;           /* one line */
};

struct settings;

/* Fills `values` with the defaults. `table` ends with a row whose key is NULL;
 * both are borrowed until settings_free. A default that its own row refuses
 * aborts: that is a bug of ours. */
struct settings *settings_new(const struct setting *table, void *values);

/* Takes NULL. Texts in the caller's struct are invalid after it. */
void settings_free(struct settings *settings);

/* The row of this key, `-` taken for `_`; NULL where there is none. */
const struct setting *settings_find(const struct setting *table, const char *key);

/* Checks `text` and stores it, unless the present value is of a stronger source.
 * `origin` is what people are told ("flag --lease"); copied. HEDDLE_FATAL: one
 * line that names key, value, origin and what is allowed. */
heddle_status settings_set(struct settings *settings, const struct setting *row, const char *text,
                           enum setting_source source, const char *origin,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Takes each NAME=value of `environment` (NULL-terminated) that starts with the
 * prefix. HEDDLE_FATAL also for a name that no row has. */
heddle_status settings_read_environment(struct settings *settings, char *const *environment,
                                        struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Takes each `key = value` of an INI file, outside any section or in [heddle].
 * HEDDLE_FATAL also for what can't be read, for unknown keys and sections, for
 * a key that comes twice. */
heddle_status settings_read_file(struct settings *settings, const char *path,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

/* For rules between settings: fills `err` with "key = value (origin): " and the
 * message, returns HEDDLE_FATAL. */
heddle_status settings_refuse(const struct settings *settings, const char *key,
                              struct heddle_error *err, const char *format, ...)
    HEDDLE_PRINTF(4, 5);

/* The value as people may see it: secrets masked. Returns `buffer`. */
const char *settings_show(const struct settings *settings, const struct setting *row, char *buffer,
                          size_t size);

/* "default", "flag --lease", …; borrowed from the settings. */
const char *settings_origin(const struct settings *settings, const struct setting *row);

/* What the row allows, e.g. "1 to 1024" or "text | json". Returns `buffer`. */
const char *settings_allowed(const struct setting *row, char *buffer, size_t size);

#endif
