/* Structured logs (heddle/log.h): a line is built on the stack and written at
 * once, so no lock is held and lines of threads and processes do not mix. */
#include "base/log.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

enum { LINE_BYTES_MAX = 2048 };

static enum heddle_log_level least_level = HEDDLE_LOG_INFO;
static enum log_format line_format = LOG_FORMAT_TEXT;

static bool is_plain(const char *value);
static size_t write_time(char *line, size_t size);
static size_t write_json(char *line, size_t size, const char *level, const char *event,
                         const char *fields);

void log_configure(enum heddle_log_level least, enum log_format format)
{
    least_level = least;
    line_format = format;
}

bool heddle_log_enabled(enum heddle_log_level level)
{
    return level >= least_level;
}

void heddle_log(enum heddle_log_level level, const char *event, const char *fields, ...)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    char values[LINE_BYTES_MAX - 256], line[LINE_BYTES_MAX];
    va_list arguments;

    if (!heddle_log_enabled(level))
        return;
    va_start(arguments, fields);
    vsnprintf(values, sizeof values, fields, arguments);
    va_end(arguments);
    values[text_whole_size(values, strlen(values))] = '\0';

    size_t size;
    if (line_format == LOG_FORMAT_JSON) {
        size = write_json(line, sizeof line, levels[level], event, values);
    } else {
        size = write_time(line, sizeof line);
        size += (size_t)snprintf(line + size, sizeof line - size, " %s %s%s%s\n", levels[level],
                                 event, *values ? " " : "", values);
    }
    /* Nobody is left to tell where stderr is gone. */
    ssize_t ignored = write(STDERR_FILENO, line, size);
    (void)ignored;
}

const char *log_quote(const char *value, char *buffer, size_t size)
{
    size_t used = 0;

    if (is_plain(value) && strlen(value) < size)
        return value;
    buffer[used++] = '"';
    for (; *value && used + 4 < size; value++) {
        unsigned char c = (unsigned char)*value;
        if (c == '"' || c == '\\')
            buffer[used++] = '\\';
        buffer[used++] = (char)(c < 0x20 || c == 0x7F ? ' ' : c);
    }
    buffer[used] = '\0';
    used = text_whole_size(buffer, used);
    buffer[used++] = '"';
    buffer[used] = '\0';
    return buffer;
}

static bool is_plain(const char *value)
{
    if (*value == '\0')
        return false;
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        if (c <= 0x20 || c == 0x7F || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return true;
}

static size_t write_time(char *line, size_t size)
{
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
    return used + (size_t)snprintf(line + used, size - used, ".%03ldZ", now.tv_nsec / 1000000);
}

/* The fields' text is ours and regular: blanks part pairs, quotes hold values. */
static size_t write_json(char *line, size_t size, const char *level, const char *event,
                         const char *fields)
{
    char time_text[40];
    json_t *object = json_object();

    time_text[write_time(time_text, sizeof time_text)] = '\0';
    json_object_set_new(object, "time", json_string(time_text));
    json_object_set_new(object, "level", json_string(level));
    json_object_set_new(object, "event", json_string(event));
    while (*fields) {
        char key[64], value[512];
        size_t used = 0;
        size_t key_size = strcspn(fields, "= ");
        snprintf(key, sizeof key, "%.*s", (int)key_size, fields);
        fields += key_size;
        if (*fields == '=')
            fields++;
        bool quoted = *fields == '"';
        if (quoted)
            fields++;
        for (; *fields && (quoted ? *fields != '"' : *fields != ' '); fields++) {
            if (*fields == '\\' && fields[1])
                fields++;
            if (used + 1 < sizeof value)
                value[used++] = *fields;
        }
        value[text_whole_size(value, used)] = '\0';
        if (*fields == '"')
            fields++;
        while (*fields == ' ')
            fields++;
        json_object_set_new(object, key, json_string(value));
    }
    size_t used = json_dumpb(object, line, size - 1, JSON_COMPACT);
    json_decref(object);
    if (used > size - 1)
        used = size - 1;
    line[used] = '\n';
    return used + 1;
}
