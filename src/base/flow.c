/* See flow.h. */
#include "base/flow.h"

#include "base/policy.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define DAY_MS (INT64_C(24) * 60 * 60 * 1000)

enum kind { NUMBER, TEXT_OF_USER, PRIORITY, SWITCH };

static const struct option {
    const char *name;
    enum kind kind;
    size_t offset;
    int64_t most; /* the number, or bytes of the text */
} options[FLOW_OPTIONS_COUNT] = {
    {"delay_ms", NUMBER, offsetof(struct heddle_flow, delay_ms), 365 * DAY_MS},
    {"at_ms", NUMBER, offsetof(struct heddle_flow, at_ms), INT64_C(253402300799999)},
    {"expires_ms", NUMBER, offsetof(struct heddle_flow, expires_ms), 30 * DAY_MS},
    {"priority", PRIORITY, 0, 0},
    {"batch", TEXT_OF_USER, offsetof(struct heddle_flow, batch), 200},
    {"unique_key", TEXT_OF_USER, offsetof(struct heddle_flow, unique_key), 256},
    {"unique_ms", NUMBER, offsetof(struct heddle_flow, unique_ms), 30 * DAY_MS},
    {"replace", SWITCH, 0, 0},
};

static const char *const priorities[] = {"normal", "interactive", "bulk"};

static const struct option *find_option(struct heddle_text name);
static bool set(struct heddle_flow *flow, const struct option *option, struct heddle_text value);
static void *field(struct heddle_flow *flow, const struct option *option);
static const char *allowed(const struct option *option, char text[80]);

bool flow_has_option(struct heddle_text name)
{
    return find_option(name) != NULL;
}

bool flow_is_text(struct heddle_text name)
{
    const struct option *option = find_option(name);
    return option && option->kind == TEXT_OF_USER;
}

heddle_status flow_set(struct heddle_flow *flow, struct heddle_text name, struct heddle_text value,
                       struct heddle_error *err)
{
    const struct option *option = find_option(name);
    char text[80];

    if (option && set(flow, option, value))
        return HEDDLE_OK;
    return heddle_refuse(err, HEDDLE_KIND_INVALID, "%.*s = %.*s: allowed %s", (int)name.size,
                         name.data, (int)(value.size < 60 ? value.size : 60), value.data,
                         option ? allowed(option, text) : "is another option");
}

heddle_status flow_check(const struct heddle_flow *flow, struct heddle_error *err)
{
    if (flow->delay_ms > 0 && flow->at_ms > 0)
        return heddle_refuse(err, HEDDLE_KIND_INVALID,
                             "delay_ms and at_ms: allowed is one of them");
    if ((flow->unique_ms > 0 || flow->replaces) && flow->unique_key.size == 0)
        return heddle_refuse(err, HEDDLE_KIND_INVALID,
                             "unique_ms and replace: allowed only with unique_key");
    return HEDDLE_OK;
}

const char *flow_option(const struct heddle_flow *flow, size_t index, char number[FLOW_NUMBER_SIZE],
                        struct heddle_text *value)
{
    struct heddle_flow copy = *flow;
    const struct option *option = &options[index];

    switch (option->kind) {
    case NUMBER: {
        const int64_t *of_flow = field(&copy, option);
        if (*of_flow == 0)
            return NULL;
        snprintf(number, FLOW_NUMBER_SIZE, "%" PRId64, *of_flow);
        *value = text_of(number);
        break;
    }
    case TEXT_OF_USER:
        *value = *(const struct heddle_text *)field(&copy, option);
        if (value->size == 0)
            return NULL;
        break;
    case PRIORITY:
        if (flow->priority == HEDDLE_PRIORITY_NORMAL)
            return NULL;
        *value = text_of(flow_priority_name(flow->priority));
        break;
    case SWITCH:
        if (!flow->replaces)
            return NULL;
        *value = TEXT("1");
        break;
    }
    return option->name;
}

size_t flow_options_said(const struct heddle_flow *flow)
{
    return (size_t)(flow->delay_ms != 0) + (flow->at_ms != 0) + (flow->expires_ms != 0) +
           (flow->priority != HEDDLE_PRIORITY_NORMAL) + (flow->batch.size > 0) +
           (flow->unique_key.size > 0) + (flow->unique_ms != 0) + flow->replaces;
}

