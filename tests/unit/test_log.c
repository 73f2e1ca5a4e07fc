/* Log lines, as they arrive on stderr. */
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

enum { CAPTURE_BYTES_MAX = 1 << 20 };

static char captured[CAPTURE_BYTES_MAX];
static int stderr_kept = -1, capture_file = -1;

/* What is logged goes to a file until capture_end, which returns it. */
static void capture_begin(void)
{
    char path[] = "/tmp/heddle-log-XXXXXX";

    capture_file = mkstemp(path);
    assert_true(capture_file >= 0);
    unlink(path);
    stderr_kept = dup(STDERR_FILENO);
    assert_true(dup2(capture_file, STDERR_FILENO) >= 0);
}

static const char *capture_end(void)
{
    dup2(stderr_kept, STDERR_FILENO);
    close(stderr_kept);
    ssize_t size = pread(capture_file, captured, sizeof captured - 1, 0);
    assert_true(size >= 0);
    captured[size] = '\0';
    close(capture_file);
    return captured;
}

static int restore(void **state)
{
    (void)state;
    log_configure(HEDDLE_LOG_INFO, LOG_FORMAT_TEXT);
    return 0;
}

static void a_line_is_time_level_event_and_fields(void **state)
{
    int year, rest;

    (void)state;
    capture_begin();
    heddle_log(HEDDLE_LOG_WARNING, "commit_unknown", "id=%s attempt=%d", "x", 3);
    const char *line = capture_end();
    assert_int_equal(sscanf(line, "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ %n", &year, &rest), 1);
    assert_in_range(year, 2024, 2200);
    assert_string_equal(line + rest, "warning commit_unknown id=x attempt=3\n");
}

static void a_line_without_fields_ends_behind_its_event(void **state)
{
    (void)state;
    capture_begin();
    heddle_log(HEDDLE_LOG_ERROR, "stopped", "%s", "");
    assert_non_null(strstr(capture_end(), " error stopped\n"));
}

static void levels_below_the_least_are_not_written(void **state)
{
    (void)state;
    log_configure(HEDDLE_LOG_WARNING, LOG_FORMAT_TEXT);
    assert_false(heddle_log_enabled(HEDDLE_LOG_DEBUG));
    assert_false(heddle_log_enabled(HEDDLE_LOG_INFO));
    assert_true(heddle_log_enabled(HEDDLE_LOG_WARNING));
    assert_true(heddle_log_enabled(HEDDLE_LOG_ERROR));
    capture_begin();
    heddle_log(HEDDLE_LOG_INFO, "quiet", "n=%d", 1);
    assert_string_equal(capture_end(), "");
}

static void values_are_quoted_where_they_would_break_a_line(void **state)
{
    char buffer[300];
    const char *plain = "plain-value:1";

    (void)state;
    assert_ptr_equal(log_quote(plain, buffer, sizeof buffer), plain);
    assert_string_equal(log_quote("", buffer, sizeof buffer), "\"\"");
    assert_string_equal(log_quote("two words", buffer, sizeof buffer), "\"two words\"");
    assert_string_equal(log_quote("a=b", buffer, sizeof buffer), "\"a=b\"");
    assert_string_equal(log_quote("a\"b\\c", buffer, sizeof buffer), "\"a\\\"b\\\\c\"");
    assert_string_equal(log_quote("a\nb\tc", buffer, sizeof buffer), "\"a b c\"");
}

/* A user's name may hold any character but NUL. */
static void no_control_character_reaches_the_log(void **state)
{
    char buffer[300], value[] = "a?b";

    (void)state;
    for (int c = 1; c < 0x20; c++) {
        value[1] = (char)c;
        assert_string_equal(log_quote(value, buffer, sizeof buffer), "\"a b\"");
    }
    assert_string_equal(log_quote("a\x7f"
                                  "b",
                                  buffer, sizeof buffer),
                        "\"a b\"");
}

static void what_does_not_fit_a_quote_is_cut(void **state)
{
    char buffer[16], lot[1000];

    (void)state;
    memset(lot, '"', sizeof lot - 1);
    lot[sizeof lot - 1] = '\0';
    const char *quoted = log_quote(lot, buffer, sizeof buffer);
    assert_in_range(strlen(quoted), 2, sizeof buffer - 1);
    assert_int_equal(quoted[strlen(quoted) - 1], '"');
    for (size_t shift = 0; shift < 4; shift++) {
        snprintf(lot, sizeof lot, "%.*s 🙂🙂🙂🙂🙂🙂", (int)shift, "xxx");
        quoted = log_quote(lot, buffer, sizeof buffer);
        assert_true(text_is_utf8(quoted, strlen(quoted)));
    }
}

