/* The configuration engine: strength of sources, the one line of each error, units, secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/settings.h"

struct values {
    const char *name;
    int64_t count;
    int64_t pause_ms;
    int64_t size_bytes;
    bool is_loud;
    int colour;
    const char *api_key;
    const char *address;
    const char *elsewhere;
};

static const char *const colours[] = {"red", "green", NULL};

#define UNKNOWN "no such setting; `heddle config` lists what is allowed"
#define AT(field) .offset = offsetof(struct values, field)

static const struct setting table[] = {
    {"name", SETTING_TEXT, AT(name), .standard = "nobody", .least = 1, .most = 8},
    {"count", SETTING_INTEGER, AT(count), .standard = "3", .least = -1, .most = 9},
    {"long_pause", SETTING_DURATION, AT(pause_ms), .standard = "2s", .most = 90000},
    {"size", SETTING_BYTES, AT(size_bytes), .standard = "1KiB", .least = 1, .most = 1 << 20},
    {"loud", SETTING_BOOLEAN, AT(is_loud), .standard = "false"},
    {"colour", SETTING_CHOICE, AT(colour), .standard = "red", .choices = colours},
    {"api_key", SETTING_TEXT, SETTING_SECRET, AT(api_key), .standard = "", .most = 20},
    {"address", SETTING_TEXT, SETTING_ADDRESS, AT(address), .standard = "", .most = 999},
    {"not_in_file", SETTING_TEXT, SETTING_NOT_IN_FILE, AT(elsewhere), .standard = "", .most = 9},
    {0},
};

struct fixture {
    struct settings *settings;
    struct values values;
    struct heddle_error err;
    char path[32];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->settings = settings_new(table, &fixture->values);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    settings_free(fixture->settings);
    if (*fixture->path)
        unlink(fixture->path);
    free(fixture);
    return 0;
}

static const struct setting *row(const char *key)
{
    const struct setting *found = settings_find(table, key);
    assert_non_null(found);
    return found;
}

static heddle_status set(struct fixture *fixture, const char *key, const char *text)
{
    char origin[64];
    snprintf(origin, sizeof origin, "flag --%s", key);
    return settings_set(fixture->settings, row(key), text, SETTING_FROM_FLAG, origin,
                        &fixture->err);
}

static heddle_status read_text(struct fixture *fixture, const char *text)
{
    if (!*fixture->path) {
        strcpy(fixture->path, "/tmp/test-settings-XXXXXX");
        int file = mkstemp(fixture->path);
        assert_true(file >= 0);
        close(file);
    }
    FILE *file = fopen(fixture->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return settings_read_file(fixture->settings, fixture->path, &fixture->err);
}

static heddle_status read_environment(struct fixture *fixture, const char *variable)
{
    char other[] = "PATH=/bin", near[] = "HEDDLEX=1", copy[64];
    char *const environment[] = {other, copy, near, NULL};
    snprintf(copy, sizeof copy, "%s", variable);
    return settings_read_environment(fixture->settings, environment, &fixture->err);
}

static const char *shown(struct fixture *fixture, const char *key)
{
    static char buffer[128];
    return settings_show(fixture->settings, row(key), buffer, sizeof buffer);
}

static void assert_refused(struct fixture *fixture, const char *key, const char *text,
                           const char *allowed)
{
    char line[200];
    snprintf(line, sizeof line, "%s = %s (flag --%s): %s", key, text, key, allowed);
    assert_int_equal(set(fixture, key, text), HEDDLE_FATAL);
    assert_string_equal(fixture->err.text, line);
}

/* The error of a file starts with its name, which differs from run to run. */
static void assert_file_refused(struct fixture *fixture, const char *text, const char *format)
{
    char line[400];
    assert_int_equal(read_text(fixture, text), HEDDLE_FATAL);
    const char *place = strstr(format, "FILE");
    assert_non_null(place);
    snprintf(line, sizeof line, "%.*s%s%s", (int)(place - format), format, fixture->path,
             place + 4);
    assert_string_equal(fixture->err.text, line);
}

