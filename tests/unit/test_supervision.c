/* Children that die at once: they are started again and again, and ever more seldom. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/child.h"
#include "engine/supervisor.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { BASE_MS = 50, CAP_MS = 10000, HEALTHY_MS = 10000, DEATHS = 40, STARTS = 8, EXIT_UNFIT = 4 };

/* Shared with the processes of a test. */
static struct {
    atomic_int starts;
    atomic_int quits;
} * seen;

static int quiet(void **state)
{
    (void)state;
    log_configure((enum heddle_log_level)(HEDDLE_LOG_ERROR + 1), LOG_FORMAT_TEXT);
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(seen != MAP_FAILED);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    atomic_store(&seen->starts, 0);
    atomic_store(&seen->quits, 0);
    return 0;
}

static void each_death_in_a_row_waits_longer_up_to_a_bound(void **state)
{
    struct child *child = child_new(0, 1, false);
    int64_t most_ms = BASE_MS;

    (void)state;
    for (int death = 1; death <= DEATHS; death++) {
        child->pid = 1;
        child->started_ms = clock_now_ms();
        int64_t before_ms = clock_now_ms();
        child_died(child);
        int64_t after_ms = clock_now_ms();
        assert_int_equal(child->pid, 0);
        if (death == 1) {
            assert_in_range(child->restart_ms, before_ms, after_ms);
            continue;
        }
        assert_true(child->restart_ms >= before_ms + BASE_MS);
        assert_true(child->restart_ms <= after_ms + BASE_MS + most_ms);
        most_ms = most_ms * 2 < CAP_MS ? most_ms * 2 : CAP_MS;
    }
    /* One that has lived for a while begins anew. */
    child->pid = 1;
    child->started_ms = clock_now_ms() - HEALTHY_MS - 1;
    child_died(child);
    assert_true(child->restart_ms <= clock_now_ms());
    child_free(child);
}

static int await_signal(void)
{
    sigset_t set;
    int number;

    sigfillset(&set);
    return sigwait(&set, &number) == 0 ? number : 0;
}

static int die_at_once(void *argument, struct board *board, bool is_quarantine)
{
    (void)argument;
    atomic_store(&board->is_ready, true);
    if (is_quarantine) {
        await_signal();
        return 0;
    }
    atomic_fetch_add(&seen->starts, 1);
    raise(SIGKILL);
    return 0;
}

static int cannot_start(void *argument, struct board *board, bool is_quarantine)
{
    (void)argument;
    (void)board;
    (void)is_quarantine;
    atomic_fetch_add(&seen->starts, 1);
    return EXIT_UNFIT;
}

/* Drains for ever; ends when it is told to quit. */
static int linger(void *argument, struct board *board, bool is_quarantine)
{
    (void)argument;
    (void)is_quarantine;
    atomic_store(&board->is_ready, true);
    atomic_fetch_add(&seen->starts, 1);
    while (await_signal() != SIGQUIT)
        ;
    atomic_fetch_add(&seen->quits, 1);
    return 5;
}

static pid_t supervise(int (*child)(void *argument, struct board *board, bool is_quarantine))
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    const struct supervisor_options options = {
        .processes = 1,
        .workers = 1,
        .redis = "unix:///nonexistent",
        .redis_timeout_ms = 100,
        .poison_crashes = 3,
        .drain_ms = 60000,
        .child = child,
    };
    _exit(supervisor_run(&options));
}

static int exit_code_of(pid_t pid)
{
    int wait_status;

    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_true(WIFEXITED(wait_status));
    return WEXITSTATUS(wait_status);
}

static void wait_for_starts(int count)
{
    while (atomic_load(&seen->starts) < count)
        clock_sleep_ms(1);
}

static void a_child_that_dies_at_once_does_not_keep_its_host_busy(void **state)
{
    (void)state;
    int64_t begun_ms = clock_now_ms();
    pid_t supervisor = supervise(die_at_once);
    wait_for_starts(STARTS);
    /* All but the first two were waited for. */
    assert_true(clock_now_ms() - begun_ms >= (STARTS - 2) * BASE_MS);
    kill(supervisor, SIGTERM);
    exit_code_of(supervisor);
}

static void a_child_that_cannot_start_ends_the_supervisor_with_its_code(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of(supervise(cannot_start)), EXIT_UNFIT);
    assert_in_range(atomic_load(&seen->starts), 1, 2);
}

static void the_second_term_tells_children_to_quit(void **state)
{
    (void)state;
    pid_t supervisor = supervise(linger);
    wait_for_starts(2); /* the quarantine is one, too */
    kill(supervisor, SIGTERM);
    clock_sleep_ms(50); /* or both would be one */
    kill(supervisor, SIGTERM);
    assert_int_equal(exit_code_of(supervisor), 5);
    assert_int_equal(atomic_load(&seen->quits), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_death_in_a_row_waits_longer_up_to_a_bound, forget),
        cmocka_unit_test_setup(a_child_that_dies_at_once_does_not_keep_its_host_busy, forget),
        cmocka_unit_test_setup(a_child_that_cannot_start_ends_the_supervisor_with_its_code, forget),
        cmocka_unit_test_setup(the_second_term_tells_children_to_quit, forget),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
