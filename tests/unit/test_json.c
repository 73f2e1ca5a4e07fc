/* What Heddle takes for a payload. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static heddle_status check(const char *json, size_t size, struct heddle_error *err)
{
    return json_check_payload((struct heddle_text){json, size}, err);
}

static void assert_taken(const char *json)
{
    struct heddle_error err = {0};

    if (check(json, strlen(json), &err) != HEDDLE_OK)
        fail_msg("%.80s: %s", json, err.text);
}

static void assert_refused(const char *json, size_t size)
{
    struct heddle_error err = {0};

    if (check(json, size, &err) != HEDDLE_REFUSED)
        fail_msg("%.80s was taken", json);
    assert_int_equal(err.kind, HEDDLE_KIND_INVALID);
    assert_true(strlen(err.text) > 0);
}

static void objects_are_taken(void **state)
{
    static const char *const objects[] = {
        "{}",
        " {\n\"a\" : [1, -2.5e3, true, false, null, \"x\"]\t}\r\n",
        "{\"a\":{\"a\":{}}}",
        "{\"\":\"\"}",
        "{\"é\":\"\\u00e9 \\ud83d\\ude42 🙂 \\\" \\\\ \\/ \\b\\f\\n\\r\\t\"}",
        "{\"brackets\":\"[[[[{{{{\\\"[[\"}",
        NULL};

    (void)state;
    for (size_t i = 0; objects[i]; i++)
        assert_taken(objects[i]);
}

static void what_is_no_object_is_refused(void **state)
{
    static const char *const others[] = {"[]", "[{}]", "1", "\"a\"", "null", "true", "", " ", NULL};

    (void)state;
    for (size_t i = 0; others[i]; i++)
        assert_refused(others[i], strlen(others[i]));
}

static void bad_syntax_is_refused(void **state)
{
    static const char *const bad[] = {"{",
                                      "}",
                                      "{]",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{'a':1}",
                                      "{\"a\":01}",
                                      "{\"a\":1.}",
                                      "{\"a\":.5}",
                                      "{\"a\":+1}",
                                      "{\"a\":NaN}",
                                      "{\"a\":tru}",
                                      "{} {}",
                                      "{}x",
                                      "{\"a\":\"\t\"}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":\"\\x\"}",
                                      "{\"a\":\"\\u12\"}",
                                      "{\"a\":\"",
                                      "{\"a\":\"\\",
                                      "/**/{}",
                                      "{\"a\":1}}",
                                      NULL};

    (void)state;
    for (size_t i = 0; bad[i]; i++)
        assert_refused(bad[i], strlen(bad[i]));
}

static void nul_is_refused_in_every_form(void **state)
{
    (void)state;
    assert_refused("{\"a\":\"\\u0000\"}", 14);
    assert_refused("{\"\\u0000\":1}", 12);
    assert_refused("{\"a\":\"\0\"}", 9);
    assert_refused("{}\0", 3);
    /* Behind a number, jansson passes over it. */
    assert_refused("{\"a\":[1\0,2]}", 12);
}

static void broken_utf8_and_half_surrogates_are_refused(void **state)
{
    static const char *const bad[] = {
        "{\"a\":\"\xFF\"}",     "{\"a\":\"\xC3\"}",     "{\"a\":\"\xED\xA0\x80\"}",
        "{\"a\":\"\xC0\xAF\"}", "{\"\xE2\x82\":1}",     "{\"a\":\"\\ud83d\"}",
        "{\"a\":\"\\ude42\"}",  "{\"a\":\"\\ud83dx\"}", NULL};

    (void)state;
    for (size_t i = 0; bad[i]; i++)
        assert_refused(bad[i], strlen(bad[i]));
}

/* `open` count times, the innermost value, `close` count times. */
static char *nest(const char *open, const char *inner, const char *close, int count)
{
    size_t size = (strlen(open) + strlen(close)) * (size_t)count + strlen(inner) + 1;
    char *text = malloc(size), *end = text;

    for (int i = 0; i < count; i++)
        end = stpcpy(end, open);
    end = stpcpy(end, inner);
    for (int i = 0; i < count; i++)
        end = stpcpy(end, close);
    return text;
}

static void depth_is_limited_and_costs_no_stack(void **state)
{
    (void)state;
    char *most = nest("{\"a\":", "1", "}", HEDDLE_PAYLOAD_DEPTH_MAX);
    assert_taken(most);
    free(most);
    char *mixed = nest("{\"a\":[", "1", "]}", HEDDLE_PAYLOAD_DEPTH_MAX / 2);
    assert_taken(mixed);
    free(mixed);
    char *more = nest("{\"a\":", "1", "}", HEDDLE_PAYLOAD_DEPTH_MAX + 1);
    assert_refused(more, strlen(more));
    free(more);
    char *endless = nest("{\"a\":[", "", "", 500000);
    assert_refused(endless, strlen(endless));
    free(endless);
    char *flat = nest("{},", "{}", "", 200000);
    char *wide;
    assert_true(asprintf(&wide, "{\"a\":[%s]}", flat) > 0);
    assert_taken(wide);
    free(wide);
    free(flat);
}

/* jsonb holds numbers of any size, so a payload may have them. */
static void numbers_of_any_size_are_taken(void **state)
{
    (void)state;
    assert_taken("{\"n\":9223372036854775807}");
    assert_taken("{\"n\":-9223372036854775808}");
    assert_taken("{\"n\":9223372036854775808}");
    assert_taken("{\"n\":123456789012345678901234567890}");
    assert_taken("{\"n\":1e-400}");
}

static void an_error_text_shows_nothing_that_breaks_a_line(void **state)
{
    struct heddle_error err = {0};

    (void)state;
    assert_int_equal(check("{\"a\":\x01\x1b\n}", 9, &err), HEDDLE_REFUSED);
    for (const char *c = err.text; *c; c++)
        assert_true((unsigned char)*c >= 0x20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_taken),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(bad_syntax_is_refused),
        cmocka_unit_test(nul_is_refused_in_every_form),
        cmocka_unit_test(broken_utf8_and_half_surrogates_are_refused),
        cmocka_unit_test(depth_is_limited_and_costs_no_stack),
        cmocka_unit_test(numbers_of_any_size_are_taken),
        cmocka_unit_test(an_error_text_shows_nothing_that_breaks_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
