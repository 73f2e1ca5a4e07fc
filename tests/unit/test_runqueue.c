/* The run queue: a bounded FIFO, from which a worker takes claims that go one way, and its share.
 */
#include "engine/runqueue.h"

#include "base/clock.h"
#include "base/text.h"
#include "base/thread.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    CAPACITY = 16,
    OPERATIONS = 64,
    DEPTH_MAX = 16,
    WARM_US = 25000,
    WORKERS = 4,
    ROUNDS = 2000,
    PASSES = 3
};

static const struct appetite all = {CAPACITY, OPERATIONS}, one = {1, 1};
static struct runqueue *queue;

/* The lane's first letter says how its operations go: a lone one by itself. */
static enum claim_way way_of(void *argument, const struct claim *claim)
{
    (void)argument;
    return claim->lane.data[claim->done] == 'a'   ? WAY_ALONE
           : claim->lane.data[claim->done] == 'c' ? WAY_CAREFUL
                                                  : WAY_BUNDLE;
}

static struct claim *new_claim(const char *lane)
{
    struct claim *claim = calloc(1, sizeof *claim + DEPTH_MAX * sizeof *claim->operations);

    claim->operations = (struct claimed_operation *)(claim + 1);
    arena_init(&claim->arena, 0);
    claim->lane = text_of(lane);
    claim->operation_count = strlen(lane);
    return claim;
}

/* Lanes, with a blank between them; a letter an operation. */
static void push(const char *lanes)
{
    static const char *const names[] = {"a",        "aa", "b",  "bb", "bbb",
                                        "bbbbbbbb", "c",  "cc", "bc", "ba"};
    struct claim_list list;

    claim_list_init(&list);
    while (*lanes) {
        const size_t size = strcspn(lanes, " ");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strlen(names[i]) == size && strncmp(names[i], lanes, size) == 0)
                claim_list_push(&list, new_claim(names[i]));
        lanes += size + (lanes[size] == ' ');
    }
    runqueue_push(queue, &list);
}

/* Pops, and compares what came; the claims are left in the list. */
static void take(struct appetite appetite, struct claim_list *list, const char *expected)
{
    char lanes[256] = "";

    assert_true(runqueue_pop(queue, appetite, list));
    for (const struct claim *claim = list->first; claim; claim = claim->next) {
        strcat(lanes, *lanes ? " " : "");
        strcat(lanes, claim->lane.data);
    }
    assert_string_equal(lanes, expected);
}

static void pop(struct appetite appetite, const char *expected)
{
    struct claim_list list;
    struct claim *claim;

    take(appetite, &list, expected);
    while ((claim = claim_list_pop(&list)))
        claim_free(claim);
}

/* Workers that are quick enough for the queue to be as deep as it may be. */
static void warm_up(void)
{
    const int64_t until_us = clock_now_us() + WARM_US;

    while (clock_now_us() < until_us) {
        push("bbbbbbbb bbbbbbbb bbbbbbbb bbbbbbbb");
        pop(all, "bbbbbbbb bbbbbbbb bbbbbbbb bbbbbbbb");
    }
}

static int set_up(void **state)
{
    (void)state;
    queue = runqueue_new(CAPACITY, OPERATIONS, way_of, NULL);
    runqueue_join(queue);
    warm_up();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    runqueue_free(queue);
    return 0;
}

static void claims_that_go_one_way_come_together_in_their_order(void **state)
{
    (void)state;
    push("b bb c cc b a aa bbb");
    pop(all, "b bb");
    pop(all, "c cc");
    pop(all, "b");
    pop(all, "a");
    pop(all, "aa");
    pop(all, "bbb");
}

static void a_worker_takes_no_more_than_it_can_execute(void **state)
{
    (void)state;
    push("bb bb bb b b");
    pop((struct appetite){CAPACITY, 5}, "bb bb");
    pop((struct appetite){2, OPERATIONS}, "bb b");
    /* One is taken, however deep it is. */
    push("bbbbbbbb b");
    pop(one, "b");
    pop(one, "bbbbbbbb");
    pop(one, "b");
}

