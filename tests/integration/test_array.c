/* Arrays as parameters, as Postgres reads them. */
#include "fixture.h"

#include "base/array.h"
#include "ledger/uow.h"
#include "link/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 20000 };

static struct arena arena;
static struct pg_link *link;

static int set_up(void **state)
{
    struct pg_options options = fixture_pg_options("arrays");

    (void)state;
    /* A statement's name has no room for its text. */
    options.with_prepared_statements = false;
    arena_init(&arena, 1 << 20);
    link = fixture_pg(&options);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pg_free(link);
    arena_done(&arena);
    fixture_done();
    return 0;
}

static struct heddle_array *new_array(enum heddle_array_type type)
{
    struct heddle_array *array = arena_alloc(&arena, sizeof *array);

    array_init(array, type, &arena);
    return array;
}

/* What Postgres says of it. */
static void assert_says(const char *sql, struct heddle_array *array, const char *expected)
{
    const struct heddle_statement statement = {sql, sql, 1};
    struct heddle_error err = {0};
    const struct heddle_rows *rows;
    struct heddle_uow uow;

    assert_int_equal(uow_begin(&uow, link, true, &err), HEDDLE_OK);
    if (heddle_uow_query_arrays(&uow, &statement, &array, &rows, &err) != HEDDLE_OK)
        fail_msg("%s: %s", sql, err.text);
    assert_string_equal(heddle_rows_text(rows, 0, 0), expected);
    uow_rollback(&uow);
}

static void texts_nulls_and_what_only_looks_like_one_are_told_apart(void **state)
{
    struct heddle_array *array = new_array(HEDDLE_ARRAY_TEXT);

    (void)state;
    heddle_array_add(array, "NULL");
    heddle_array_add(array, NULL);
    heddle_array_add(array, "");
    heddle_array_add(array, "{\"a\", 'b', \\}\n\t\x01");
    heddle_array_add(array, "gr\xc3\xbc\xc3\x9f \xf0\x9f\xa7\xb6");
    assert_says("select json_agg(e order by n)::text = json_build_array('NULL', null, '',"
                " E'{\"a\", ''b'', \\\\}\\n\\t\\x01', 'gr\xc3\xbc\xc3\x9f \xf0\x9f\xa7\xb6')::text"
                " from unnest($1::text[]) with ordinality as u (e, n)",
                array, "t");
}

static void numbers_keep_their_sign_and_all_of_their_digits(void **state)
{
    struct heddle_array *array = new_array(HEDDLE_ARRAY_BIGINT);

    (void)state;
    heddle_array_add_number(array, INT64_MIN);
    heddle_array_add_number(array, -1);
    heddle_array_add_number(array, 0);
    heddle_array_add_number(array, 258);
    heddle_array_add_number(array, INT64_MAX);
    heddle_array_add(array, NULL);
    assert_says("select $1::bigint[]::text", array,
                "{-9223372036854775808,-1,0,258,9223372036854775807,NULL}");
}

static void uuids_are_those_of_their_texts(void **state)
{
    struct heddle_array *array = new_array(HEDDLE_ARRAY_UUID);

    (void)state;
    heddle_array_add(array, "75f8796b-bf15-4028-a476-630218bd7b88");
    heddle_array_add(array, NULL);
    heddle_array_add(array, "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF");
    heddle_array_add(array, "00000000-0000-0000-0000-00000000000a");
    assert_says("select $1::uuid[]::text", array,
                "{75f8796b-bf15-4028-a476-630218bd7b88,NULL,ffffffff-ffff-ffff-ffff-ffffffffffff,"
                "00000000-0000-0000-0000-00000000000a}");
}

static void json_is_checked(void **state)
{
    const struct heddle_statement statement = {"json_checked", "select $1::json[]", 1};
    struct heddle_array *array = new_array(HEDDLE_ARRAY_JSON);
    struct heddle_error err;
    struct heddle_uow uow;

    (void)state;
    heddle_array_add(array, "{\"a\" : [1, \"\\u00e4\"]}");
    heddle_array_add(array, NULL);
    assert_says("select ($1::json[])[1] -> 'a' ->> 1 || coalesce(($1::json[])[2]::text, '-')",
                array, "\xc3\xa4-");
    heddle_array_add(array, "{");
    assert_int_equal(uow_begin(&uow, link, true, &err), HEDDLE_OK);
    assert_int_equal(heddle_uow_query_arrays(&uow, &statement, &array, NULL, &err),
                     HEDDLE_PERMANENT);
    assert_string_equal(err.sqlstate, "22P02");
    uow_rollback(&uow);
}

static void none_and_many_arrive(void **state)
{
    struct heddle_array *array = new_array(HEDDLE_ARRAY_TEXT);
    char text[12];

    (void)state;
    assert_says("select coalesce(sum(1), 0) from unnest($1::text[]) as e", array, "0");
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "%d", i);
        heddle_array_add(array, text);
    }
    assert_says("select bool_and(e::int = n - 1) and count(*) = 20000"
                " from unnest($1::text[]) with ordinality as u (e, n)",
                array, "t");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_nulls_and_what_only_looks_like_one_are_told_apart),
        TEST(numbers_keep_their_sign_and_all_of_their_digits),
        TEST(uuids_are_those_of_their_texts),
        TEST(json_is_checked),
        TEST(none_and_many_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
