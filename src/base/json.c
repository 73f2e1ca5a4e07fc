/* See json.h. */
#include "base/json.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static void own_memory(void) __attribute__((constructor));
static heddle_status check_depth(struct heddle_text json, struct heddle_error *err);

/* jansson calls a document wrong that it had no memory for: a payload would be refused for good.
 * Before main, so that nobody who parses can forget it. */
static void own_memory(void)
{
    json_set_alloc_funcs(memory_take, free);
}

heddle_status json_check_payload(struct heddle_text payload, struct heddle_error *err)
{
    json_t *root;

    heddle_status status = json_read_payload(payload, &root, err);
    if (status == HEDDLE_OK)
        json_decref(root);
    return status;
}

heddle_status json_read_payload(struct heddle_text payload, struct json_t **root,
                                struct heddle_error *err)
{
    json_error_t problem;

    /* jansson passes over a NUL behind a number. */
    const char *nul = payload.size > 0 ? memchr(payload.data, '\0', payload.size) : NULL;
    if (nul)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "payload has a NUL at byte %zu",
                             (size_t)(nul - payload.data));
    /* First, because the parser recurses. */
    if (check_depth(payload, err) != HEDDLE_OK)
        return HEDDLE_REFUSED;
    /* Whole numbers of any size are JSON; a double has room for the largest that jansson takes. */
    json_t *read = json_loadb(payload.data, payload.size, 0, &problem);
    if (!read)
        read = json_loadb(payload.data, payload.size, JSON_DECODE_INT_AS_REAL, &problem);
    if (!read)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "payload is not valid JSON: %s at byte %d",
                             problem.text, problem.position);
    if (!json_is_object(read)) {
        json_decref(read);
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "payload must be a JSON object");
    }
    *root = read;
    return HEDDLE_OK;
}

const char *json_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

double json_number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static heddle_status check_depth(struct heddle_text json, struct heddle_error *err)
{
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < json.size; i++) {
        char c = json.data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"')
            in_string = true;
        else if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        if (depth > HEDDLE_PAYLOAD_DEPTH_MAX)
            return heddle_refuse(err, HEDDLE_KIND_INVALID,
                                 "payload is nested deeper than %d at byte %zu",
                                 HEDDLE_PAYLOAD_DEPTH_MAX, i);
    }
    return HEDDLE_OK;
}
