/* Text as bytes: UTF-8, lines, numbers and durations. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define UNTOUCHED INT64_C(-4711)

typedef bool parse_function(const char *string, int64_t *value);

static void assert_parsed(parse_function *parse, const char *string, int64_t expected)
{
    int64_t value = UNTOUCHED;

    if (!parse(string, &value))
        fail_msg("'%s' was refused", string);
    assert_int_equal(value, expected);
}

static void assert_refused(parse_function *parse, const char *string)
{
    int64_t value = UNTOUCHED;

    if (parse(string, &value))
        fail_msg("'%s' was taken for %lld", string, (long long)value);
    assert_int_equal(value, UNTOUCHED);
}

/* Writes the code point as UTF-8 would, were it allowed; returns its bytes. */
static size_t encode(uint32_t point, char bytes[4])
{
    if (point < 0x80) {
        bytes[0] = (char)point;
        return 1;
    }
    size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size - 1; i > 0; i--, point >>= 6)
        bytes[i] = (char)(0x80 | (point & 0x3F));
    bytes[0] = (char)(marks[size] | point);
    return size;
}

static void texts_over_literals_and_strings_agree(void **state)
{
    (void)state;
    assert_true(text_equal(TEXT("lane"), text_of("lane")));
    assert_false(text_equal(TEXT("lane"), TEXT("lan")));
    assert_false(text_equal(TEXT("lane"), TEXT("lame")));
    assert_true(text_equal(TEXT(""), text_of(NULL)));
    assert_int_equal(text_of(NULL).size, 0);
    assert_string_equal(text_of(NULL).data, "");
}

static void every_code_point_but_nul_and_surrogates_is_utf8(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        char bytes[4];
        size_t size = encode(point, bytes);
        bool is_fit = point != 0 && point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
        if (text_is_utf8(bytes, size) != is_fit)
            fail_msg("U+%04X", point);
    }
}

static void every_pair_of_bytes_is_judged_as_rfc_3629_does(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            const char bytes[] = {(char)a, (char)b};
            bool is_ascii = a > 0 && a < 0x80 && b > 0 && b < 0x80;
            bool is_character = a >= 0xC2 && a <= 0xDF && b >= 0x80 && b <= 0xBF;
            if (text_is_utf8(bytes, 2) != (is_ascii || is_character))
                fail_msg("%02x %02x", a, b);
        }
}

static void broken_utf8_is_refused(void **state)
{
    static const char *const broken[] = {"\xC0\x80",
                                         "\xC1\xBF",
                                         "\xE0\x80\x80",
                                         "\xE0\x9F\xBF",
                                         "\xED\xA0\x80",
                                         "\xED\xBF\xBF",
                                         "\xF0\x80\x80\x80",
                                         "\xF0\x8F\xBF\xBF",
                                         "\xF4\x90\x80\x80",
                                         "\xF5\x80\x80\x80",
                                         "\xFF",
                                         "\x80",
                                         "a\xC3",
                                         "\xE2\x82",
                                         "\xF0\x9F\x99",
                                         "\xE2\x28\xA1",
                                         "\xF0\x9F\x28\x82",
                                         "\xC3\xA9\xA9",
                                         NULL};

    (void)state;
    for (size_t i = 0; broken[i]; i++)
        if (text_is_utf8(broken[i], strlen(broken[i])))
            fail_msg("broken text %zu was taken", i);
    assert_false(text_is_utf8("a\0b", 3));
    assert_true(text_is_utf8("", 0));
    /* Nothing behind `size` is read. */
    assert_false(text_is_utf8("\xC3\xA9", 1));
}

static void assert_line(const char *before, const char *after)
{
    char line[64];

    snprintf(line, sizeof line, "%s", before);
    text_make_line(line);
    assert_string_equal(line, after);
}

static void a_line_has_no_control_characters_and_no_blanks_at_its_end(void **state)
{
    (void)state;
    assert_line("", "");
    assert_line("one line", "one line");
    assert_line("ERROR:  no\n\tsuch\r\nthing\n", "ERROR:  no  such  thing");
    assert_line("a\x1b[31mb\x7f"
                "c",
                "a [31mb c");
    assert_line(" \n ", "");
    assert_line("Grüße, 世界 🙂", "Grüße, 世界 🙂");
}

static void a_line_is_valid_utf8_whatever_it_was(void **state)
{
    (void)state;
    assert_line("a\xFFz", "a?z");
    assert_line("a\xC3(z", "a?(z");
    assert_line("\xED\xA0\x80z", "???z");
    /* A character that was cut at the end is dropped, not marked. */
    assert_line("caf\xC3", "caf");
    assert_line("euro \xE2\x82", "euro");
    assert_line("face \xF0\x9F\x99", "face");
    for (unsigned seed = 1; seed < 20000; seed++) {
        char line[12];
        uint32_t random = seed * 2654435761u;
        for (size_t i = 0; i + 1 < sizeof line; i++, random = random * 1664525u + 1013904223u)
            line[i] = (char)(random >> 24);
        line[sizeof line - 1] = '\0';
        text_make_line(line);
        assert_true(text_is_utf8(line, strlen(line)));
        for (const char *c = line; *c; c++)
            assert_false((unsigned char)*c < 0x20 || *c == 0x7F);
    }
}

