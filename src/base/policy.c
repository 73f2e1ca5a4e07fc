/* See policy.h. */
#include "base/policy.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { HOUR_MS = 60 * 60 * 1000 };

static const struct number {
    const char *name;
    size_t offset;
    int64_t most;
} numbers[] = {
    {"attempts", offsetof(struct heddle_policy, attempts), 1000},
    {"backoff_ms", offsetof(struct heddle_policy, backoff_ms), HOUR_MS},
    {"backoff_max_ms", offsetof(struct heddle_policy, backoff_max_ms), HOUR_MS},
    {"deadline_ms", offsetof(struct heddle_policy, deadline_ms), INT64_C(30) * 24 * HOUR_MS},
};

enum { NUMBER_COUNT = sizeof numbers / sizeof *numbers };

static const char on_failure[] = "on_failure";
static const char *const reactions[] = {NULL, "block", "park", "halt"};

static int64_t *field(struct heddle_policy *policy, const struct number *number);
static heddle_status set_number(int64_t *place, const struct number *number,
                                struct heddle_text value, struct heddle_error *err);

struct heddle_policy policy_over(const struct heddle_policy *first,
                                 const struct heddle_policy *second)
{
    struct heddle_policy both = *first, rest = *second;

    for (size_t i = 0; i < NUMBER_COUNT; i++)
        if (*field(&both, &numbers[i]) == 0)
            *field(&both, &numbers[i]) = *field(&rest, &numbers[i]);
    if (both.on_failure == HEDDLE_ON_FAILURE_DEFAULT)
        both.on_failure = rest.on_failure;
    return both;
}

bool policy_has_option(struct heddle_text name)
{
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        if (text_equal(name, text_of(numbers[i].name)))
            return true;
    return text_equal(name, text_of(on_failure));
}

heddle_status policy_set(struct heddle_policy *policy, struct heddle_text name,
                         struct heddle_text value, struct heddle_error *err)
{
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        if (text_equal(name, text_of(numbers[i].name)))
            return set_number(field(policy, &numbers[i]), &numbers[i], value, err);
    for (int r = HEDDLE_ON_FAILURE_BLOCK; r <= HEDDLE_ON_FAILURE_HALT; r++)
        if (text_equal(value, text_of(reactions[r]))) {
            policy->on_failure = (enum heddle_on_failure)r;
            return HEDDLE_OK;
        }
    return heddle_refuse(err, HEDDLE_KIND_INVALID,
                         "on_failure = %.*s: allowed are block, park and halt",
                         (int)(value.size < 60 ? value.size : 60), value.data);
}

const char *policy_option(const struct heddle_policy *policy, size_t index,
                          char value[POLICY_VALUE_SIZE])
{
    struct heddle_policy copy = *policy;

    if (index < NUMBER_COUNT) {
        int64_t number = *field(&copy, &numbers[index]);
        if (number == 0)
            return NULL;
        snprintf(value, POLICY_VALUE_SIZE, "%" PRId64, number);
        return numbers[index].name;
    }
    if (policy->on_failure == HEDDLE_ON_FAILURE_DEFAULT)
        return NULL;
    snprintf(value, POLICY_VALUE_SIZE, "%s", reactions[policy->on_failure]);
    return on_failure;
}

size_t policy_options_said(const struct heddle_policy *policy)
{
    char value[POLICY_VALUE_SIZE];
    size_t count = 0;

    for (size_t i = 0; i < POLICY_OPTIONS_COUNT; i++)
        count += policy_option(policy, i, value) != NULL;
    return count;
}

bool policy_to_json(const struct heddle_policy *policy, char json[POLICY_JSON_SIZE])
{
    char value[POLICY_VALUE_SIZE];
    size_t used = 0;

    for (size_t i = 0; i < POLICY_OPTIONS_COUNT; i++) {
        const char *name = policy_option(policy, i, value);
        const char *quote = i < NUMBER_COUNT ? "" : "\"";
        if (name)
            used += (size_t)snprintf(json + used, POLICY_JSON_SIZE - used, "%c\"%s\":%s%s%s",
                                     used ? ',' : '{', name, quote, value, quote);
    }
    snprintf(json + used, POLICY_JSON_SIZE - used, used ? "}" : "{}");
    return used > 0;
}

struct heddle_policy policy_from_json(const char *json)
{
    struct heddle_policy policy = {0};
    json_t *root = json_loads(json, 0, NULL);
    const char *name;
    json_t *member;

    json_object_foreach(root, name, member)
    {
        char number[POLICY_VALUE_SIZE];
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(member));
        struct heddle_text value =
            text_of(json_is_string(member) ? json_string_value(member) : number);
        if (policy_has_option(text_of(name)))
            (void)!policy_set(&policy, text_of(name), value, NULL);
    }
    json_decref(root);
    return policy;
}

static int64_t *field(struct heddle_policy *policy, const struct number *number)
{
    return (int64_t *)(void *)((char *)policy + number->offset);
}

static heddle_status set_number(int64_t *place, const struct number *number,
                                struct heddle_text value, struct heddle_error *err)
{
    if (text_parse_positive(value, number->most, place))
        return HEDDLE_OK;
    return heddle_refuse(err, HEDDLE_KIND_INVALID,
                         "%s = %.*s: allowed are whole numbers from 1 to %" PRId64, number->name,
                         (int)(value.size < 60 ? value.size : 60), value.data, number->most);
}