static void defaults_are_there_from_the_start(void **state)
{
    const struct fixture *fixture = *state;
    assert_string_equal(fixture->values.name, "nobody");
    assert_int_equal(fixture->values.count, 3);
    assert_int_equal(fixture->values.pause_ms, 2000);
    assert_int_equal(fixture->values.size_bytes, 1024);
    assert_false(fixture->values.is_loud);
    assert_int_equal(fixture->values.colour, 0);
    assert_string_equal(settings_origin(fixture->settings, row("count")), "default");
}

static void the_stronger_source_wins_in_whatever_order(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(set(fixture, "count", "7"), HEDDLE_OK);
    assert_int_equal(read_environment(fixture, "HEDDLE_COUNT=6"), HEDDLE_OK);
    assert_int_equal(read_text(fixture, "count = 5\nlong_pause = 5s\nname = file\n"), HEDDLE_OK);
    assert_int_equal(read_environment(fixture, "HEDDLE_LONG_PAUSE=6s"), HEDDLE_OK);

    assert_int_equal(fixture->values.count, 7);
    assert_string_equal(settings_origin(fixture->settings, row("count")), "flag --count");
    assert_int_equal(fixture->values.pause_ms, 6000);
    assert_string_equal(settings_origin(fixture->settings, row("long_pause")),
                        "environment HEDDLE_LONG_PAUSE");
    assert_string_equal(fixture->values.name, "file");
    assert_non_null(strstr(settings_origin(fixture->settings, row("name")), " line 3"));
    assert_int_equal(fixture->values.size_bytes, 1024);
}

static void a_bad_value_is_refused_even_where_a_stronger_one_is_there(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(set(fixture, "count", "7"), HEDDLE_OK);
    assert_int_equal(read_environment(fixture, "HEDDLE_COUNT=x"), HEDDLE_FATAL);
    assert_int_equal(fixture->values.count, 7);
}

static void a_refused_value_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    for (const struct setting *each = table; each->key; each++)
        assert_int_equal(set(fixture, each->key, "\xff"), HEDDLE_FATAL);
    defaults_are_there_from_the_start(state);
}

static void a_key_may_be_written_with_hyphens(void **state)
{
    (void)state;
    assert_ptr_equal(settings_find(table, "long-pause"), settings_find(table, "long_pause"));
    assert_null(settings_find(table, "long"));
    assert_null(settings_find(table, "long-pauses"));
    assert_null(settings_find(table, ""));
}

