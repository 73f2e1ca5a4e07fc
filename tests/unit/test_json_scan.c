/* What is seen at one look at JSON is what the parser would say. */
#include "base/json.h"
#include "base/json_scan.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static const char *const plain[] = {
    "{}",
    " {\t\"a\" : 1 , \"b\":[ ] }\r\n",
    "{\"role\":\"user\",\"content\":\"Hi \\\"you\\\" \\\\ \\/ \\b\\f\\n\\r\\t ✓\"}",
    "{\"a\":[1,-2,0,0.5,-10.25,true,false,null,\"x\",{\"b\":{}},[[]]]}",
    "{\"\":{\"\":{\"\":123456789012345}}}",
};

static const char *const others[] = {
    "",
    " ",
    "[]",
    "{",
    "{}}",
    "{} x",
    "{a:1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":]",
    "{\"a\":[1}",
    "{\"a\":[1,]}",
    "{\"a\":01}",
    "{\"a\":1.}",
    "{\"a\":-}",
    "{\"a\":.5}",
    "{\"a\":tru}",
    "{\"a\":\"\n\"}",
    "{\"a\":\"\\x\"}",
    "{\"a\":\"\xff\"}",
    "{\"a\":\"",
};

static void plain_objects_are_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (!json_is_plain_object(text_of(plain[i])))
            fail_msg("%s", plain[i]);
}

static void what_is_none_is_not(void **state)
{
    char deep[3 * HEDDLE_PAYLOAD_DEPTH_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (json_is_plain_object(text_of(others[i])))
            fail_msg("%s", others[i]);
    assert_false(json_is_plain_object((struct heddle_text){"{\"a\":1\0}", 8}));
    for (int levels = HEDDLE_PAYLOAD_DEPTH_MAX; levels <= HEDDLE_PAYLOAD_DEPTH_MAX + 1; levels++) {
        snprintf(deep, sizeof deep, "{\"a\":%.*s%.*s}", levels - 1,
                 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", levels - 1,
                 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
        assert_int_equal(json_is_plain_object(text_of(deep)), levels == HEDDLE_PAYLOAD_DEPTH_MAX);
    }
}

static void the_parser_takes_whatever_is_plain(void **state)
{
    static const char alphabet[] = "{}[]\",:\\ \n0123456789-+.eEtruefalsn\x01\x7f\xc3\xa9\xff";
    enum { TRIES = 200000 };
    int plain_count = 0;

    (void)state;
    srandom(1);
    for (int i = 0; i < TRIES; i++) {
        char text[128];
        size_t size = (size_t)snprintf(text, sizeof text, "%s",
                                       plain[(size_t)random() % (sizeof plain / sizeof *plain)]);
        for (long changes = random() % 3; changes > 0; changes--)
            text[(size_t)random() % size] = alphabet[(size_t)random() % (sizeof alphabet - 1)];
        struct heddle_text json = {text, size};
        struct heddle_error err;
        json_t *root = NULL;
        if (!json_is_plain_object(json))
            continue;
        plain_count++;
        if (json_read_payload(json, &root, &err) != HEDDLE_OK)
            fail_msg("%.*s: %s", (int)size, text, err.text);
        json_decref(root);
    }
    assert_in_range(plain_count, TRIES / 10, TRIES);
}

static void plain_strings_are_what_stands_between_their_quotes(void **state)
{
    (void)state;
    assert_true(json_is_plain_string(TEXT("\"\"")));
    assert_true(json_is_plain_string(TEXT("\"é {}\"")));
    assert_false(json_is_plain_string(TEXT("\"")));
    assert_false(json_is_plain_string(TEXT("x")));
    assert_false(json_is_plain_string(TEXT("\"a\"b\"")));
    assert_false(json_is_plain_string(TEXT("\"a\\n\"")));
    assert_false(json_is_plain_string(TEXT("\"a\n\"")));
    assert_false(json_is_plain_string(TEXT("\"\xff\"")));
    assert_false(json_is_plain_string(TEXT("\"a\0b\"")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_objects_are_seen),
        cmocka_unit_test(what_is_none_is_not),
        cmocka_unit_test(the_parser_takes_whatever_is_plain),
        cmocka_unit_test(plain_strings_are_what_stands_between_their_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
