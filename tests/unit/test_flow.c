/* What a submission asks for beside its retry policy: bounds, texts, JSON. */
#include "base/flow.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct heddle_flow nothing = {0};
static const struct heddle_flow whole = {.delay_ms = 31536000000,
                                         .at_ms = 253402300799999,
                                         .expires_ms = 2592000000,
                                         .priority = HEDDLE_PRIORITY_BULK,
                                         .batch = {"night \"1\" ü", 12},
                                         .unique_key = {"k\\", 2},
                                         .unique_ms = 1,
                                         .replaces = true};
static const char *const names[FLOW_OPTIONS_COUNT] = {
    "delay_ms", "at_ms", "expires_ms", "priority", "batch", "unique_key", "unique_ms", "replace"};

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void assert_same(const struct heddle_flow *a, const struct heddle_flow *b)
{
    for (size_t i = 0; i < FLOW_OPTIONS_COUNT; i++) {
        char numbers[2][FLOW_NUMBER_SIZE];
        struct heddle_text of_a = TEXT(""), of_b = TEXT("");
        assert_ptr_equal(flow_option(a, i, numbers[0], &of_a),
                         flow_option(b, i, numbers[1], &of_b));
        assert_true(text_equal(of_a, of_b));
    }
}

static void assert_set(struct heddle_flow *flow, const char *name, struct heddle_text value)
{
    struct heddle_error err;
    assert_int_equal(flow_set(flow, text_of(name), value, &err), HEDDLE_OK);
}

static void assert_refused(const char *name, struct heddle_text value, const char *allowed)
{
    struct heddle_flow flow = whole;
    struct heddle_error err;

    assert_int_equal(flow_set(&flow, text_of(name), value, &err), HEDDLE_REFUSED);
    assert_int_equal(err.kind, HEDDLE_KIND_INVALID);
    assert_int_equal(strncmp(err.text, name, strlen(name)), 0);
    assert_non_null(strstr(err.text, allowed));
    assert_same(&flow, &whole);
}

static void each_option_is_what_was_set(void **state)
{
    struct heddle_flow flow = {0};

    (void)state;
    assert_int_equal(flow_options_said(&nothing), 0);
    assert_int_equal(flow_options_said(&whole), FLOW_OPTIONS_COUNT);
    for (size_t i = 0; i < FLOW_OPTIONS_COUNT; i++) {
        char number[FLOW_NUMBER_SIZE];
        struct heddle_text value;
        assert_null(flow_option(&nothing, i, number, &value));
        assert_string_equal(flow_option(&whole, i, number, &value), names[i]);
        assert_true(flow_has_option(text_of(names[i])));
        assert_int_equal(flow_is_text(text_of(names[i])), i == 4 || i == 5);
        /* A number lies in this turn's buffer. */
        assert_set(&flow, names[i], value);
        assert_int_equal(flow_options_said(&flow), i + 1);
    }
    assert_same(&flow, &whole);
    assert_false(flow_has_option(TEXT("delay")));
    assert_false(flow_is_text(TEXT("thread")));
}

static void numbers_have_their_bounds(void **state)
{
    static const char *const wrong[] = {
        "0", "-1", "", " 1", "1.5", "1s", "99999999999999999999999"};
    static const struct {
        const char *name, *most, *beyond;
    } bounds[] = {{"delay_ms", "31536000000", "31536000001"},
                  {"at_ms", "253402300799999", "253402300800000"},
                  {"expires_ms", "2592000000", "2592000001"},
                  {"unique_ms", "2592000000", "2592000001"}};

    (void)state;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        struct heddle_flow flow = {0};
        char allowed[64];
        snprintf(allowed, sizeof allowed, "whole numbers from 1 to %s", bounds[i].most);
        assert_set(&flow, bounds[i].name, text_of(bounds[i].most));
        assert_refused(bounds[i].name, text_of(bounds[i].beyond), allowed);
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
            assert_refused(bounds[i].name, text_of(wrong[k]), allowed);
    }
}

