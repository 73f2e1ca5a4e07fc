/* Claims split into strands, and joined again. */
#include "queue/strands.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 60, THREADS = 7, PLACES = 3 };

static const char *const threads[THREADS] = {"", "a", "b", "c", "d", "e", "f"};

/* Its operations are numbered by their attempts, and are of several threads in turn. */
static struct claim *new_claim(size_t count, int thread_count)
{
    struct claim *claim = calloc(1, sizeof *claim + COUNT * sizeof *claim->operations);

    claim->operations = (struct claimed_operation *)(claim + 1);
    arena_init(&claim->arena, 0);
    claim->lane = TEXT("ann");
    claim->seq = 5;
    claim->partition = 2;
    claim->operation_count = count;
    for (size_t i = 0; i < count; i++) {
        claim->operations[i].operation.attempt = (int)i;
        claim->operations[i].operation.thread = text_of(threads[i % (size_t)thread_count]);
    }
    return claim;
}

static struct claim_list split(struct claim *claim, int places)
{
    struct claim_list list;

    claim_list_init(&list);
    strands_split(claim, places, &list);
    return list;
}

static void a_thread_is_in_one_strand_in_its_order(void **state)
{
    struct claim *whole = new_claim(COUNT, THREADS), *strand;
    const struct claim *owners[THREADS] = {NULL};
    int newest[THREADS], used = 0;
    size_t count = 0;

    (void)state;
    memset(newest, -1, sizeof newest);
    struct claim_list list = split(whole, PLACES);
    assert_in_range(list.count, 2, PLACES);
    while ((strand = claim_list_pop(&list))) {
        assert_int_equal(strand->places, PLACES);
        assert_in_range(strand->place, 0, PLACES - 1);
        assert_false(used & 1 << strand->place);
        used |= 1 << strand->place;
        assert_int_equal(strand->seq, 5);
        assert_int_equal(strand->partition, 2);
        assert_string_equal(strand->lane.data, "ann");
        for (size_t i = 0; i < strand->operation_count; i++, count++) {
            const int number = strand->operations[i].operation.attempt;
            const int thread = number % THREADS;
            assert_true(!owners[thread] || owners[thread] == strand);
            owners[thread] = strand;
            assert_true(number > newest[thread]);
            newest[thread] = number;
        }
    }
    assert_int_equal(count, COUNT);
    /* What is looked for in the whole is found in a strand. */
    claimed_cancel(&whole->operations[COUNT - 1], CANCEL_ASKED);
    claim_free(whole);
}

static void what_has_one_strand_is_its_own(void **state)
{
    (void)state;
    for (int places = 1; places <= PLACES; places += PLACES - 1) {
        struct claim *claim = new_claim(5, places == 1 ? THREADS : 1);
        struct claim_list list = split(claim, places);
        assert_ptr_equal(list.first, claim);
        assert_int_equal(list.count, 1);
        assert_null(claim->strands);
        assert_int_equal(claim->places, places == 1 ? 0 : places);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(claim->operations[i].operation.attempt, (int)i);
        claim_free(claim);
    }
}

/* Each strand ends so, after its first operation: what the whole ends with. */
static struct settlement join(struct claim *whole, const struct settlement *const *ends,
                              size_t count)
{
    struct claim_list list = split(whole, STRANDS_MAX);
    struct settlement end;

    assert_int_equal(list.count, count);
    for (size_t i = 0; i < count; i++) {
        struct settlement own = *ends[i];
        own.claim = claim_list_pop(&list);
        own.count = 1;
        own.cost_us = 7;
        assert_int_equal(strands_join(&own, &end), i == count - 1);
    }
    assert_ptr_equal(end.claim, whole);
    assert_int_equal(end.count, 0);
    assert_int_equal(end.cost_us, 0);
    return end;
}

static void a_lane_is_left_as_is_most_binding(void **state)
{
    static const struct settlement released = {.disposition = LANE_RELEASE},
                                   soon = {.disposition = LANE_WAIT, .wait_ms = 10},
                                   later = {.disposition = LANE_PAUSE, .wait_ms = 20},
                                   halted = {.disposition = LANE_HALT, .reason = "failed"};
    static const struct {
        const struct settlement *ends[3];
        enum disposition expected;
        size_t binding;
    } cases[] = {
        {{&released, &released, &released}, LANE_RELEASE, 0},
        {{&released, &soon, &released}, LANE_WAIT, 1},
        {{&soon, &later, &released}, LANE_PAUSE, 1},
        {{&later, &soon, &released}, LANE_PAUSE, 0},
        {{&released, &halted, &later}, LANE_HALT, 1},
        {{&halted, &later, &soon}, LANE_HALT, 0},
        {{&soon, &released, &halted}, LANE_HALT, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct claim *whole = new_claim(6, 3);
        const struct settlement end = join(whole, cases[i].ends, 3);
        assert_int_equal(end.disposition, cases[i].expected);
        assert_int_equal(end.wait_ms, cases[i].ends[cases[i].binding]->wait_ms);
        assert_string_equal(end.reason, cases[i].ends[cases[i].binding]->reason);
        /* Each had two operations and ended one. */
        assert_int_equal(end.first, 2 * cases[i].binding + 1);
        claim_free(whole);
    }
}

static void events_of_all_strands_are_told(void **state)
{
    struct claim *whole = new_claim(6, 3), *strand;
    struct claim_event events[3] = {{NULL, "0"}, {NULL, "1"}, {NULL, "2"}};
    struct claim_list list = split(whole, STRANDS_MAX);
    struct settlement end;
    int seen = 0;

    (void)state;
    for (int i = 0; (strand = claim_list_pop(&list)); i++) {
        const struct settlement own = {.claim = strand, .disposition = LANE_RELEASE};
        strand->events = i == 1 ? NULL : &events[i];
        (void)strands_join(&own, &end);
    }
    for (const struct claim_event *event = whole->events; event; event = event->next)
        seen |= 1 << atoi(event->json);
    assert_int_equal(seen, 1 | 4);
    claim_free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_is_in_one_strand_in_its_order),
        cmocka_unit_test(what_has_one_strand_is_its_own),
        cmocka_unit_test(a_lane_is_left_as_is_most_binding),
        cmocka_unit_test(events_of_all_strands_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
