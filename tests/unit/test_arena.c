/* Many small pieces, freed together. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void an_arena_that_was_never_used_holds_nothing(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 1024);
    assert_int_equal(arena_held_bytes(&arena), 0);
    arena_reset(&arena);
    arena_done(&arena);
    arena_done(NULL);
}

static void pieces_are_aligned_and_do_not_touch(void **state)
{
    enum { PIECES = 3000 };
    static struct {
        unsigned char *bytes;
        size_t size;
    } pieces[PIECES];
    struct arena arena;

    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i].size = i * 7 % 300 + (i % 500 == 0 ? 20000 : 0);
        pieces[i].bytes = arena_alloc(&arena, pieces[i].size);
        assert_int_equal((uintptr_t)pieces[i].bytes % alignof(max_align_t), 0);
        memset(pieces[i].bytes, (int)(i % 251), pieces[i].size);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t k = 0; k < pieces[i].size; k++)
            if (pieces[i].bytes[k] != i % 251)
                fail_msg("piece %zu was overwritten at %zu", i, k);
    arena_done(&arena);
}

static void texts_end_with_a_nul(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 0);
    assert_string_equal(arena_copy(&arena, "hello world", 5), "hello");
    assert_string_equal(arena_copy(&arena, NULL, 0), "");
    struct heddle_text text = arena_copy_text(&arena, "a\0b", 3);
    assert_int_equal(text.size, 3);
    assert_memory_equal(text.data, "a\0b", 4);
    assert_string_equal(arena_format(&arena, "%s=%d", "n", 42), "n=42");
    assert_string_equal(arena_format(&arena, "%s", ""), "");
    char *wide = arena_format(&arena, "%50000d", 1);
    assert_int_equal(strlen(wide), 50000);
    arena_done(&arena);
}

static void a_reset_arena_keeps_no_more_than_it_may(void **state)
{
    enum { KEEP = 64 << 10 };
    struct arena arena;

    (void)state;
    arena_init(&arena, KEEP);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 200; i++)
            memset(arena_alloc(&arena, 3000), round, 3000);
        memset(arena_alloc(&arena, 1 << 20), round, 1 << 20);
        assert_true(arena_held_bytes(&arena) > KEEP);
        arena_reset(&arena);
        assert_true(arena_held_bytes(&arena) <= KEEP);
    }
    arena_done(&arena);
}

static void an_arena_in_its_steady_state_allocates_nothing(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 1 << 20);
    for (int i = 0; i < 100; i++)
        arena_alloc(&arena, 700);
    size_t held = arena_held_bytes(&arena);
    for (int round = 0; round < 1000; round++) {
        arena_reset(&arena);
        for (int i = 0; i < 100; i++)
            arena_alloc(&arena, 700);
        assert_int_equal(arena_held_bytes(&arena), held);
    }
    arena_done(&arena);
}

static void memory_is_there_even_for_nothing(void **state)
{
    (void)state;
    void *nothing = memory_take(0);
    assert_non_null(nothing);
    nothing = memory_resize(nothing, 0);
    assert_non_null(nothing);
    free(nothing);
    char *zeroed = memory_take_zeroed(10, 10);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeroed[i], 0);
    free(zeroed);
    free(memory_take_zeroed(0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arena_that_was_never_used_holds_nothing),
        cmocka_unit_test(pieces_are_aligned_and_do_not_touch),
        cmocka_unit_test(texts_end_with_a_nul),
        cmocka_unit_test(a_reset_arena_keeps_no_more_than_it_may),
        cmocka_unit_test(an_arena_in_its_steady_state_allocates_nothing),
        cmocka_unit_test(memory_is_there_even_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
