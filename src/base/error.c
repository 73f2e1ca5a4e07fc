/* Statuses and errors (heddle/error.h). Called from every thread. */
#include "heddle/error.h"
#include "heddle/operation.h"
#include "heddle/version.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct kind_row {
    const char *name;
    int code;
} kinds[] = {
    [HEDDLE_KIND_NONE] = {"none", 200},           [HEDDLE_KIND_INVALID] = {"invalid", 400},
    [HEDDLE_KIND_FORBIDDEN] = {"forbidden", 403}, [HEDDLE_KIND_NOT_FOUND] = {"not_found", 404},
    [HEDDLE_KIND_CONFLICT] = {"conflict", 409},   [HEDDLE_KIND_EXPIRED] = {"expired", 410},
    [HEDDLE_KIND_TOO_LARGE] = {"too_large", 413}, [HEDDLE_KIND_CANCELLED] = {"cancelled", 499},
    [HEDDLE_KIND_INTERNAL] = {"internal", 500},
};

static void fill(struct heddle_error *err, enum heddle_kind kind, const char *where,
                 const char *format, va_list arguments) HEDDLE_PRINTF(4, 0);

heddle_status heddle_fail(struct heddle_error *err, heddle_status status, const char *where,
                          const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(err, HEDDLE_KIND_INTERNAL, where, format, arguments);
    va_end(arguments);
    return status;
}

heddle_status heddle_refuse(struct heddle_error *err, enum heddle_kind kind, const char *format,
                            ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(err, kind, "", format, arguments);
    va_end(arguments);
    return HEDDLE_REFUSED;
}

const char *heddle_kind_name(enum heddle_kind kind)
{
    return kinds[kind].name;
}

int heddle_kind_code(enum heddle_kind kind)
{
    return kinds[kind].code;
}

enum heddle_kind heddle_kind_from_name(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return (enum heddle_kind)i;
    return HEDDLE_KIND_INTERNAL;
}

const char *heddle_status_name(heddle_status status)
{
    static const char *const names[] = {"ok", "retry", "refused", "permanent", "unknown", "fatal"};
    return names[status];
}

const char *heddle_end_name(enum heddle_end end)
{
    switch (end) {
    case HEDDLE_END_NONE:
        return "running";
    case HEDDLE_END_DONE:
        return "done";
    case HEDDLE_END_FAILED:
        return "failed";
    case HEDDLE_END_DEAD:
        return "dead";
    case HEDDLE_END_CANCELLED:
        return "cancelled";
    }
    return "running";
}

const char *heddle_version(void)
{
    return HEDDLE_VERSION;
}

static void fill(struct heddle_error *err, enum heddle_kind kind, const char *where,
                 const char *format, va_list arguments)
{
    if (!err)
        return;
    err->kind = kind;
    err->sqlstate[0] = '\0';
    snprintf(err->where, sizeof err->where, "%s", where);
    vsnprintf(err->text, sizeof err->text, format, arguments);
    text_make_line(err->text);
    /* A server may refuse without a word; people get one. */
    if (*err->text == '\0')
        snprintf(err->text, sizeof err->text, "no reason was given");
}
