/* Handlers: found by their whole name, and what their operations take; functions come and go. */
#include "engine/handlers.h"

#include "base/arena.h"
#include "base/text.h"
#include "base/thread.h"
#include "engine/functions.h"
#include "ledger/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { NOTES = 10000, THREADS = 4, REPLACEMENTS = 200 };

static const struct heddle_handler send = {.op = "send"}, send_it = {.op = "send_it"};
static const struct heddle_handler *const table[] = {&send_it, &send, NULL};

static void a_handler_is_found_by_its_whole_name(void **state)
{
    struct handlers *handlers = handlers_new(table);

    (void)state;
    assert_ptr_equal(handlers_hold(handlers, text_of("send")), &send);
    assert_ptr_equal(handlers_hold(handlers, text_of("send_it")), &send_it);
    assert_ptr_equal(handlers_hold(handlers, (struct heddle_text){"send_it", 4}), &send);
    assert_null(handlers_hold(handlers, text_of("send_")));
    assert_null(handlers_hold(handlers, text_of("sen")));
    assert_null(handlers_hold(handlers, text_of("")));
    handlers_free(handlers);
    handlers_free(NULL);
}

static void costs_are_an_average_of_each_ones_own(void **state)
{
    struct handlers *handlers = handlers_new(table);

    (void)state;
    assert_int_equal(handlers_cost_us(handlers, &send), 0);
    handlers_note(handlers, &send, 800);
    assert_int_equal(handlers_cost_us(handlers, &send), 800);
    handlers_note(handlers, &send, 1600);
    assert_int_equal(handlers_cost_us(handlers, &send), 900);
    assert_int_equal(handlers_cost_us(handlers, &send_it), 0);
    /* Who was slow once is not slow for ever. */
    handlers_note(handlers, &send, 1000000);
    for (int i = 0; i < 100; i++)
        handlers_note(handlers, &send, 100);
    assert_in_range(handlers_cost_us(handlers, &send), 1, 110);
    handlers_free(handlers);
}

static void *note_many(void *handlers)
{
    for (int i = 0; i < NOTES; i++)
        handlers_note(handlers, &send, 100 + i % 100);
    return NULL;
}

static void several_may_note_at_once(void **state)
{
    struct handlers *handlers = handlers_new(table);
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        thread_start(&threads[i], "note", note_many, handlers);
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    assert_in_range(handlers_cost_us(handlers, &send), 100, 200);
    handlers_free(handlers);
}

/* Takes them to be in order. */
static void register_ops(struct handlers *handlers, int64_t version, const char *const *ops,
                         size_t count)
{
    struct function *functions[4];

    for (size_t i = 0; i < count; i++)
        functions[i] = function_new(
            &(struct registry_row){.op = ops[i], .function = "public.f", .version = version});
    handlers_replace(handlers, version, functions, count);
}

static void a_function_is_found_by_its_whole_name_until_it_is_replaced(void **state)
{
    static const char *const first[] = {"note", "note_it", "send"}, *const next[] = {"note_it"};
    struct handlers *handlers = handlers_new(table);
    struct arena arena;

    (void)state;
    arena_init(&arena, 0);
    assert_null(handlers_hold(handlers, text_of("note")));
    register_ops(handlers, 7, first, 3);
    assert_int_equal(handlers_version(handlers), 7);
    const struct heddle_handler *note = handlers_hold(handlers, text_of("note"));
    const struct heddle_handler *old = handlers_hold(handlers, (struct heddle_text){"note_its", 7});
    assert_string_equal(note->op, "note");
    assert_string_equal(old->op, "note_it");
    assert_null(handlers_hold(handlers, text_of("not")));
    assert_null(handlers_hold(handlers, text_of("note_")));
    /* What was given goes before. */
    assert_ptr_equal(handlers_hold(handlers, text_of("send")), &send);
    const char *const *names = handlers_names(handlers, &arena);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(names[i],
                            ((const char *[]){"send_it", "send", "note", "note_it", "send"})[i]);
    assert_null(names[5]);

    register_ops(handlers, 9, next, 1);
    assert_null(handlers_hold(handlers, text_of("note")));
    const struct heddle_handler *fresh = handlers_hold(handlers, text_of("note_it"));
    assert_ptr_not_equal(fresh, old);
    /* Who holds one that is gone goes on with it. */
    handlers_note(handlers, note, 800);
    assert_int_equal(handlers_cost_us(handlers, note), 800);
    assert_string_equal(note->op, "note");
    handlers_release(handlers, note);
    handlers_release(handlers, old);
    handlers_release(handlers, fresh);
    handlers_release(handlers, &send);
    handlers_release(handlers, NULL);
    handlers_free(handlers);
    arena_done(&arena);
}

static void *hold_many(void *handlers)
{
    for (int i = 0; i < NOTES; i++) {
        const struct heddle_handler *note = handlers_hold(handlers, text_of("note"));
        if (note)
            handlers_note(handlers, note, 100);
        handlers_release(handlers, note);
    }
    return NULL;
}

static void functions_are_replaced_while_others_hold_them(void **state)
{
    static const char *const ops[] = {"note"};
    struct handlers *handlers = handlers_new(table);
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        thread_start(&threads[i], "hold", hold_many, handlers);
    for (int i = 1; i <= REPLACEMENTS; i++)
        register_ops(handlers, i, ops, (size_t)(i % 4 > 0));
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    handlers_free(handlers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handler_is_found_by_its_whole_name),
        cmocka_unit_test(costs_are_an_average_of_each_ones_own),
        cmocka_unit_test(several_may_note_at_once),
        cmocka_unit_test(a_function_is_found_by_its_whole_name_until_it_is_replaced),
        cmocka_unit_test(functions_are_replaced_while_others_hold_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
