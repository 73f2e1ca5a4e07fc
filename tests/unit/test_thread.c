/* Threads that are over quickly, and conditions. */
#include "base/thread.h"

#include "base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void *end_at_once(void *argument)
{
    return argument;
}

static void a_thread_may_be_over_before_it_has_its_name(void **state)
{
    pthread_t thread;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        thread_start(&thread, "short", end_at_once, NULL);
        thread_join(thread);
    }
}

struct look {
    sigset_t blocked;
    char name[16];
};

static void *look_around(void *argument)
{
    struct look *look = argument;

    pthread_sigmask(SIG_BLOCK, NULL, &look->blocked);
    /* The name may come from the thread that started us. */
    for (int i = 0; i < 1000 && strcmp(look->name, "watcher") != 0; i++) {
        clock_sleep_ms(1);
        pthread_getname_np(pthread_self(), look->name, sizeof look->name);
    }
    return NULL;
}

static void a_thread_has_its_name_and_takes_no_signals(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE};
    struct look look = {0};
    sigset_t own;
    pthread_t thread;

    (void)state;
    thread_start(&thread, "watcher", look_around, &look);
    thread_join(thread);
    assert_string_equal(look.name, "watcher");
    pthread_sigmask(SIG_BLOCK, NULL, &own);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        assert_true(sigismember(&look.blocked, signals[i]));
        assert_false(sigismember(&own, signals[i]));
    }
}

static void a_wait_ends_at_its_deadline(void **state)
{
    struct mutex mutex;
    struct condition condition;

    (void)state;
    mutex_init(&mutex);
    condition_init(&condition);
    mutex_lock(&mutex);
    int64_t deadline_us = clock_now_us() + 20000;
    while (condition_wait_until(&condition, &mutex, deadline_us))
        assert_true(clock_now_us() < deadline_us);
    assert_true(clock_now_us() >= deadline_us);
    mutex_unlock(&mutex);
    condition_done(&condition);
    mutex_done(&mutex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_may_be_over_before_it_has_its_name),
        cmocka_unit_test(a_thread_has_its_name_and_takes_no_signals),
        cmocka_unit_test(a_wait_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