static void integers_are_whole_and_alone(void **state)
{
    (void)state;
    assert_parsed(text_parse_integer, "0", 0);
    assert_parsed(text_parse_integer, "-1", -1);
    assert_parsed(text_parse_integer, "9223372036854775807", INT64_MAX);
    assert_parsed(text_parse_integer, "-9223372036854775808", INT64_MIN);
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e3",
                                      "0x10",
                                      "--1",
                                      "1s",
                                      "a",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      NULL};
    for (size_t i = 0; bad[i]; i++)
        assert_refused(text_parse_integer, bad[i]);
}

static void a_time_is_of_rfc_3339(void **state)
{
    static const char *const bad[] = {
        "",
        "now",
        "2030-01-31",
        "2030-01-31T09:00:00",
        "2030-01-31 09:00:00Z",
        "2030-01-31T09:00:00Zx",
        "2030-01-31T09:00:00+1:00",
        "2030-01-31T09:00:00+0100",
        "2030-13-31T09:00:00Z",
        "2030-01-31T25:00:00Z",
        "1893488400",
    };

    (void)state;
    assert_parsed(text_parse_time_us, "1970-01-01T00:00:00Z", 0);
    assert_parsed(text_parse_time_us, "2030-01-31T09:00:00Z", INT64_C(1896080400000000));
    assert_parsed(text_parse_time_us, "2030-01-31T09:00:00.25Z", INT64_C(1896080400250000));
    assert_parsed(text_parse_time_us, "2030-01-31T10:00:00+01:00", INT64_C(1896080400000000));
    assert_parsed(text_parse_time_us, "2030-01-31T05:30:00-03:30", INT64_C(1896080400000000));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(text_parse_time_us, bad[i]);
}

static void a_positive_number_is_digits_within_a_bound(void **state)
{
    static const char *const bad[] = {
        "", "0", "00", "-1", "+1", " 1", "1 ", "101", "99999999999999999999"};
    int64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(text_parse_positive(text_of(bad[i]), 100, &value));
    assert_int_equal(value, 7);
    assert_true(text_parse_positive(text_of("100"), 100, &value));
    assert_int_equal(value, 100);
    assert_true(text_parse_positive(text_of("9223372036854775807"), INT64_MAX, &value));
    assert_false(text_parse_positive(text_of("9223372036854775808"), INT64_MAX, &value));
}

static void a_duration_takes_a_unit(void **state)
{
    (void)state;
    assert_parsed(text_parse_duration_us, "7us", 7);
    assert_parsed(text_parse_duration_us, "250ms", 250000);
    assert_parsed(text_parse_duration_us, "5s", 5000000);
    assert_parsed(text_parse_duration_us, "1m", 60000000);
    assert_parsed(text_parse_duration_us, "2h", INT64_C(7200000000));
    assert_parsed(text_parse_duration_us, "30d", INT64_C(2592000000000));
    static const char *const bad[] = {"5",    "",     "s",   "5 s",           "5S", "5min", "1m30s",
                                      "5.5s", "0x5s", "5ss", "999999999999d", NULL};
    for (size_t i = 0; bad[i]; i++)
        assert_refused(text_parse_duration_us, bad[i]);
}

static void bytes_may_have_a_unit(void **state)
{
    (void)state;
    assert_parsed(text_parse_bytes, "512", 512);
    assert_parsed(text_parse_bytes, "4KiB", 4096);
    assert_parsed(text_parse_bytes, "1MiB", 1048576);
    assert_parsed(text_parse_bytes, "2GiB", INT64_C(2147483648));
    static const char *const bad[] = {"", "KiB", "4kb", "4KB", "4 KiB", "8589934592GiB", NULL};
    for (size_t i = 0; bad[i]; i++)
        assert_refused(text_parse_bytes, bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_over_literals_and_strings_agree),
        cmocka_unit_test(every_code_point_but_nul_and_surrogates_is_utf8),
        cmocka_unit_test(every_pair_of_bytes_is_judged_as_rfc_3629_does),
        cmocka_unit_test(broken_utf8_is_refused),
        cmocka_unit_test(a_line_has_no_control_characters_and_no_blanks_at_its_end),
        cmocka_unit_test(a_line_is_valid_utf8_whatever_it_was),
        cmocka_unit_test(integers_are_whole_and_alone),
        cmocka_unit_test(a_duration_takes_a_unit),
        cmocka_unit_test(a_time_is_of_rfc_3339),
        cmocka_unit_test(a_positive_number_is_digits_within_a_bound),
        cmocka_unit_test(bytes_may_have_a_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