static void texts_have_their_sizes(void **state)
{
    static const struct {
        const char *name;
        size_t most;
    } sizes[] = {{"batch", 200}, {"unique_key", 256}};
    char text[300];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < 2; i++) {
        struct heddle_flow flow = {0};
        assert_set(&flow, sizes[i].name, (struct heddle_text){text, sizes[i].most});
        assert_refused(sizes[i].name, (struct heddle_text){text, sizes[i].most + 1}, "UTF-8");
        assert_refused(sizes[i].name, TEXT(""), "UTF-8");
        assert_refused(sizes[i].name, TEXT("\xff"), "UTF-8");
        assert_refused(sizes[i].name, TEXT("a\0b"), "NUL");
    }
}

static void words_are_those_that_are_known(void **state)
{
    struct heddle_flow flow = {0};

    (void)state;
    assert_set(&flow, "priority", TEXT("interactive"));
    assert_int_equal(flow.priority, HEDDLE_PRIORITY_INTERACTIVE);
    assert_set(&flow, "priority", TEXT("normal"));
    assert_int_equal(flow.priority, HEDDLE_PRIORITY_NORMAL);
    assert_string_equal(flow_priority_name(HEDDLE_PRIORITY_BULK), "bulk");
    assert_refused("priority", TEXT("urgent"), "interactive, normal and bulk");
    assert_set(&flow, "replace", TEXT("true"));
    assert_true(flow.replaces);
    assert_set(&flow, "replace", TEXT("0"));
    assert_false(flow.replaces);
    assert_refused("replace", TEXT("yes"), "1 and 0");
}

static void some_options_exclude_or_need_each_other(void **state)
{
    struct heddle_flow flow = {.delay_ms = 1};
    struct heddle_error err;

    (void)state;
    assert_int_equal(flow_check(&nothing, &err), HEDDLE_OK);
    assert_int_equal(flow_check(&flow, &err), HEDDLE_OK);
    flow.at_ms = 1;
    assert_int_equal(flow_check(&flow, &err), HEDDLE_REFUSED);
    flow = (struct heddle_flow){.unique_ms = 1};
    assert_int_equal(flow_check(&flow, &err), HEDDLE_REFUSED);
    flow = (struct heddle_flow){.replaces = true};
    assert_int_equal(flow_check(&flow, &err), HEDDLE_REFUSED);
    flow.unique_key = TEXT("k");
    assert_int_equal(flow_check(&flow, &err), HEDDLE_OK);
}

static void all_options_are_the_same_after_their_json(void **state)
{
    const struct heddle_policy policy = {.attempts = 3}, none = {0};
    struct heddle_flow back;

    (void)state;
    assert_null(flow_options_to_json(&nothing, &none, &arena));
    assert_string_equal(flow_options_to_json(&nothing, &policy, &arena), "{\"attempts\":3}");
    back = flow_from_json("{\"attempts\":3}", &arena);
    assert_same(&back, &nothing);
    const char *json = flow_options_to_json(&whole, &policy, &arena);
    assert_non_null(strstr(json, "\"attempts\":3"));
    assert_non_null(strstr(json, "\"expires_ms\":2592000000"));
    back = flow_from_json(json, &arena);
    assert_same(&back, &whole);
}

static void what_is_no_option_in_a_json_is_passed_over(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{",
        "{\"delay_ms\":0}",
        "{\"delay_ms\":1.5}",
        "{\"delay_ms\":true}",
        "{\"priority\":\"high\"}",
        "{\"priority\":2}",
        "{\"batch\":5}",
        "{\"batch\":\"\"}",
        "{\"batch\":null}",
        "{\"replace\":false}",
        "{\"replace\":[1]}",
        "{\"x\":1}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct heddle_flow flow = flow_from_json(texts[i], &arena);
        assert_same(&flow, &nothing);
    }
    assert_true(flow_from_json("{\"replace\":true}", &arena).replaces);
    assert_true(flow_from_json("{\"replace\":1}", &arena).replaces);
    assert_int_equal(flow_from_json("{\"delay_ms\":\"7\"}", &arena).delay_ms, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_option_is_what_was_set),
        TEST(numbers_have_their_bounds),
        TEST(texts_have_their_sizes),
        TEST(words_are_those_that_are_known),
        TEST(some_options_exclude_or_need_each_other),
        TEST(all_options_are_the_same_after_their_json),
        TEST(what_is_no_option_in_a_json_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