static void what_is_put_back_comes_first_in_its_order_the_way_it_goes_now(void **state)
{
    struct claim_list list;

    (void)state;
    push("bc ba bb b b");
    take((struct appetite){3, OPERATIONS}, &list, "bc ba bb");
    for (struct claim *claim = list.first; claim; claim = claim->next)
        claim->done = 1;
    runqueue_put_back(queue, &list);
    pop(all, "bc");
    pop(all, "ba");
    pop(all, "bb b b");
    assert_int_equal(list.count, 0);
    runqueue_put_back(queue, &list);
    assert_int_equal(runqueue_room(queue, false).claims, CAPACITY);
}

static void what_is_put_back_into_a_closed_queue_stays_with_its_worker(void **state)
{
    struct claim_list list, rest;
    struct claim *claim;

    (void)state;
    push("b bb bbb a");
    take(all, &list, "b bb bbb");
    runqueue_close(queue, &rest);
    assert_int_equal(rest.count, 1);
    runqueue_put_back(queue, &list);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.first->lane.data, "b");
    while ((claim = claim_list_pop(&list)) || (claim = claim_list_pop(&rest)))
        claim_free(claim);
    assert_false(runqueue_pop(queue, all, &list) || list.count > 0);
}

static void room_is_counted_in_claims_and_in_operations_that_are_left(void **state)
{
    struct claim_list list;

    (void)state;
    push("bbbbbbbb bbbbbbbb bb");
    struct room room = runqueue_room(queue, false);
    assert_int_equal(room.claims, CAPACITY - 3);
    assert_int_equal(room.operations, OPERATIONS - 18);
    take((struct appetite){2, OPERATIONS}, &list, "bbbbbbbb bbbbbbbb");
    list.first->done = 5;
    runqueue_put_back(queue, &list);
    assert_int_equal(runqueue_room(queue, false).operations, OPERATIONS - 13);
    push("bbbbbbbb bbbbbbbb bbbbbbbb bbbbbbbb bbbbbbbb bbbbbbbb bb b");
    assert_int_equal(runqueue_room(queue, false).claims, 0);
    runqueue_empty(queue, &list);
    assert_int_equal(list.count, 11);
    for (struct claim *claim; (claim = claim_list_pop(&list));)
        claim_free(claim);
    assert_int_equal(runqueue_room(queue, true).operations, OPERATIONS);
}

/* What is claimed ahead nobody else can execute: of workers of whom nothing is known, or who take
 * long, two claims each. */
static void slow_workers_have_little_room(void **state)
{
    (void)state;
    runqueue_free(queue);
    queue = runqueue_new(CAPACITY, OPERATIONS, way_of, NULL);
    runqueue_join(queue);
    assert_int_equal(runqueue_room(queue, false).claims, 2);
    runqueue_join(queue);
    assert_int_equal(runqueue_room(queue, false).claims, 4);
    push("b b b b");
    assert_int_equal(runqueue_room(queue, false).claims, 0);
    assert_int_equal(runqueue_count(queue), 4);
    pop(one, "b");
    assert_int_equal(runqueue_room(queue, false).claims, 1);
    pop(all, "b b b");
    warm_up();
    assert_int_equal(runqueue_room(queue, false).claims, CAPACITY);
}

static void room_for_half_of_it_is_told_once_it_is_there(void **state)
{
    struct pollfd room = {.fd = runqueue_room_fd(queue), .events = POLLIN};

    (void)state;
    push("b b b b b b b b b b b b b b b b");
    assert_int_equal(runqueue_room(queue, true).claims, 0);
    pop((struct appetite){7, 7}, "b b b b b b b");
    assert_int_equal(poll(&room, 1, 0), 0);
    pop(one, "b");
    assert_int_equal(poll(&room, 1, 0), 1);
    assert_int_equal(runqueue_room(queue, true).claims, 8);
    assert_int_equal(poll(&room, 1, 0), 0);
    runqueue_leave(queue);
    assert_int_equal(runqueue_room(queue, false).claims, 0);
    struct claim *orphan = runqueue_pop_orphan(queue);
    claim_free(orphan);
    runqueue_join(queue);
    assert_int_equal(poll(&room, 1, 0), 1);
}

