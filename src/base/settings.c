/* Configuration as one table (settings.h). Runs on the main thread before any
 * other exists; never reads a key's meaning. */
#include "base/settings_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mask.h"
#include "base/text.h"

enum {
    SHOWN_BYTES_MAX = 80,
    ALLOWED_BYTES_MAX = 200,
    PREFIX_SIZE = sizeof SETTINGS_PREFIX - 1,
};

static bool parse(const struct setting *row, const char *text, void *value);
static bool parse_number(const struct setting *row, const char *text, int64_t *number);
static void mask(const struct setting *row, const char *text, char *buffer, size_t size);
static void write_number(enum setting_type type, int64_t number, char *buffer, size_t size);

struct settings *settings_new(const struct setting *table, void *values)
{
    size_t count = 0;
    while (table[count].key)
        count++;

    struct settings *settings =
        memory_take_zeroed(1, sizeof *settings + count * sizeof *settings->entries);
    *settings = (struct settings){.table = table, .values = values, .count = count};
    for (const struct setting *row = table; row->key; row++)
        if (settings_set(settings, row, row->standard, SETTING_FROM_DEFAULT, "default", NULL))
            abort();
    return settings;
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < settings->count; i++) {
        free(settings->entries[i].text);
        free(settings->entries[i].origin);
    }
    free(settings);
}

const struct setting *settings_find(const struct setting *table, const char *key)
{
    for (const struct setting *row = table; row->key; row++) {
        const char *a = row->key, *b = key;
        while (*a && (*a == *b || (*a == '_' && *b == '-')))
            a++, b++;
        if (*a == '\0' && *b == '\0')
            return row;
    }
    return NULL;
}

heddle_status settings_set(struct settings *settings, const struct setting *row, const char *text,
                           enum setting_source source, const char *origin, struct heddle_error *err)
{
    struct entry *entry = &settings->entries[row - settings->table];
    bool is_weaker = entry->text && source < entry->source;
    char *kept = memory_copy(text, strlen(text));
    int64_t unused;

    if (!parse(row, kept, is_weaker ? (void *)&unused : (char *)settings->values + row->offset)) {
        char allowed[ALLOWED_BYTES_MAX];
        free(kept);
        return settings_refuse_value(row, text, origin,
                                     settings_allowed(row, allowed, sizeof allowed), err);
    }
    if (is_weaker) {
        free(kept);
        return HEDDLE_OK;
    }
    free(entry->text);
    free(entry->origin);
    *entry = (struct entry){
        .text = kept, .origin = memory_copy(origin, strlen(origin)), .source = source};
    return HEDDLE_OK;
}

heddle_status settings_read_environment(struct settings *settings, char *const *environment,
                                        struct heddle_error *err)
{
    for (; *environment; environment++) {
        char name[64] = "", key[64 - PREFIX_SIZE], origin[96];
        const char *value = strchr(*environment, '=');
        if (!value || strncmp(*environment, SETTINGS_PREFIX, PREFIX_SIZE) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(value - *environment), *environment);
        snprintf(origin, sizeof origin, "environment %s", name);

        /* Lower case becomes '?': HEDDLE_Lease is not HEDDLE_LEASE. */
        for (size_t i = 0; i < sizeof key; i++) {
            int c = (unsigned char)name[i + PREFIX_SIZE];
            key[i] = (char)(islower(c) ? '?' : tolower(c));
        }
        const struct setting *row = settings_find(settings->table, key);
        if (!row)
            return settings_refuse_unknown(name, value + 1, "environment", err);
        if (settings_set(settings, row, value + 1, SETTING_FROM_ENVIRONMENT, origin, err))
            return HEDDLE_FATAL;
    }
    return HEDDLE_OK;
}

heddle_status settings_refuse(const struct settings *settings, const char *key,
                              struct heddle_error *err, const char *format, ...)
{
    const struct setting *row = settings_find(settings->table, key);
    char message[256], shown[SHOWN_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return heddle_fail(err, HEDDLE_FATAL, "configuration", "%s = %s (%s): %s", key,
                       settings_show(settings, row, shown, sizeof shown),
                       settings_origin(settings, row), message);
}

heddle_status settings_refuse_value(const struct setting *row, const char *value,
                                    const char *origin, const char *allowed,
                                    struct heddle_error *err)
{
    char shown[SHOWN_BYTES_MAX];

    mask(row, value, shown, sizeof shown);
    return heddle_fail(err, HEDDLE_FATAL, "configuration", "%s = %s (%s): allowed is %s", row->key,
                       shown, origin, allowed);
}

heddle_status settings_refuse_unknown(const char *key, const char *value, const char *origin,
                                      struct heddle_error *err)
{
    /* It may be a secret, misspelt. */
    bool is_secret = strcasestr(key, "key") || strcasestr(key, "pass") ||
                     strcasestr(key, "secret") || strcasestr(key, "token");
    const struct setting row = {.flags = is_secret ? SETTING_SECRET : SETTING_ADDRESS};
    char shown[SHOWN_BYTES_MAX];

