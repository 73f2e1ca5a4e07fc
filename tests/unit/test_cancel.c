/* Operations that shall end early: whom a request reaches, and what the watchdog makes of time. */
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "engine/holdings.h"
#include "engine/roster.h"
#include "engine/watchdog.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { POSTS = 3, OPERATIONS = 4, PATIENCE_MS = 20000, ROUNDS = 20000 };

static const char id_format[] = "00000000-0000-4000-8000-%012d";

static struct claim *new_claim(const char *lane)
{
    static uint64_t seq;
    struct claim *claim = calloc(1, sizeof *claim + OPERATIONS * sizeof *claim->operations);

    claim->operations = (struct claimed_operation *)(claim + 1);
    claim->seq = ++seq;
    claim->lane = text_of(lane);
    claim->operation_count = OPERATIONS;
    for (int i = 0; i < OPERATIONS; i++) {
        struct heddle_operation *operation = &claim->operations[i].operation;
        snprintf(operation->id, sizeof operation->id, id_format, (int)seq * 100 + i);
        operation->op = text_of("knot");
    }
    return claim;
}

static int quiet(void **state)
{
    (void)state;
    log_configure((enum heddle_log_level)(HEDDLE_LOG_ERROR + 1), LOG_FORMAT_TEXT);
    return 0;
}

static void a_stronger_cause_takes_the_place_of_a_weaker_one(void **state)
{
    struct claim *claim = new_claim("ann");
    struct claimed_operation *claimed = &claim->operations[0];

    (void)state;
    assert_int_equal(claimed_cancel_cause(claimed), CANCEL_NONE);
    claimed_cancel(claimed, CANCEL_DEADLINE);
    assert_int_equal(claimed_cancel_cause(claimed), CANCEL_DEADLINE);
    claimed_cancel(claimed, CANCEL_ASKED);
    claimed_cancel(claimed, CANCEL_QUIT);
    assert_int_equal(claimed_cancel_cause(claimed), CANCEL_ASKED);
    free(claim);
}

static void a_request_reaches_the_operation_begun_or_not_and_no_other(void **state)
{
    struct holdings *holdings = holdings_new();
    struct claim *ann = new_claim("ann"), *bob = new_claim("bob");
    struct heddle_text wanted = text_of(bob->operations[2].operation.id);

    (void)state;
    holdings_add(holdings, ann);
    holdings_add(holdings, bob);
    assert_true(holdings_cancel(holdings, wanted, CANCEL_ASKED));
    for (int i = 0; i < OPERATIONS; i++) {
        assert_int_equal(claimed_cancel_cause(&ann->operations[i]), CANCEL_NONE);
        assert_int_equal(claimed_cancel_cause(&bob->operations[i]),
                         i == 2 ? CANCEL_ASKED : CANCEL_NONE);
    }
    assert_false(holdings_cancel(holdings, text_of("no such operation"), CANCEL_ASKED));
    holdings_remove(holdings, bob);
    assert_false(holdings_cancel(holdings, wanted, CANCEL_ASKED));
    holdings_remove(holdings, ann);
    holdings_free(holdings);
    free(ann);
    free(bob);
}

static void a_post_shows_what_its_worker_runs(void **state)
{
    struct board *board = board_new(POSTS);
    struct roster *roster = roster_new(POSTS, board);
    struct post *post = roster_take(roster, 1, NULL);
    struct claim *claim = new_claim("ann");
    struct sight sight;

    (void)state;
    assert_int_equal(roster_count(roster), POSTS);
    assert_false(roster_see(roster, 1, &sight));
    post_enter(post, claim, &claim->operations[0]);
    post_phase(post, PHASE_APPLY);
    assert_true(roster_see(roster, 1, &sight));
    assert_string_equal(sight.id, claim->operations[0].operation.id);
    assert_string_equal(sight.op, "knot");
    assert_string_equal(sight.lane, "ann");
    assert_int_equal(sight.phase, PHASE_APPLY);
    assert_true(sight.age_us >= 0);
    assert_true(atomic_load(&board->slots[1].is_busy));
    assert_string_equal(board->slots[1].lanes[0].id, sight.id);
    assert_false(roster_see(roster, 0, &sight));
    post_leave(post);
    assert_false(roster_see(roster, 1, &sight));
    assert_false(atomic_load(&board->slots[1].is_busy));
    roster_free(roster);
    board_free(board);
    free(claim);
}