static void integers_are_whole_and_within_their_range(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {"10", "-2", "", "1.5", "0x1", " 1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(fixture, "count", bad[i], "allowed is -1 to 9");
    assert_int_equal(set(fixture, "count", "-1"), HEDDLE_OK);
    assert_int_equal(fixture->values.count, -1);
}

static void durations_have_a_unit_and_whole_milliseconds(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {"5", "5 s", "91s", "-1s", "1500us", "s", "5S", "5sec"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(fixture, "long_pause", bad[i],
                       "allowed is 0ms to 90s, with its unit (ms, s, m, h, d)");
    assert_int_equal(set(fixture, "long_pause", "1m"), HEDDLE_OK);
    assert_int_equal(fixture->values.pause_ms, 60000);
    assert_int_equal(set(fixture, "long_pause", "3000us"), HEDDLE_OK);
    assert_int_equal(fixture->values.pause_ms, 3);
}

static void sizes_may_have_a_unit(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {"2MiB", "0", "1kb", "1 KiB", "KiB"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(fixture, "size", bad[i],
                       "allowed is 1 to 1MiB (bytes, or with KiB, MiB, GiB)");
    assert_int_equal(set(fixture, "size", "1MiB"), HEDDLE_OK);
    assert_int_equal(fixture->values.size_bytes, 1 << 20);
    assert_int_equal(set(fixture, "size", "77"), HEDDLE_OK);
    assert_int_equal(fixture->values.size_bytes, 77);
}

static void booleans_and_choices_are_words(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "loud", "yes", "allowed is true or false");
    assert_refused(fixture, "loud", "True", "allowed is true or false");
    assert_refused(fixture, "colour", "blue", "allowed is red | green");
    assert_int_equal(set(fixture, "loud", "true"), HEDDLE_OK);
    assert_true(fixture->values.is_loud);
    assert_int_equal(set(fixture, "colour", "green"), HEDDLE_OK);
    assert_int_equal(fixture->values.colour, 1);
}

static void texts_have_a_size_and_are_utf8(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "name", "", "allowed is UTF-8 text of 1 to 8 bytes");
    assert_refused(fixture, "name", "123456789", "allowed is UTF-8 text of 1 to 8 bytes");
    assert_int_equal(set(fixture, "name", "\xff"), HEDDLE_FATAL);
    assert_string_equal(fixture->values.name, "nobody");
    assert_int_equal(set(fixture, "name", "zw\xc3\xb6lf"), HEDDLE_OK);
}

static void a_refusal_is_one_line_of_bounded_length(void **state)
{
    struct fixture *fixture = *state;
    char value[4000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    memcpy(value, "a\nb\rc\x1b", 6);
    assert_int_equal(set(fixture, "count", value), HEDDLE_FATAL);
    assert_null(strpbrk(fixture->err.text, "\n\r\x1b"));
    assert_non_null(strstr(fixture->err.text, "allowed is -1 to 9"));
}

static void the_environment_has_no_unknown_keys(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(read_environment(fixture, "HEDDLE_COUNTS=1"), HEDDLE_FATAL);
    assert_string_equal(fixture->err.text, "HEDDLE_COUNTS = 1 (environment): " UNKNOWN);
    assert_int_equal(read_environment(fixture, "HEDDLE_Count=1"), HEDDLE_FATAL);
    assert_int_equal(read_environment(fixture, "HEDDLE_=1"), HEDDLE_FATAL);
    assert_int_equal(read_environment(fixture, "HEDDLE_COUNT=x"), HEDDLE_FATAL);
    assert_string_equal(fixture->err.text,
                        "count = x (environment HEDDLE_COUNT): allowed is -1 to 9");
    assert_int_equal(read_environment(fixture, "HEDDLE_NOT_IN_FILE=x"), HEDDLE_OK);
}

static void a_file_has_pairs_comments_and_one_section(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(read_text(fixture, "# a comment\n; another\n\nname=a b ; and one more\n"
                                        "[heddle]\n   count  =  4\nloud = true"),
                     HEDDLE_OK);
    assert_string_equal(fixture->values.name, "a b");
    assert_int_equal(fixture->values.count, 4);
    assert_true(fixture->values.is_loud);
}

static void a_file_is_refused_with_the_place(void **state)
{
    struct fixture *fixture = *state;
    assert_file_refused(fixture, "\ncount = 77\n", "count = 77 (FILE line 2): allowed is -1 to 9");
    assert_file_refused(fixture, "counts = 1\n", "counts = 1 (FILE line 1): " UNKNOWN);
    assert_file_refused(fixture, "long-pause = 1s\n", "long-pause = 1s (FILE line 1): " UNKNOWN);
    assert_file_refused(fixture, "not_in_file = 1\n", "not_in_file = 1 (FILE line 1): " UNKNOWN);
    assert_file_refused(fixture, "[other]\ncount = 1\n",
                        "count = 1 (FILE line 2 in section other): " UNKNOWN);
    assert_file_refused(fixture, "count = 1\n  count = 2\n",
                        "count = 2 (FILE line 2): allowed is one value, and this is the second");
    assert_file_refused(fixture, "name = x\nnonsense\n",
                        "FILE line 2: allowed is `key = value`, [heddle], or a comment after ; "
                        "or #");
}

static void a_long_line_is_read_whole(void **state)
{
    struct fixture *fixture = *state;
    char text[1000], value[900];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    snprintf(text, sizeof text, "count = 4\naddress = %s ; long\nsize = 2KiB", value);
    assert_int_equal(read_text(fixture, text), HEDDLE_OK);
    assert_string_equal(fixture->values.address, value);
    assert_int_equal(fixture->values.size_bytes, 2048);
}

static void a_file_of_any_bytes_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const size_t size = 300 << 10;
    char *text = malloc(size);
    memset(text, '\n', size);
    text[size - 1] = '\0';
    assert_file_refused(fixture, text, "config = FILE: allowed is a file of 256 KiB at most");
    free(text);
    FILE *file = fopen(fixture->path, "w");
    fwrite("count = 1\nname = x\0y", 1, 20, file);
    fclose(file);
    assert_int_equal(settings_read_file(fixture->settings, fixture->path, &fixture->err),
                     HEDDLE_FATAL);
    assert_non_null(strstr(fixture->err.text, " line 2: a NUL is not allowed"));
}

static void a_file_that_is_not_there_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(settings_read_file(fixture->settings, "/nonexistent/file", &fixture->err),
                     HEDDLE_FATAL);
    assert_string_equal(fixture->err.text, "config = /nonexistent/file (No such file or "
                                           "directory): allowed is a file that can be read");
    assert_int_equal(settings_read_file(fixture->settings, "/tmp", &fixture->err), HEDDLE_FATAL);
}

