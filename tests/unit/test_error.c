/* Statuses, kinds and error texts. */
#include "base/text.h"
#include "heddle/error.h"
#include "heddle/operation.h"
#include "heddle/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    enum heddle_kind kind;
    const char *name;
    int code;
} kinds[] = {
    {HEDDLE_KIND_NONE, "none", 200},           {HEDDLE_KIND_INVALID, "invalid", 400},
    {HEDDLE_KIND_FORBIDDEN, "forbidden", 403}, {HEDDLE_KIND_NOT_FOUND, "not_found", 404},
    {HEDDLE_KIND_CONFLICT, "conflict", 409},   {HEDDLE_KIND_EXPIRED, "expired", 410},
    {HEDDLE_KIND_TOO_LARGE, "too_large", 413}, {HEDDLE_KIND_CANCELLED, "cancelled", 499},
    {HEDDLE_KIND_INTERNAL, "internal", 500},
};

static void kinds_have_the_names_and_codes_of_the_contract(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_string_equal(heddle_kind_name(kinds[i].kind), kinds[i].name);
        assert_int_equal(heddle_kind_code(kinds[i].kind), kinds[i].code);
        assert_int_equal(heddle_kind_from_name(kinds[i].name), kinds[i].kind);
    }
    assert_int_equal(heddle_kind_from_name("no such kind"), HEDDLE_KIND_INTERNAL);
    assert_int_equal(heddle_kind_from_name(""), HEDDLE_KIND_INTERNAL);
}

static void statuses_and_ends_have_names(void **state)
{
    (void)state;
    assert_string_equal(heddle_status_name(HEDDLE_OK), "ok");
    assert_string_equal(heddle_status_name(HEDDLE_RETRY), "retry");
    assert_string_equal(heddle_status_name(HEDDLE_REFUSED), "refused");
    assert_string_equal(heddle_status_name(HEDDLE_PERMANENT), "permanent");
    assert_string_equal(heddle_status_name(HEDDLE_UNKNOWN), "unknown");
    assert_string_equal(heddle_status_name(HEDDLE_FATAL), "fatal");
    assert_string_equal(heddle_end_name(HEDDLE_END_NONE), "running");
    assert_string_equal(heddle_end_name(HEDDLE_END_DONE), "done");
    assert_string_equal(heddle_end_name(HEDDLE_END_FAILED), "failed");
    assert_string_equal(heddle_end_name(HEDDLE_END_DEAD), "dead");
    assert_string_equal(heddle_end_name(HEDDLE_END_CANCELLED), "cancelled");
    assert_string_equal(heddle_version(), HEDDLE_VERSION);
}

static void a_failure_fills_the_error_and_returns_its_status(void **state)
{
    struct heddle_error err = {.kind = HEDDLE_KIND_NONE, .sqlstate = "23505"};

    (void)state;
    assert_int_equal(heddle_fail(&err, HEDDLE_RETRY, "connect", "no route to %s", "host"),
                     HEDDLE_RETRY);
    assert_int_equal(err.kind, HEDDLE_KIND_INTERNAL);
    assert_string_equal(err.where, "connect");
    assert_string_equal(err.text, "no route to host");
    /* An old cause does not stick to a new error. */
    assert_string_equal(err.sqlstate, "");
    assert_int_equal(heddle_fail(NULL, HEDDLE_FATAL, "x", "%d", 1), HEDDLE_FATAL);
}

static void a_refusal_carries_its_kind(void **state)
{
    struct heddle_error err = {.where = "connect", .sqlstate = "40001"};

    (void)state;
    assert_int_equal(heddle_refuse(&err, HEDDLE_KIND_NOT_FOUND, "no %s", "thread"), HEDDLE_REFUSED);
    assert_int_equal(err.kind, HEDDLE_KIND_NOT_FOUND);
    assert_string_equal(err.text, "no thread");
    assert_string_equal(err.where, "");
    assert_string_equal(err.sqlstate, "");
    assert_int_equal(heddle_refuse(NULL, HEDDLE_KIND_INVALID, "x"), HEDDLE_REFUSED);
}

static void a_text_that_does_not_fit_is_cut_at_a_character(void **state)
{
    struct heddle_error err;
    char lot[2000];

    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        memset(lot, 'x', shift);
        lot[shift] = '\0';
        for (size_t i = 0; i < 300; i++)
            strcat(lot, "🙂");
        (void)heddle_fail(&err, HEDDLE_RETRY, "w", "%s", lot);
        size_t size = strlen(err.text);
        assert_in_range(size, sizeof err.text - 5, sizeof err.text - 1);
        assert_true(text_is_utf8(err.text, size));
        assert_memory_equal(err.text, lot, size);
    }
    memset(lot, 'w', sizeof lot - 1);
    lot[sizeof lot - 1] = '\0';
    (void)heddle_fail(&err, HEDDLE_RETRY, lot, "x");
    assert_int_equal(strlen(err.where), sizeof err.where - 1);
}

static void a_text_is_one_line_of_utf8_whatever_a_server_says(void **state)
{
    struct heddle_error err;

    (void)state;
    (void)heddle_fail(&err, HEDDLE_RETRY, "w", "FATAL:\tno\r\n\x1b[31m%s\n", "\xFF\xC3(");
    assert_string_equal(err.text, "FATAL: no   [31m?"
                                  "?(");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_have_the_names_and_codes_of_the_contract),
        cmocka_unit_test(statuses_and_ends_have_names),
        cmocka_unit_test(a_failure_fills_the_error_and_returns_its_status),
        cmocka_unit_test(a_refusal_carries_its_kind),
        cmocka_unit_test(a_text_that_does_not_fit_is_cut_at_a_character),
        cmocka_unit_test(a_text_is_one_line_of_utf8_whatever_a_server_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