    mask(&row, value, shown, sizeof shown);
    return heddle_fail(err, HEDDLE_FATAL, "configuration",
                       "%.60s = %s (%s): no such setting; `heddle config` lists what is allowed",
                       key, shown, origin);
}

const char *settings_show(const struct settings *settings, const struct setting *row, char *buffer,
                          size_t size)
{
    mask(row, settings->entries[row - settings->table].text, buffer, size);
    return buffer;
}

const char *settings_origin(const struct settings *settings, const struct setting *row)
{
    return settings->entries[row - settings->table].origin;
}

const char *settings_allowed(const struct setting *row, char *buffer, size_t size)
{
    char least[32], most[32];

    write_number(row->type, row->least, least, sizeof least);
    write_number(row->type, row->most, most, sizeof most);
    switch (row->type) {
    case SETTING_TEXT:
        snprintf(buffer, size, "UTF-8 text of %s to %s bytes", least, most);
        break;
    case SETTING_INTEGER:
        snprintf(buffer, size, "%s to %s", least, most);
        break;
    case SETTING_DURATION:
        snprintf(buffer, size, "%s to %s, with its unit (ms, s, m, h, d)", least, most);
        break;
    case SETTING_BYTES:
        snprintf(buffer, size, "%s to %s (bytes, or with KiB, MiB, GiB)", least, most);
        break;
    case SETTING_BOOLEAN:
        snprintf(buffer, size, "true or false");
        break;
    case SETTING_CHOICE:
        for (size_t i = 0, used = 0; row->choices[i] && used < size; i++)
            used += (size_t)snprintf(buffer + used, size - used, "%s%s", i ? " | " : "",
                                     row->choices[i]);
        break;
    }
    return buffer;
}

/* Writes the row's type to `value`, nothing where the text is refused. */
static bool parse(const struct setting *row, const char *text, void *value)
{
    switch (row->type) {
    case SETTING_TEXT: {
        int64_t size = (int64_t)strlen(text);
        if (size < row->least || size > row->most || !text_is_utf8(text, (size_t)size))
            return false;
        *(const char **)value = text;
        return true;
    }
    case SETTING_INTEGER:
    case SETTING_DURATION:
    case SETTING_BYTES:
        return parse_number(row, text, value);
    case SETTING_BOOLEAN:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return false;
        *(bool *)value = *text == 't';
        return true;
    case SETTING_CHOICE:
        for (int i = 0; row->choices[i]; i++)
            if (strcmp(row->choices[i], text) == 0) {
                *(int *)value = i;
                return true;
            }
        return false;
    }
    return false;
}

static bool parse_number(const struct setting *row, const char *text, int64_t *number)
{
    int64_t parsed;

    if (row->type == SETTING_DURATION) {
        /* A fraction of a millisecond would be lost without a word. */
        if (!text_parse_duration_us(text, &parsed) || parsed % 1000 != 0)
            return false;
        parsed /= 1000;
    } else if (row->type == SETTING_BYTES ? !text_parse_bytes(text, &parsed)
                                          : !text_parse_integer(text, &parsed)) {
        return false;
    }
    if (parsed < row->least || parsed > row->most)
        return false;
    *number = parsed;
    return true;
}

/* The text as it may be shown: an empty secret is no secret. */
static void mask(const struct setting *row, const char *text, char *buffer, size_t size)
{
    if (row->flags & SETTING_ADDRESS) {
        mask_address(text, buffer, size);
        return;
    }
    snprintf(buffer, size, "%s", row->flags & SETTING_SECRET && *text ? MASK_STARS : text);
    /* What doesn't fit is cut, perhaps inside a character. */
    text_make_line(buffer);
}

/* With the largest unit that leaves a whole number. */
static void write_number(enum setting_type type, int64_t number, char *buffer, size_t size)
{
    static const struct unit {
        enum setting_type type;
        int64_t factor;
        const char *name;
    } units[] = {
        {SETTING_DURATION, 86400000, "d"}, {SETTING_DURATION, 3600000, "h"},
        {SETTING_DURATION, 60000, "m"},    {SETTING_DURATION, 1000, "s"},
        {SETTING_BYTES, 1 << 30, "GiB"},   {SETTING_BYTES, 1 << 20, "MiB"},
        {SETTING_BYTES, 1 << 10, "KiB"},
    };

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].type == type && number >= units[i].factor && number % units[i].factor == 0) {
            snprintf(buffer, size, "%" PRId64 "%s", number / units[i].factor, units[i].name);
            return;
        }
    snprintf(buffer, size, "%" PRId64 "%s", number, type == SETTING_DURATION ? "ms" : "");
}
