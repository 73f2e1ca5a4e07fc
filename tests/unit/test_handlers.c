/* Handlers: found by their whole name, and what their operations take. */
#include "engine/handlers.h"

#include "base/text.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { NOTES = 10000, THREADS = 4 };

static const struct heddle_handler send = {.op = "send"}, send_it = {.op = "send_it"};
static const struct heddle_handler *const table[] = {&send_it, &send, NULL};

static void a_handler_is_found_by_its_whole_name(void **state)
{
    struct handlers *handlers = handlers_new(table);

    (void)state;
    assert_ptr_equal(handlers_find(handlers, text_of("send")), &send);
    assert_ptr_equal(handlers_find(handlers, text_of("send_it")), &send_it);
    assert_ptr_equal(handlers_find(handlers, (struct heddle_text){"send_it", 4}), &send);
    assert_null(handlers_find(handlers, text_of("send_")));
    assert_null(handlers_find(handlers, text_of("sen")));
    assert_null(handlers_find(handlers, text_of("")));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handler_is_found_by_its_whole_name),
        cmocka_unit_test(costs_are_an_average_of_each_ones_own),
        cmocka_unit_test(several_may_note_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