static json_t *log_json(const char *fields, const char *value)
{
    json_error_t problem;

    log_configure(HEDDLE_LOG_INFO, LOG_FORMAT_JSON);
    capture_begin();
    heddle_log(HEDDLE_LOG_INFO, "event", "id=%s text=%s", fields, LOG_TEXT(value));
    const char *line = capture_end();
    assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
    json_t *object = json_loads(line, 0, &problem);
    if (!object)
        fail_msg("not JSON: %s in %s", problem.text, line);
    return object;
}

static void assert_member(const json_t *object, const char *member, const char *expected)
{
    const char *value = json_string_value(json_object_get(object, member));

    assert_non_null(value);
    assert_string_equal(value, expected);
}

static void a_json_line_holds_the_same_as_members(void **state)
{
    (void)state;
    json_t *object = log_json("42", "say \"hi\" to c:\\d = 世界");
    assert_member(object, "level", "info");
    assert_member(object, "event", "event");
    assert_member(object, "id", "42");
    assert_member(object, "text", "say \"hi\" to c:\\d = 世界");
    assert_non_null(json_string_value(json_object_get(object, "time")));
    json_decref(object);
}

static void a_long_value_leaves_a_json_line_whole(void **state)
{
    char lot[600];

    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        snprintf(lot, sizeof lot, "%.*s ", (int)shift, "xxx");
        while (strlen(lot) + 4 < sizeof lot)
            strcat(lot, "🙂");
        json_t *object = log_json("42", lot);
        const char *text = json_string_value(json_object_get(object, "text"));
        assert_non_null(text);
        assert_true(strlen(text) > 250);
        assert_memory_equal(text, lot, strlen(text));
        json_decref(object);
    }
}

/* A line is one write, so a cut one is still one line of JSON. */
static void a_line_with_too_much_is_still_one_line(void **state)
{
    static const enum log_format formats[] = {LOG_FORMAT_TEXT, LOG_FORMAT_JSON};
    char lot[8000];

    (void)state;
    memset(lot, 'x', sizeof lot - 1);
    lot[sizeof lot - 1] = '\0';
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        log_configure(HEDDLE_LOG_INFO, formats[i]);
        capture_begin();
        heddle_log(HEDDLE_LOG_INFO, "event", "a=%s b=%s", lot, lot);
        const char *line = capture_end();
        assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
        if (formats[i] == LOG_FORMAT_JSON) {
            json_t *object = json_loads(line, 0, NULL);
            assert_non_null(object);
            json_decref(object);
        }
    }
}

enum { WRITERS = 4, LINES = 500 };

static void *write_lines(void *argument)
{
    for (int i = 0; i < LINES; i++)
        heddle_log(HEDDLE_LOG_INFO, "line", "writer=%d n=%d end=%s", *(int *)argument, i, "END");
    return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    pthread_t threads[WRITERS];
    int numbers[WRITERS], lines = 0;

    (void)state;
    capture_begin();
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, write_lines, &numbers[i]);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    char *text = (char *)(uintptr_t)capture_end(), *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int writer, n, end = 0;
        assert_int_equal(sscanf(line, "%*s info line writer=%d n=%d end=END%n", &writer, &n, &end),
                         2);
        assert_int_equal(end, strlen(line));
        lines++;
    }
    assert_int_equal(lines, WRITERS * LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_line_is_time_level_event_and_fields, restore),
        cmocka_unit_test_teardown(a_line_without_fields_ends_behind_its_event, restore),
        cmocka_unit_test_teardown(levels_below_the_least_are_not_written, restore),
        cmocka_unit_test(values_are_quoted_where_they_would_break_a_line),
        cmocka_unit_test(no_control_character_reaches_the_log),
        cmocka_unit_test(what_does_not_fit_a_quote_is_cut),
        cmocka_unit_test_teardown(a_json_line_holds_the_same_as_members, restore),
        cmocka_unit_test_teardown(a_long_value_leaves_a_json_line_whole, restore),
        cmocka_unit_test_teardown(a_line_with_too_much_is_still_one_line, restore),
        cmocka_unit_test_teardown(lines_of_several_threads_do_not_mix, restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