/* Workers that wait, with the claims that they were given. */
static struct {
    atomic_int taken, waiting;
} seen;

static void *wait_for_claims(void *argument)
{
    struct claim_list list;

    (void)argument;
    atomic_fetch_add(&seen.waiting, 1);
    while (runqueue_pop(queue, all, &list))
        for (struct claim *claim; (claim = claim_list_pop(&list));) {
            /* An operation at a time: the rest goes on, here or elsewhere. */
            if (++claim->done < claim->operation_count) {
                struct claim_list back;
                claim_list_init(&back);
                claim_list_push(&back, claim);
                runqueue_put_back(queue, &back);
                if (back.count == 0)
                    continue;
            }
            atomic_fetch_add(&seen.taken, 1);
            claim_free(claim);
        }
    return NULL;
}

static void nothing_is_lost_or_given_twice_among_several_workers(void **state)
{
    pthread_t threads[WORKERS];
    struct claim_list rest;
    int pushed = 0;

    (void)state;
    atomic_store(&seen.taken, 0);
    for (int i = 0; i < WORKERS; i++)
        thread_start(&threads[i], "worker", wait_for_claims, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        if (runqueue_room(queue, false).claims < PASSES)
            continue;
        push(i % 2 ? "bbb a c" : "b bc aa");
        pushed += PASSES;
    }
    for (int i = 0; i < 20000 && atomic_load(&seen.taken) < pushed; i++)
        poll(NULL, 0, 1);
    runqueue_close(queue, &rest);
    for (int i = 0; i < WORKERS; i++)
        thread_join(threads[i]);
    assert_int_equal(rest.count, 0);
    assert_int_equal(atomic_load(&seen.taken), pushed);
}

static void *take_once(void *argument)
{
    struct claim_list *list = argument;

    atomic_fetch_add(&seen.waiting, 1);
    runqueue_pop(queue, all, list);
    return NULL;
}

/* Workers with nothing to do are left their part of what there is. Whether a thread waits already
 * can't be seen from here, so one of some tries must show it. */
static void claims_are_shared_among_the_workers_that_wait(void **state)
{
    bool was_shared = false;

    (void)state;
    for (int try = 0; try < 200 && !was_shared; try++) {
        struct claim_list lists[2];
        pthread_t threads[2];

        atomic_store(&seen.waiting, 0);
        for (int i = 0; i < 2; i++)
            thread_start(&threads[i], "worker", take_once, &lists[i]);
        while (atomic_load(&seen.waiting) < 2)
            poll(NULL, 0, 1);
        poll(NULL, 0, 2);
        push("b b b b b b b b");
        for (int i = 0; i < 2; i++)
            thread_join(threads[i]);
        struct claim_list rest;
        runqueue_empty(queue, &rest);
        assert_int_equal(lists[0].count + lists[1].count + rest.count, 8);
        was_shared = lists[0].count == 4 || lists[1].count == 4;
        for (int i = 0; i < 2; i++)
            for (struct claim *claim; (claim = claim_list_pop(&lists[i]));)
                claim_free(claim);
        for (struct claim *claim; (claim = claim_list_pop(&rest));)
            claim_free(claim);
    }
    assert_true(was_shared);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(claims_that_go_one_way_come_together_in_their_order),
        TEST(a_worker_takes_no_more_than_it_can_execute),
        TEST(what_is_put_back_comes_first_in_its_order_the_way_it_goes_now),
        TEST(what_is_put_back_into_a_closed_queue_stays_with_its_worker),
        TEST(room_is_counted_in_claims_and_in_operations_that_are_left),
        TEST(slow_workers_have_little_room),
        TEST(room_for_half_of_it_is_told_once_it_is_there),
        TEST(nothing_is_lost_or_given_twice_among_several_workers),
        TEST(claims_are_shared_among_the_workers_that_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
