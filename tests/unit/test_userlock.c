/* The critical sections of lanes: who comes and goes leaves nothing behind. */
#include "engine/userlock.h"

#include "base/clock.h"
#include "base/text.h"
#include "base/thread.h"

#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

enum {
    VISITORS = 4,
    USERS = IS_SANITIZED ? 100000 : 1000000,
    MEMORY_SLACK_BYTES = 64 << 10,
    RIVALS = 8,
    ROUNDS = IS_SANITIZED ? 4000 : 40000,
    NAMES = 3,
    PATIENCE_MS = 20000,
};

struct visitor {
    struct userlock_table *table;
    int first, count;
};

static void *visit(void *argument)
{
    const struct visitor *visitor = argument;

    for (int i = visitor->first; i < visitor->first + visitor->count; i++) {
        char name[32];
        snprintf(name, sizeof name, "user-%d", i);
        struct userlock *lock = userlock_acquire(visitor->table, text_of(name));
        /* The name is copied. */
        memset(name, 'x', sizeof name);
        userlock_release(visitor->table, lock);
    }
    return NULL;
}

static void a_million_users_leave_no_entry_and_no_memory_behind(void **state)
{
    struct userlock_table *table = userlock_table_new();
    size_t before = 0;

    (void)state;
    /* The first round warms the allocator up. */
    for (int round = 0; round < 2; round++) {
        struct visitor visitors[VISITORS];
        pthread_t threads[VISITORS];
        int share = (round == 0 ? USERS / 100 : USERS) / VISITORS;
        for (int i = 0; i < VISITORS; i++) {
            visitors[i] = (struct visitor){table, i * share, share};
            thread_start(&threads[i], "visitor", visit, &visitors[i]);
        }
        for (int i = 0; i < VISITORS; i++)
            thread_join(threads[i]);
        assert_int_equal(userlock_count(table), 0);
        if (round == 0)
            before = mallinfo2().uordblks;
    }
    size_t after = mallinfo2().uordblks;
    if (!IS_SANITIZED && after > before + MEMORY_SLACK_BYTES)
        fail_msg("%zu bytes in use before, %zu after", before, after);
    userlock_table_free(table);
    userlock_table_free(NULL);
}

/* Guarded by the userlock of their name, and by nothing else. */
struct rivalry {
    struct userlock_table *table;
    long counters[NAMES];
    bool is_inside[NAMES];
};

static void *compete(void *argument)
{
    static const char *const names[NAMES] = {"ann", "bob", "ann "};
    struct rivalry *rivalry = argument;

    for (int i = 0; i < ROUNDS; i++) {
        int n = (int)clock_random(NAMES);
        struct userlock *lock = userlock_acquire(rivalry->table, text_of(names[n]));
        if (rivalry->is_inside[n])
            abort();
        rivalry->is_inside[n] = true;
        rivalry->counters[n]++;
        rivalry->is_inside[n] = false;
        userlock_release(rivalry->table, lock);
    }
    return NULL;
}

static void one_at_a_time_is_inside(void **state)
{
    struct rivalry rivalry = {.table = userlock_table_new()};
    pthread_t threads[RIVALS];
    long sum = 0;

    (void)state;
    for (int i = 0; i < RIVALS; i++)
        thread_start(&threads[i], "rival", compete, &rivalry);
    for (int i = 0; i < RIVALS; i++)
        thread_join(threads[i]);
    for (int n = 0; n < NAMES; n++)
        sum += rivalry.counters[n];
    assert_int_equal(sum, (long)RIVALS * ROUNDS);
    assert_int_equal(userlock_count(rivalry.table), 0);
    userlock_table_free(rivalry.table);
}

struct waiter {
    struct userlock_table *table;
    atomic_int thread_id, entered;
};

static void *wait_for_ann(void *argument)
{
    struct waiter *waiter = argument;

    atomic_store(&waiter->thread_id, gettid());
    struct userlock *lock = userlock_acquire(waiter->table, TEXT("ann"));
    atomic_fetch_add(&waiter->entered, 1);
    userlock_release(waiter->table, lock);
    return NULL;
}

static bool is_asleep(int thread_id)
{
    char path[64], status = '?';

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread_id);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool is_read = fscanf(file, "%*d (%*[^)]) %c", &status) == 1;
    fclose(file);
    return is_read && status == 'S';
}

