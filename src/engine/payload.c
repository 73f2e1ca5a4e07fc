/* Members of a payload (heddle/operation.h). Runs on a worker. */
#include "engine/task.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static json_t *member_of(struct heddle_task *task, const char *member);
static heddle_status refuse_type(const char *member, const char *expected,
                                 struct heddle_error *err);

heddle_status heddle_payload_text(struct heddle_task *task, const char *member,
                                  struct heddle_text *value, bool *found, struct heddle_error *err)
{
    json_t *json = member_of(task, member);

    *found = json != NULL;
    if (!json)
        return HEDDLE_OK;
    if (!json_is_string(json))
        return refuse_type(member, "a string", err);
    *value = (struct heddle_text){json_string_value(json), json_string_length(json)};
    return HEDDLE_OK;
}

heddle_status heddle_payload_integer(struct heddle_task *task, const char *member, int64_t least,
                                     int64_t most, int64_t *value, bool *found,
                                     struct heddle_error *err)
{
    json_t *json = member_of(task, member);

    *found = json != NULL;
    if (!json)
        return HEDDLE_OK;
    if (!json_is_integer(json) || json_integer_value(json) < least ||
        json_integer_value(json) > most)
        return heddle_refuse(err, HEDDLE_KIND_INVALID,
                             "%s must be a whole number from %" PRId64 " to %" PRId64, member,
                             least, most);
    *value = json_integer_value(json);
    return HEDDLE_OK;
}

heddle_status heddle_payload_boolean(struct heddle_task *task, const char *member, bool *value,
                                     bool *found, struct heddle_error *err)
{
    json_t *json = member_of(task, member);

    *found = json != NULL;
    if (!json)
        return HEDDLE_OK;
    if (!json_is_boolean(json))
        return refuse_type(member, "true or false", err);
    *value = json_is_true(json);
    return HEDDLE_OK;
}

heddle_status heddle_payload_object(struct heddle_task *task, const char *member,
                                    struct heddle_text *json_text, bool *found,
                                    struct heddle_error *err)
{
    json_t *json = member_of(task, member);

    *found = json != NULL;
    if (!json)
        return HEDDLE_OK;
    if (!json_is_object(json))
        return refuse_type(member, "an object", err);
    size_t size = json_dumpb(json, NULL, 0, JSON_COMPACT);
    char *text = arena_alloc(task->arena, size + 1);
    json_dumpb(json, text, size, JSON_COMPACT);
    text[size] = '\0';
    *json_text = (struct heddle_text){text, size};
    return HEDDLE_OK;
}

heddle_status heddle_payload_only(struct heddle_task *task, const char *const *allowed,
                                  struct heddle_error *err)
{
    const char *key;
    json_t *value;

    (void)member_of(task, "");
    json_object_foreach(task->payload, key, value)
    {
        const char *const *known = allowed;
        while (*known && strcmp(*known, key) != 0)
            known++;
        if (*known)
            continue;
        char list[200] = "none";
        size_t used = 0;
        for (known = allowed; *known && used + 1 < sizeof list; known++)
            used +=
                (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", *known);
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "unknown member '%.80s'; allowed: %s", key,
                             list);
    }
    return HEDDLE_OK;
}

/* NULL where it is absent or null. Borrowed from the task. */
static json_t *member_of(struct heddle_task *task, const char *member)
{
    struct heddle_error err;

    if (!task->payload && task_check(task, &err) != HEDDLE_OK)
        abort(); /* it was checked before any phase */
    json_t *json = json_object_get(task->payload, member);
    return json_is_null(json) ? NULL : json;
}

static heddle_status refuse_type(const char *member, const char *expected, struct heddle_error *err)
{
    return heddle_refuse(err, HEDDLE_KIND_INVALID, "%s must be %s", member, expected);
}