const char *flow_priority_name(enum heddle_priority priority)
{
    return priorities[priority];
}

const char *flow_options_to_json(const struct heddle_flow *flow, const struct heddle_policy *policy,
                                 struct arena *arena)
{
    char of_policy[POLICY_JSON_SIZE], number[FLOW_NUMBER_SIZE];
    const bool has_policy = policy_to_json(policy, of_policy);

    if (flow_options_said(flow) == 0)
        return has_policy ? arena_format(arena, "%s", of_policy) : NULL;
    json_t *root = json_loads(of_policy, 0, NULL);
    for (size_t i = 0; i < FLOW_OPTIONS_COUNT; i++) {
        struct heddle_text value;
        const char *name = flow_option(flow, i, number, &value);
        if (name)
            json_object_set_new(root, name,
                                options[i].kind == NUMBER
                                    ? json_integer(strtoll(value.data, NULL, 10))
                                    : json_stringn(value.data, value.size));
    }
    char *text = json_dumps(root, JSON_COMPACT);
    if (!text)
        memory_exhausted();
    const char *json = arena_format(arena, "%s", text);
    free(text);
    json_decref(root);
    return json;
}

struct heddle_flow flow_from_json(const char *json, struct arena *arena)
{
    struct heddle_flow flow = {0};
    json_t *root = json_loads(json, 0, NULL);

    for (size_t i = 0; i < FLOW_OPTIONS_COUNT; i++) {
        const json_t *member = json_object_get(root, options[i].name);
        char number[FLOW_NUMBER_SIZE];
        struct heddle_text value;
        if (json_is_string(member))
            value = arena_copy_text(arena, json_string_value(member), json_string_length(member));
        else if (json_is_integer(member) && options[i].kind != TEXT_OF_USER)
            value = (struct heddle_text){number, (size_t)snprintf(number, sizeof number,
                                                                  "%" JSON_INTEGER_FORMAT,
                                                                  json_integer_value(member))};
        else if (json_is_boolean(member))
            value = json_is_true(member) ? TEXT("true") : TEXT("false");
        else
            continue;
        (void)set(&flow, &options[i], value);
    }
    json_decref(root);
    return flow;
}

static const struct option *find_option(struct heddle_text name)
{
    for (size_t i = 0; i < FLOW_OPTIONS_COUNT; i++)
        if (text_equal(name, text_of(options[i].name)))
            return &options[i];
    return NULL;
}

/* False, and nothing set, where the value is not allowed. */
static bool set(struct heddle_flow *flow, const struct option *option, struct heddle_text value)
{
    switch (option->kind) {
    case NUMBER:
        return text_parse_positive(value, option->most, field(flow, option));
    case TEXT_OF_USER:
        if (value.size == 0 || value.size > (size_t)option->most ||
            !text_is_utf8(value.data, value.size))
            return false;
        *(struct heddle_text *)field(flow, option) = value;
        return true;
    case PRIORITY:
        for (int p = HEDDLE_PRIORITY_NORMAL; p <= HEDDLE_PRIORITY_BULK; p++)
            if (text_equal(value, text_of(priorities[p]))) {
                flow->priority = (enum heddle_priority)p;
                return true;
            }
        return false;
    case SWITCH: {
        const bool is_on = text_equal(value, TEXT("1")) || text_equal(value, TEXT("true"));
        if (!is_on && !text_equal(value, TEXT("0")) && !text_equal(value, TEXT("false")))
            return false;
        flow->replaces = is_on;
        return true;
    }
    }
    return false;
}

static void *field(struct heddle_flow *flow, const struct option *option)
{
    return (char *)flow + option->offset;
}

static const char *allowed(const struct option *option, char text[80])
{
    switch (option->kind) {
    case NUMBER:
        snprintf(text, 80, "are whole numbers from 1 to %" PRId64, option->most);
        return text;
    case TEXT_OF_USER:
        snprintf(text, 80, "are 1 to %" PRId64 " bytes of UTF-8 without NUL", option->most);
        return text;
    case PRIORITY:
        return "are interactive, normal and bulk";
    case SWITCH:
        return "are 1 and 0, true and false";
    }
    return "";
}
