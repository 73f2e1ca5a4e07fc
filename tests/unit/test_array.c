/* Arrays as Postgres' array_recv reads them, byte by byte; integration/test_array.c asks Postgres.
 */
#include "base/array.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(literal) (literal), sizeof(literal) - 1
#define INT(n) "\0\0\0" n

enum { HEADER_BYTES = 20, MANY = 5000 };

static struct arena arena;
static struct heddle_array array;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void assert_bytes(const char *expected, size_t size)
{
    const struct heddle_text bytes = array_bytes(&array);

    assert_int_equal(bytes.size, size);
    assert_memory_equal(bytes.data, expected, size);
}

static void an_empty_one_has_a_dimension_of_no_elements(void **state)
{
    (void)state;
    array_init(&array, HEDDLE_ARRAY_TEXT, &arena);
    assert_bytes(BYTES(INT("\1") INT("\0") INT("\31") INT("\0") INT("\1")));
}

static void texts_stand_behind_their_sizes(void **state)
{
    (void)state;
    array_init(&array, HEDDLE_ARRAY_TEXT, &arena);
    heddle_array_add(&array, "ab");
    heddle_array_add(&array, "");
    array_add_text(&array, (struct heddle_text){"cdef", 1});
    assert_bytes(BYTES(INT("\1") INT("\0") INT("\31") INT("\3") INT("\1") /* */
                       INT("\2") "ab" INT("\0") INT("\1") "c"));
}

static void a_null_has_no_size_and_shows_in_the_header(void **state)
{
    (void)state;
    array_init(&array, HEDDLE_ARRAY_JSON, &arena);
    heddle_array_add(&array, NULL);
    heddle_array_add(&array, "{}");
    heddle_array_add(&array, NULL);
    assert_bytes(BYTES(INT("\1") INT("\1") INT("\162") INT("\3") INT("\1") /* */
                       "\377\377\377\377" INT("\2") "{}"
                                                    "\377\377\377\377"));
}

static void numbers_are_eight_bytes_the_highest_first(void **state)
{
    (void)state;
    array_init(&array, HEDDLE_ARRAY_BIGINT, &arena);
    heddle_array_add_number(&array, INT64_C(0x0102030405060708));
    heddle_array_add_number(&array, -1);
    heddle_array_add_number(&array, INT64_MIN);
    assert_bytes(BYTES(INT("\1") INT("\0") INT("\24") INT("\3") INT("\1") /* */
                       INT("\10") "\1\2\3\4\5\6\7\10"                     /* */
                       INT("\10") "\377\377\377\377\377\377\377\377"      /* */
                       INT("\10") "\200\0\0\0\0\0\0\0"));
}

static void a_uuid_is_sixteen_bytes_in_either_case(void **state)
{
    static const char expected[] =
        "\x75\xf8\x79\x6b\xbf\x15\x40\x28\xa4\x76\x63\x02\x18\xbd\x7b\x88";

    (void)state;
    array_init(&array, HEDDLE_ARRAY_UUID, &arena);
    heddle_array_add(&array, "75f8796b-bf15-4028-a476-630218bd7b88");
    heddle_array_add(&array, "75F8796B-BF15-4028-A476-630218BD7B88");
    heddle_array_add(&array, NULL);
    const struct heddle_text bytes = array_bytes(&array);
    assert_int_equal(bytes.size, HEADER_BYTES + 2 * (4 + 16) + 4);
    assert_memory_equal(bytes.data + HEADER_BYTES, INT("\20"), 4);
    assert_memory_equal(bytes.data + HEADER_BYTES + 4, expected, 16);
    assert_memory_equal(bytes.data + HEADER_BYTES + 24, expected, 16);
}

/* It grows, elements that are longer than all before included, and can be asked on the way. */
static void any_number_and_any_size_fit(void **state)
{
    char *large = malloc(MANY + 1);
    size_t size = HEADER_BYTES;

    (void)state;
    memset(large, 'x', MANY);
    large[MANY] = '\0';
    array_init(&array, HEDDLE_ARRAY_TEXT, &arena);
    for (uint32_t i = 0; i < MANY; i++) {
        const size_t length = i % 1000 == 999 ? MANY : i % 7;
        array_add_text(&array, (struct heddle_text){large, length});
        size += 4 + length;
        if (i % 500 == 0)
            assert_int_equal(array_bytes(&array).size, size);
    }
    const struct heddle_text bytes = array_bytes(&array);
    const unsigned char *at = (const unsigned char *)bytes.data;
    assert_int_equal(bytes.size, size);
    assert_int_equal(at[12] << 24 | at[13] << 16 | at[14] << 8 | at[15], MANY);
    at += HEADER_BYTES;
    for (uint32_t i = 0; i < MANY; i++) {
        const int length = at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
        assert_int_equal(length, i % 1000 == 999 ? MANY : i % 7);
        assert_memory_equal(at + 4, large, (size_t)length);
        at += 4 + length;
    }
    free(large);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_one_has_a_dimension_of_no_elements),
        TEST(texts_stand_behind_their_sizes),
        TEST(a_null_has_no_size_and_shows_in_the_header),
        TEST(numbers_are_eight_bytes_the_highest_first),
        TEST(a_uuid_is_sixteen_bytes_in_either_case),
        TEST(any_number_and_any_size_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
