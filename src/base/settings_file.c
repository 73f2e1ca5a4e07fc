/* Settings from an INI file (settings.h). Runs on the main thread before any other exists. */
#include "base/settings_internal.h"

#include "base/arena.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_KIB_MAX = 256 };

struct reading { /* one pass over one file */
    struct settings *settings;
    const char *path;
    int line;
    const char *section; /* "" before the first */
    bool *seen;          /* a flag a row */
};

static heddle_status unreadable(const char *path, struct heddle_error *err);
static heddle_status read_lines(struct reading *reading, char *text, size_t size,
                                struct heddle_error *err);
static heddle_status read_line(struct reading *reading, char *line, struct heddle_error *err);
static heddle_status take_pair(struct reading *reading, const char *key, const char *value,
                               struct heddle_error *err);
static char *trimmed(char *text);

heddle_status settings_read_file(struct settings *settings, const char *path,
                                 struct heddle_error *err)
{
    struct reading reading = {.settings = settings, .path = path, .section = ""};
    heddle_status status;

    FILE *file = fopen(path, "re");
    if (!file)
        return unreadable(path, err);
    const size_t size_max = (size_t)FILE_KIB_MAX << 10;
    char *text = memory_take(size_max + 1);
    size_t size = fread(text, 1, size_max + 1, file);
    if (ferror(file)) {
        status = unreadable(path, err);
    } else if (size > size_max) {
        status =
            heddle_fail(err, HEDDLE_FATAL, "configuration",
                        "config = %.100s: allowed is a file of %d KiB at most", path, FILE_KIB_MAX);
    } else {
        reading.seen = memory_take_zeroed(settings->count + 1, sizeof *reading.seen);
        status = read_lines(&reading, text, size, err);
        free(reading.seen);
    }
    free(text);
    fclose(file);
    return status;
}

static heddle_status unreadable(const char *path, struct heddle_error *err)
{
    return heddle_fail(err, HEDDLE_FATAL, "configuration",
                       "config = %.100s (%s): allowed is a file that can be read", path,
                       strerror(errno));
}

/* `text` has room for a NUL behind it. */
static heddle_status read_lines(struct reading *reading, char *text, size_t size,
                                struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    char *const end = text + size;
    /* A byte order mark, as some editors leave it. */
    char *next = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? text + 3 : text;

    while (status == HEDDLE_OK && next < end) {
        char *line = next, *newline = memchr(line, '\n', (size_t)(end - line));
        size_t line_size = (size_t)((newline ? newline : end) - line);
        next = line + line_size + 1;
        line[line_size] = '\0';
        reading->line++;
        status = strlen(line) == line_size ? read_line(reading, line, err)
                                           : heddle_fail(err, HEDDLE_FATAL, "configuration",
                                                         "%s line %d: a NUL is not allowed",
                                                         reading->path, reading->line);
    }
    return status;
}

static heddle_status read_line(struct reading *reading, char *line, struct heddle_error *err)
{
    line = trimmed(line);
    if (*line == '\0' || *line == ';' || *line == '#')
        return HEDDLE_OK;
    for (char *c = line + 1; *c; c++)
        if (*c == ';' && isspace((unsigned char)c[-1]))
            *c = '\0';
    line = trimmed(line);
    size_t size = strlen(line);
    char *equals = strchr(line, '=');
    if (*line == '[' && line[size - 1] == ']') {
        line[size - 1] = '\0';
        reading->section = line + 1;
        return HEDDLE_OK;
    }
    if (*line != '[' && equals && equals != line) {
        *equals = '\0';
        return take_pair(reading, trimmed(line), trimmed(equals + 1), err);
    }
    return heddle_fail(err, HEDDLE_FATAL, "configuration",
                       "%s line %d: allowed is `key = value`, [" SETTINGS_SECTION
                       "], or a comment after ; or #",
                       reading->path, reading->line);
}

static heddle_status take_pair(struct reading *reading, const char *key, const char *value,
                               struct heddle_error *err)
{
    struct settings *settings = reading->settings;
    const struct setting *row = settings_find(settings->table, key);
    const char *section = reading->section;
    char origin[300];

    bool is_ours = !*section || strcmp(section, SETTINGS_SECTION) == 0;
    snprintf(origin, sizeof origin, "%.180s line %d%s%.60s", reading->path, reading->line,
             is_ours ? "" : " in section ", is_ours ? "" : section);
    if (!is_ours || !row || strcmp(row->key, key) != 0 || row->flags & SETTING_NOT_IN_FILE)
        return settings_refuse_unknown(key, value, origin, err);
    if (reading->seen[row - settings->table])
        return settings_refuse_value(row, value, origin, "one value, and this is the second", err);
    reading->seen[row - settings->table] = true;
    return settings_set(settings, row, value, SETTING_FROM_FILE, origin, err);
}

static char *trimmed(char *text)
{
    text += strspn(text, " \t\r\v\f");
    for (size_t size = strlen(text); size > 0 && isspace((unsigned char)text[size - 1]);)
        text[--size] = '\0';
    return text;
}
