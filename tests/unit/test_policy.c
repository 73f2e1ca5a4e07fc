/* Retry policies: bounds, texts, JSON, precedence. */
#include "base/policy.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct heddle_policy whole = {.attempts = 3,
                                           .backoff_ms = 20,
                                           .backoff_max_ms = 3000,
                                           .deadline_ms = 2592000000,
                                           .on_failure = HEDDLE_ON_FAILURE_PARK};
static const char whole_json[] = "{\"attempts\":3,\"backoff_ms\":20,\"backoff_max_ms\":3000,"
                                 "\"deadline_ms\":2592000000,\"on_failure\":\"park\"}";

static const struct bound {
    const char *name, *most, *beyond;
} bounds[] = {
    {"attempts", "1000", "1001"},
    {"backoff_ms", "3600000", "3600001"},
    {"backoff_max_ms", "3600000", "3600001"},
    {"deadline_ms", "2592000000", "2592000001"},
};

enum { BOUNDS = sizeof bounds / sizeof *bounds };

static void assert_same(const struct heddle_policy *a, const struct heddle_policy *b)
{
    assert_int_equal(a->attempts, b->attempts);
    assert_int_equal(a->backoff_ms, b->backoff_ms);
    assert_int_equal(a->backoff_max_ms, b->backoff_max_ms);
    assert_int_equal(a->deadline_ms, b->deadline_ms);
    assert_int_equal(a->on_failure, b->on_failure);
}

static heddle_status set(struct heddle_policy *policy, const char *name, const char *value,
                         struct heddle_error *err)
{
    return policy_set(policy, text_of(name), text_of(value), err);
}

/* Refused, with what is allowed, and the policy as it was. */
static void assert_refused(const char *name, const char *value, const char *allowed)
{
    struct heddle_policy policy = whole;
    struct heddle_error err;
    char begin[100];

    assert_int_equal(set(&policy, name, value, &err), HEDDLE_REFUSED);
    assert_int_equal(err.kind, HEDDLE_KIND_INVALID);
    snprintf(begin, sizeof begin, "%s = ", name);
    assert_int_equal(strncmp(err.text, begin, strlen(begin)), 0);
    assert_non_null(strstr(err.text, allowed));
    assert_null(strchr(err.text, '\n'));
    assert_same(&policy, &whole);
}

static void each_number_has_its_bounds(void **state)
{
    static const char *const wrong[] = {
        "0", "-1", "+1", "", " 1", "1 ", "1.5", "1e2", "0x1", "1s", "99999999999999999999999999",
        "00"};

    (void)state;
    for (size_t i = 0; i < BOUNDS; i++) {
        struct heddle_policy policy = {0};
        char value[POLICY_VALUE_SIZE];
        char allowed[60];
        assert_true(policy_has_option(text_of(bounds[i].name)));
        assert_int_equal(set(&policy, bounds[i].name, "1", NULL), HEDDLE_OK);
        assert_string_equal(policy_option(&policy, i, value), bounds[i].name);
        assert_string_equal(value, "1");
        assert_int_equal(set(&policy, bounds[i].name, bounds[i].most, NULL), HEDDLE_OK);
        assert_string_equal(policy_option(&policy, i, value), bounds[i].name);
        assert_string_equal(value, bounds[i].most);
        assert_int_equal(policy_options_said(&policy), 1);
        snprintf(allowed, sizeof allowed, "whole numbers from 1 to %s", bounds[i].most);
        assert_refused(bounds[i].name, bounds[i].beyond, allowed);
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
            assert_refused(bounds[i].name, wrong[k], allowed);
    }
}