static void secrets_are_masked(void **state)
{
    struct fixture *fixture = *state;
    assert_string_equal(shown(fixture, "api_key"), "");
    assert_int_equal(set(fixture, "api_key", "s3cret"), HEDDLE_OK);
    assert_string_equal(fixture->values.api_key, "s3cret");
    assert_string_equal(shown(fixture, "api_key"), "********");
    assert_int_equal(set(fixture, "api_key", "s3cret that is too long to fit"), HEDDLE_FATAL);
    assert_null(strstr(fixture->err.text, "s3cret"));
    /* Misspelt, it is still one. */
    assert_int_equal(read_environment(fixture, "HEDDLE_APIKEY=s3cret"), HEDDLE_FATAL);
    assert_null(strstr(fixture->err.text, "s3cret"));
    assert_int_equal(read_text(fixture, "api_key = a\napi_key = s3cret\n"), HEDDLE_FATAL);
    assert_null(strstr(fixture->err.text, "s3cret"));
}

static void passwords_in_addresses_are_masked(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(set(fixture, "address", "redis://me:s3cret@host:1/2"), HEDDLE_OK);
    assert_string_equal(shown(fixture, "address"), "redis://me:********@host:1/2");
}

static void a_rule_between_settings_names_value_and_origin(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(set(fixture, "count", "4"), HEDDLE_OK);
    assert_int_equal(
        settings_refuse(fixture->settings, "count", &fixture->err, "must be %s", "odd"),
        HEDDLE_FATAL);
    assert_string_equal(fixture->err.text, "count = 4 (flag --count): must be odd");
    assert_string_equal(fixture->err.where, "configuration");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(defaults_are_there_from_the_start),
        TEST(the_stronger_source_wins_in_whatever_order),
        TEST(a_bad_value_is_refused_even_where_a_stronger_one_is_there),
        TEST(a_refused_value_changes_nothing),
        TEST(a_key_may_be_written_with_hyphens),
        TEST(integers_are_whole_and_within_their_range),
        TEST(durations_have_a_unit_and_whole_milliseconds),
        TEST(sizes_may_have_a_unit),
        TEST(booleans_and_choices_are_words),
        TEST(texts_have_a_size_and_are_utf8),
        TEST(a_refusal_is_one_line_of_bounded_length),
        TEST(the_environment_has_no_unknown_keys),
        TEST(a_file_has_pairs_comments_and_one_section),
        TEST(a_file_is_refused_with_the_place),
        TEST(a_long_line_is_read_whole),
        TEST(a_file_of_any_bytes_is_refused),
        TEST(a_file_that_is_not_there_is_refused),
        TEST(secrets_are_masked),
        TEST(passwords_in_addresses_are_masked),
        TEST(a_rule_between_settings_names_value_and_origin),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