static void until_asleep(struct waiter *waiter)
{
    int64_t deadline_ms = clock_now_ms() + PATIENCE_MS;
    int64_t asleep_since_ms = INT64_MAX;

    /* For a while: a thread may sleep a moment for the shard's mutex. */
    while (clock_now_ms() - asleep_since_ms < 20) {
        bool asleep = atomic_load(&waiter->thread_id) && is_asleep(waiter->thread_id);
        if (!asleep)
            asleep_since_ms = INT64_MAX;
        else if (asleep_since_ms == INT64_MAX)
            asleep_since_ms = clock_now_ms();
        assert_true(clock_now_ms() < deadline_ms);
        clock_sleep_ms(1);
    }
}

static void waiters_enter_after_the_release_and_not_before(void **state)
{
    enum { WAITERS = 5 };
    struct userlock_table *table = userlock_table_new();
    struct waiter waiters[WAITERS] = {0};
    pthread_t threads[WAITERS];
    int entered = 0;

    (void)state;
    struct userlock *lock = userlock_acquire(table, TEXT("ann"));
    for (int i = 0; i < WAITERS; i++) {
        waiters[i].table = table;
        thread_start(&threads[i], "waiter", wait_for_ann, &waiters[i]);
    }
    for (int i = 0; i < WAITERS; i++)
        until_asleep(&waiters[i]);
    for (int i = 0; i < WAITERS; i++)
        entered += atomic_load(&waiters[i].entered);
    assert_int_equal(entered, 0);
    /* Holder and waiters share one entry. */
    assert_int_equal(userlock_count(table), 1);
    userlock_release(table, lock);
    for (int i = 0; i < WAITERS; i++) {
        thread_join(threads[i]);
        assert_int_equal(atomic_load(&waiters[i].entered), 1);
    }
    assert_int_equal(userlock_count(table), 0);
    userlock_table_free(table);
}

/* The holder leaves while others wait, over and over: a sanitizer sees an entry that went too
 * early. */
static void a_lock_is_not_freed_while_others_wait(void **state)
{
    struct userlock_table *table = userlock_table_new();

    (void)state;
    for (int round = 0; round < 20; round++) {
        struct waiter waiters[2] = {{.table = table}, {.table = table}};
        pthread_t threads[2];
        struct userlock *lock = userlock_acquire(table, TEXT("ann"));
        for (int i = 0; i < 2; i++)
            thread_start(&threads[i], "waiter", wait_for_ann, &waiters[i]);
        if (round % 2 == 0)
            until_asleep(&waiters[0]);
        userlock_release(table, lock);
        lock = userlock_acquire(table, TEXT("ann"));
        userlock_release(table, lock);
        for (int i = 0; i < 2; i++)
            thread_join(threads[i]);
        assert_int_equal(userlock_count(table), 0);
    }
    userlock_table_free(table);
}

/* More names than the table has shards and buckets, so that some share all but their name. */
static void other_names_do_not_wait(void **state)
{
    struct userlock_table *table = userlock_table_new();
    struct visitor visitor = {table, 0, 2000};
    pthread_t thread;

    (void)state;
    struct userlock *ann = userlock_acquire(table, TEXT("ann"));
    struct userlock *longer = userlock_acquire(table, TEXT("ann2"));
    struct userlock *shorter = userlock_acquire(table, TEXT("an"));
    struct userlock *empty = userlock_acquire(table, TEXT(""));
    thread_start(&thread, "visitor", visit, &visitor);
    thread_join(thread);
    assert_int_equal(userlock_count(table), 4);
    userlock_release(table, longer);
    userlock_release(table, ann);
    userlock_release(table, empty);
    userlock_release(table, shorter);
    assert_int_equal(userlock_count(table), 0);
    userlock_table_free(table);
}

static void a_table_that_somebody_uses_is_not_freed(void **state)
{
    int status;

    (void)state;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        struct userlock_table *table = userlock_table_new();
        struct userlock *lock = userlock_acquire(table, TEXT("ann"));
        userlock_table_free(table);
        userlock_release(table, lock);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_users_leave_no_entry_and_no_memory_behind),
        cmocka_unit_test(one_at_a_time_is_inside),
        cmocka_unit_test(waiters_enter_after_the_release_and_not_before),
        cmocka_unit_test(a_lock_is_not_freed_while_others_wait),
        cmocka_unit_test(other_names_do_not_wait),
        cmocka_unit_test(a_table_that_somebody_uses_is_not_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