static void what_was_seen_before_does_not_cancel_what_runs_now(void **state)
{
    struct roster *roster = roster_new(1, NULL);
    struct post *post = roster_take(roster, 0, NULL);
    struct claim *claim = new_claim("ann");
    struct sight sight;

    (void)state;
    post_enter(post, claim, &claim->operations[0]);
    assert_true(roster_see(roster, 0, &sight));
    post_leave(post);
    roster_cancel(roster, 0, &sight, CANCEL_DEADLINE);
    post_enter(post, claim, &claim->operations[1]);
    roster_cancel(roster, 0, &sight, CANCEL_DEADLINE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(claimed_cancel_cause(&claim->operations[i]), CANCEL_NONE);
    post_leave(post);
    roster_free(roster);
    free(claim);
}

static void wait_for_cause(const struct claimed_operation *claimed, enum cancel_cause cause)
{
    int64_t until_ms = clock_now_ms() + PATIENCE_MS;

    while (claimed_cancel_cause(claimed) != cause) {
        assert_true(clock_now_ms() < until_ms);
        clock_sleep_ms(1);
    }
}

static void past_the_soft_deadline_an_operation_is_asked_to_end(void **state)
{
    const struct watchdog_options options = {.soft_ms = 300};
    struct roster *roster = roster_new(2, NULL);
    struct post *old = roster_take(roster, 0, NULL), *young = roster_take(roster, 1, NULL);
    struct watchdog *watchdog = watchdog_new(&options, roster, NULL);
    struct claim *claim = new_claim("ann");

    (void)state;
    int64_t begun_ms = clock_now_ms();
    post_enter(old, claim, &claim->operations[0]);
    watchdog_start(watchdog);
    wait_for_cause(&claim->operations[0], CANCEL_DEADLINE);
    assert_true(clock_now_ms() - begun_ms >= options.soft_ms);
    post_enter(young, claim, &claim->operations[1]);
    assert_int_equal(claimed_cancel_cause(&claim->operations[1]), CANCEL_NONE);
    post_leave(young);
    post_leave(old);
    watchdog_stop(watchdog);
    watchdog_free(watchdog);
    roster_free(roster);
    free(claim);
}

static void who_quits_cancels_everything_that_runs(void **state)
{
    const struct watchdog_options options = {0};
    struct roster *roster = roster_new(POSTS, NULL);
    struct watchdog *watchdog = watchdog_new(&options, roster, NULL);
    struct claim *claim = new_claim("ann");
    struct post *posts[POSTS];

    (void)state;
    for (int i = 0; i < POSTS; i++)
        posts[i] = roster_take(roster, i, NULL);
    watchdog_start(watchdog);
    for (int i = 0; i < POSTS; i++)
        post_enter(posts[i], claim, &claim->operations[i]);
    watchdog_quit(watchdog);
    for (int i = 0; i < POSTS; i++)
        wait_for_cause(&claim->operations[i], CANCEL_QUIT);
    for (int i = 0; i < POSTS; i++)
        post_leave(posts[i]);
    watchdog_stop(watchdog);
    watchdog_free(watchdog);
    roster_free(roster);
    free(claim);
}

/* In a process of its own, which must die. */
static void past_the_hard_deadline_the_process_ends_and_the_board_names_the_worker(void **state)
{
    struct board *board = board_new(POSTS);
    int wait_status;

    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        const struct watchdog_options options = {.soft_ms = 10, .hard_ms = 50, .board = board};
        struct roster *roster = roster_new(POSTS, board);
        struct watchdog *watchdog = watchdog_new(&options, roster, NULL);
        struct claim *claim = new_claim("ann");
        signal(SIGABRT, SIG_DFL);
        post_enter(roster_take(roster, 2, NULL), claim, &claim->operations[0]);
        watchdog_start(watchdog);
        clock_sleep_ms(PATIENCE_MS);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_true(WIFSIGNALED(wait_status));
    assert_int_equal(WTERMSIG(wait_status), SIGABRT);
    assert_int_equal(atomic_load(&board->crashed), 2);
    assert_true(atomic_load(&board->slots[2].is_busy));
    board_free(board);
}

static struct post *busy_post;
static struct claim *busy_claim;

static void *work(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        struct claimed_operation *claimed = &busy_claim->operations[i % OPERATIONS];
        post_enter(busy_post, busy_claim, claimed);
        post_phase(busy_post, PHASE_APPLY);
        (void)claimed_cancel_cause(claimed);
        post_leave(busy_post);
    }
    return NULL;
}

/* For ThreadSanitizer to look at. */
static void a_worker_that_is_watched_goes_its_way(void **state)
{
    const struct watchdog_options options = {.soft_ms = 1, .hard_ms = PATIENCE_MS};
    struct roster *roster = roster_new(1, NULL);
    struct holdings *holdings = holdings_new();
    struct watchdog *watchdog = watchdog_new(&options, roster, holdings);
    pthread_t worker;

    (void)state;
    busy_claim = new_claim("ann");
    busy_post = roster_take(roster, 0, NULL);
    holdings_add(holdings, busy_claim);
    watchdog_start(watchdog);
    thread_start(&worker, "worker", work, NULL);
    for (int i = 0; i < ROUNDS / 100; i++) {
        watchdog_cancel(watchdog, busy_claim->operations[0].operation.id);
        roster_report(roster);
    }
    thread_join(worker);
    watchdog_stop(watchdog);
    assert_int_equal(claimed_cancel_cause(&busy_claim->operations[0]), CANCEL_ASKED);
    holdings_remove(holdings, busy_claim);
    holdings_free(holdings);
    watchdog_free(watchdog);
    roster_free(roster);
    free(busy_claim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stronger_cause_takes_the_place_of_a_weaker_one),
        cmocka_unit_test(a_request_reaches_the_operation_begun_or_not_and_no_other),
        cmocka_unit_test(a_post_shows_what_its_worker_runs),
        cmocka_unit_test(what_was_seen_before_does_not_cancel_what_runs_now),
        cmocka_unit_test(past_the_soft_deadline_an_operation_is_asked_to_end),
        cmocka_unit_test(who_quits_cancels_everything_that_runs),
        cmocka_unit_test(past_the_hard_deadline_the_process_ends_and_the_board_names_the_worker),
        cmocka_unit_test(a_worker_that_is_watched_goes_its_way),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
