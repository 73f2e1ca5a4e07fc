/* See outcome.h. Pure. */
#include "ledger/outcome.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

struct outcome outcome_done(const char *data)
{
    return (struct outcome){.end = HEDDLE_END_DONE, .code = 200, .data = data};
}

enum heddle_end outcome_end_for(heddle_status status, struct heddle_error *err)
{
    if (status == HEDDLE_REFUSED)
        return err->kind == HEDDLE_KIND_CANCELLED ? HEDDLE_END_CANCELLED : HEDDLE_END_FAILED;
    if (strncmp(err->sqlstate, "22", 2) == 0)
        err->kind = HEDDLE_KIND_INVALID;
    else if (strncmp(err->sqlstate, "23", 2) == 0)
        err->kind = HEDDLE_KIND_CONFLICT;
    else
        return HEDDLE_END_DEAD;
    return HEDDLE_END_FAILED;
}

struct outcome outcome_cancelled(void)
{
    return (struct outcome){
        .end = HEDDLE_END_CANCELLED,
        .code = heddle_kind_code(HEDDLE_KIND_CANCELLED),
        .error = "{\"kind\":\"cancelled\",\"message\":\"cancelled before it was done\"}",
    };
}

struct outcome outcome_expired(void)
{
    return (struct outcome){
        .end = HEDDLE_END_CANCELLED,
        .code = heddle_kind_code(HEDDLE_KIND_EXPIRED),
        .error = "{\"kind\":\"expired\",\"message\":\"had not begun when it expired\"}",
    };
}

const char *outcome_error(const struct heddle_error *err, struct arena *arena)
{
    json_t *object =
        json_pack("{s:s, s:s}", "kind", heddle_kind_name(err->kind), "message", err->text);
    char *text = json_dumps(object, JSON_COMPACT);

    if (!text)
        abort();
    const char *error = arena_format(arena, "%s", text);
    free(text);
    json_decref(object);
    return error;
}

struct outcome outcome_failed(enum heddle_end end, const struct heddle_error *err,
                              struct arena *arena)
{
    return (struct outcome){
        .end = end,
        .code = heddle_kind_code(err->kind),
        .error = outcome_error(err, arena),
    };
}

struct heddle_text outcome_format(const struct outcome *outcome, const char *id,
                                  struct arena *arena)
{
    bool is_done = outcome->end == HEDDLE_END_DONE;
    const char *body = is_done ? outcome->data : outcome->error;
    char code[12];

    snprintf(code, sizeof code, "%d", outcome->code);
    const char *const pieces[] = {"{\"id\":\"",
                                  id,
                                  "\",\"state\":\"",
                                  heddle_end_name(outcome->end),
                                  "\",\"code\":",
                                  code,
                                  is_done ? ",\"data\":" : ",\"error\":",
                                  body ? body : "null",
                                  "}"};
    enum { PIECES = sizeof pieces / sizeof *pieces };
    size_t sizes[PIECES], size = 0;

    for (size_t i = 0; i < PIECES; i++)
        size += sizes[i] = strlen(pieces[i]);
    char *text = arena_alloc(arena, size + 1), *out = text;
    for (size_t i = 0; i < PIECES; i++, out += sizes[i - 1])
        memcpy(out, pieces[i], sizes[i]);
    *out = '\0';
    return (struct heddle_text){text, size};
}