static void the_reaction_has_three_names(void **state)
{
    static const char *const names[] = {"block", "park", "halt"};
    static const char *const wrong[] = {"", "Block", "halt ", "default", "blocks", "0", "1"};

    (void)state;
    assert_true(policy_has_option(TEXT("on_failure")));
    for (size_t i = 0; i < 3; i++) {
        struct heddle_policy policy = {0};
        char value[POLICY_VALUE_SIZE];
        assert_int_equal(set(&policy, "on_failure", names[i], NULL), HEDDLE_OK);
        assert_int_equal(policy.on_failure, HEDDLE_ON_FAILURE_BLOCK + i);
        assert_string_equal(policy_option(&policy, BOUNDS, value), "on_failure");
        assert_string_equal(value, names[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_refused("on_failure", wrong[i], "block, park and halt");
}

static void a_long_value_is_told_in_part(void **state)
{
    char value[5000];
    struct heddle_policy policy = {0};
    struct heddle_error err;

    (void)state;
    memset(value, '7', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    assert_int_equal(set(&policy, "attempts", value, &err), HEDDLE_REFUSED);
    assert_non_null(strstr(err.text, "from 1 to 1000"));
    assert_int_equal(set(&policy, "on_failure", value, &err), HEDDLE_REFUSED);
    assert_non_null(strstr(err.text, "block, park and halt"));
}

static void other_names_are_no_options(void **state)
{
    static const char *const names[] = {"", "attempt", "Attempts", "attempts ", "backoff", "reply"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(policy_has_option(text_of(names[i])));
}

static void what_is_said_first_goes_before(void **state)
{
    const struct heddle_policy nothing = {0};
    const struct heddle_policy other = {9, 9, 9, 9, HEDDLE_ON_FAILURE_HALT};
    struct heddle_policy both = policy_over(&whole, &other);

    (void)state;
    assert_same(&both, &whole);
    both = policy_over(&nothing, &other);
    assert_same(&both, &other);
    both = policy_over(&other, &nothing);
    assert_same(&both, &other);
    assert_int_equal(policy_options_said(&nothing), 0);
    assert_int_equal(policy_options_said(&whole), POLICY_OPTIONS_COUNT);
    /* Each option for itself. */
    for (size_t i = 0; i < POLICY_OPTIONS_COUNT; i++) {
        struct heddle_policy one = {0};
        char name[POLICY_VALUE_SIZE], value[POLICY_VALUE_SIZE], said[POLICY_VALUE_SIZE];
        strcpy(name, policy_option(&whole, i, value));
        assert_int_equal(set(&one, name, value, NULL), HEDDLE_OK);
        both = policy_over(&one, &other);
        for (size_t k = 0; k < POLICY_OPTIONS_COUNT; k++) {
            assert_non_null(policy_option(&both, k, said));
            (void)policy_option(k == i ? &whole : &other, k, value);
            assert_string_equal(said, value);
        }
    }
}

static void a_policy_is_the_same_after_its_json(void **state)
{
    char json[POLICY_JSON_SIZE];
    struct heddle_policy nothing = {0}, back;

    (void)state;
    assert_true(policy_to_json(&whole, json));
    assert_string_equal(json, whole_json);
    back = policy_from_json(json);
    assert_same(&back, &whole);
    assert_false(policy_to_json(&nothing, json));
    assert_string_equal(json, "{}");
    back = policy_from_json(json);
    assert_same(&back, &nothing);
    for (size_t i = 0; i < POLICY_OPTIONS_COUNT; i++) {
        struct heddle_policy one = {0};
        char value[POLICY_VALUE_SIZE];
        const char *name = policy_option(&whole, i, value);
        assert_int_equal(set(&one, name, value, NULL), HEDDLE_OK);
        assert_true(policy_to_json(&one, json));
        back = policy_from_json(json);
        assert_same(&back, &one);
    }
}

static void the_longest_policy_has_room(void **state)
{
    const struct heddle_policy longest = {1000, 3600000, 3600000, 2592000000,
                                          HEDDLE_ON_FAILURE_BLOCK};
    char json[POLICY_JSON_SIZE];

    (void)state;
    assert_true(policy_to_json(&longest, json));
    assert_int_equal(json[strlen(json) - 1], '}');
    struct heddle_policy back = policy_from_json(json);
    assert_same(&back, &longest);
}

static void what_is_no_policy_in_a_json_is_passed_over(void **state)
{
    static const char *const nothings[] = {"",
                                           "[]",
                                           "3",
                                           "{",
                                           "null",
                                           "{\"attempts\":0}",
                                           "{\"attempts\":1001}",
                                           "{\"attempts\":-3}",
                                           "{\"attempts\":1.5}",
                                           "{\"attempts\":true}",
                                           "{\"attempts\":null}",
                                           "{\"attempts\":[5]}",
                                           "{\"on_failure\":\"stop\"}",
                                           "{\"on_failure\":2}",
                                           "{\"payload\":{\"attempts\":5}}",
                                           "{\"tries\":5}"};
    const struct heddle_policy nothing = {0};

    (void)state;
    for (size_t i = 0; i < sizeof nothings / sizeof *nothings; i++) {
        struct heddle_policy policy = policy_from_json(nothings[i]);
        assert_same(&policy, &nothing);
    }
    struct heddle_policy policy =
        policy_from_json("{\"x\":1,\"attempts\":\"7\",\"backoff_ms\":0,\"on_failure\":\"halt\"}");
    assert_int_equal(policy.attempts, 7);
    assert_int_equal(policy.backoff_ms, 0);
    assert_int_equal(policy.on_failure, HEDDLE_ON_FAILURE_HALT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_has_its_bounds),
        cmocka_unit_test(the_reaction_has_three_names),
        cmocka_unit_test(a_long_value_is_told_in_part),
        cmocka_unit_test(other_names_are_no_options),
        cmocka_unit_test(what_is_said_first_goes_before),
        cmocka_unit_test(a_policy_is_the_same_after_its_json),
        cmocka_unit_test(the_longest_policy_has_room),
        cmocka_unit_test(what_is_no_policy_in_a_json_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
