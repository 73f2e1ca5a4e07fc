/* See refusal.h. Pure. */
#include "link/refusal.h"

#include <stdio.h>
#include <string.h>

bool refusal_read(const char *line, heddle_status *status, struct heddle_error *err)
{
    static const char mark[] = "HEDDLE ";
    char code[16], text[sizeof err->text];

    if (strncmp(line, mark, sizeof mark - 1) != 0)
        return false;
    const char *word = line + sizeof mark - 1;
    size_t size = strcspn(word, " ");
    snprintf(code, sizeof code, "%.*s", (int)size, word);
    snprintf(text, sizeof text, "%s", word[size] ? word + size + 1 : "");
    if (strcmp(code, "version") == 0) {
        *status = heddle_fail(err, HEDDLE_FATAL, "redis", "%s", text);
    } else if (strcmp(code, "full") == 0 || strcmp(code, "paused") == 0) {
        heddle_refuse(err, HEDDLE_KIND_TOO_LARGE, "%s: %s", code, text);
        *status = HEDDLE_RETRY;
    } else {
        *status = heddle_refuse(err, heddle_kind_from_name(code), "%s", text);
    }
    return true;
}

bool refusal_is_pause(const struct heddle_error *err)
{
    return err->kind == HEDDLE_KIND_TOO_LARGE && strncmp(err->text, "paused: ", 8) == 0;
}

bool refusal_read_code(const char *sqlstate, const char *text, heddle_status *status,
                       struct heddle_error *err)
{
    char code[8];

    for (int kind = HEDDLE_KIND_INVALID; kind <= HEDDLE_KIND_TOO_LARGE; kind++) {
        snprintf(code, sizeof code, "HE%d", heddle_kind_code(kind));
        if (strcmp(sqlstate, code) == 0) {
            *status = heddle_refuse(err, kind, "%s", text);
            return true;
        }
    }
    return false;
}
