/* See load.h. */
#include "load.h"

#include "works.h"

#include "base/text.h"
#include "engine/board.h"
#include "engine/bundle.h"
#include "engine/roster.h"
#include "workers/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    EXECUTIONS_MAX = 20000,
    WARM_ROUNDS = 40,
    HANDLERS_MAX = 32,
    FIELD_SIZE = 96,
    FIRST_ID = 1000
};

struct load_seen load_seen;
bool load_follows;

static struct {
    struct claim *claim;
    enum disposition disposition;
    size_t settled; /* operations, in this execution of the claim */
    bool is_out;    /* settled to its end */
} lanes[LOAD_LANES_MAX];

static int lane_count, next_id;
static struct runqueue *queue;
static bool is_queued;
static struct board *board;
static struct roster *roster;

static const struct heddle_handler *const *all_handlers(void)
{
    static const struct heddle_handler *all[HANDLERS_MAX];
    size_t count = 0;

    for (const struct heddle_handler *const *h = works_handlers; *h; h++)
        all[count++] = *h;
    for (const struct heddle_handler *const *h = workers_registry(); *h; h++)
        all[count++] = *h;
    assert_true(count < HANDLERS_MAX);
    return all;
}

static int number_of(const struct claim *claim)
{
    for (int i = 0; i < lane_count; i++)
        if (lanes[i].claim == claim)
            return i;
    fail_msg("a claim that is not of the load was settled");
    return 0;
}

/* Parts of a claim are settled in their order, each operation once, and nothing behind its end. */
static void note(const struct settlement *settlement)
{
    const int i = number_of(settlement->claim);

    assert_false(lanes[i].is_out);
    assert_true(settlement->count == 0 || settlement->first == lanes[i].settled);
    lanes[i].settled += settlement->count;
    assert_true(lanes[i].settled <= settlement->claim->operation_count);
    lanes[i].disposition = settlement->disposition;
    lanes[i].is_out = settlement->disposition != LANE_KEEP;
}

static void open_queue(void)
{
    queue = runqueue_new(LOAD_LANES_MAX, LOAD_LANES_MAX * LOAD_DEPTH_MAX, bundle_way,
                         &scene.runs.shared);
    runqueue_join(queue);
    is_queued = false;
}

static void close_queue(void)
{
    struct claim_list rest;

    runqueue_close(queue, &rest);
    while (claim_list_pop(&rest))
        continue;
    runqueue_free(queue);
}

static void close_board(void)
{
    roster_free(roster);
    board_free(board);
    roster = NULL;
    board = NULL;
}

static void forget_lanes(void)
{
    for (int i = 0; i < lane_count; i++)
        claim_free(lanes[i].claim);
    memset(lanes, 0, sizeof lanes);
    lane_count = 0;
}

static int open_works(void)
{
    tell("drop schema if exists works cascade; create schema works;"
         "create table works.effects (seq bigserial, lane text, id uuid, op text, how text,"
         " tx bigint default txid_current());"
         "create sequence works.terminated");
    return 0;
}

int load_open(void **state)
{
    scene_open_prepared(state);
    return open_works();
}

int load_open_unprepared(void **state)
{
    scene_open_unprepared(state);
    return open_works();
}

int load_close(void **state)
{
    tell("drop schema works cascade");
    return scene_close(state);
}

int load_set_up(void **state)
{
    tell("truncate heddle.lane_tails, heddle.lane_heads, heddle.outbox, works.effects;"
         "alter sequence works.terminated restart");
    scene_set_up(state);
    runs_listen(note);
    next_id = FIRST_ID;
    open_queue();
    load_configure(128, 10000000);
    load_seen = (struct load_seen){0};
    load_follows = false;
    return 0;
}

int load_tear_down(void **state)
{
    close_queue();
    forget_lanes();
    runs_listen(NULL);
    int failed = scene_tear_down(state);
    close_board();
    return failed;
}

void load_configure(int bundle_max, int64_t bundle_us)
{
    close_queue();
    runs_done(&scene.runs);
    close_board();
    scene.runs.options.handlers = all_handlers();
    scene.runs.options.bundle_max = bundle_max;
    scene.runs.options.bundle_us = bundle_us;
    runs_start(&scene.runs);
    board = board_new(1);
    roster = roster_new(1, board);
    runner_show(scene.runs.runner, roster, 0);
    open_queue();
}

void load_warm_up(void)
{
    for (int round = 0; round < WARM_ROUNDS; round++) {
        struct claim *claim = load_lane("warm");
        for (int i = 0; i < LOAD_DEPTH_MAX; i++)
            load_add(claim, "pure", "ok");
        load_run();
        forget_lanes();
    }
    load_seen = (struct load_seen){0};
}

struct claim *load_lane(const char *user)
{
    struct claim *claim = calloc(1, sizeof *claim + LOAD_DEPTH_MAX * sizeof *claim->operations);

    assert_true(lane_count < LOAD_LANES_MAX);
    arena_init(&claim->arena, 0);
    claim->operations = (struct claimed_operation *)(claim + 1);
    claim->seq = 1;
    claim->lane = text_of(arena_format(&claim->arena, "%s", user));
    lanes[lane_count++].claim = claim;
    return claim;
}

const char *load_add_as(struct claim *claim, const char *id, const char *op, const char *thread,
                        const char *payload)
{
    assert_true(claim->operation_count < LOAD_DEPTH_MAX);
    struct heddle_operation *operation = &claim->operations[claim->operation_count++].operation;

    snprintf(operation->id, sizeof operation->id, "%s", id);
    operation->user = claim->lane;
    operation->op = text_of(arena_format(&claim->arena, "%s", op));
    operation->thread = text_of(arena_format(&claim->arena, "%s", thread));
    operation->payload = text_of(arena_format(&claim->arena, "%s", payload));
    operation->submitted_us = INT64_C(1700000000000000);
    operation->attempt = 1;
    return operation->id;
}

const char *load_add(struct claim *claim, const char *op, const char *how)
{
    char id[HEDDLE_ID_SIZE + 1], payload[FIELD_SIZE];

    snprintf(id, sizeof id, "00000000-0000-4000-8000-%012d", ++next_id);
    snprintf(payload, sizeof payload, "{\"how\": \"%s\"}", how);
    return load_add_as(claim, id, op, "", payload);
}

const char *load_add_journaled(struct claim *claim, const char *op, const char *how)
{
    const char *id = load_add(claim, op, how);

    claim->operations[claim->operation_count - 1].is_journaled = true;
    ask("select heddle.submit('%s', '%s', '{\"how\": \"%s\"}', null, '%s')", claim->lane.data, op,
        how, id);
    return id;
}

/* As Redis would: the rest of the lane, the next attempt of its first operation. */
static bool comes_again(int i)
{
    struct claim *claim = lanes[i].claim;

    if (!lanes[i].is_out || lanes[i].disposition != LANE_WAIT)
        return false;
    claim->done = lanes[i].settled;
    claim->operations[claim->done].operation.attempt++;
    claim->alone_until = claim->careful_until = 0;
    claim->seq++;
    lanes[i].is_out = false;
    return true;
}

void load_push(void)
{
    struct claim_list list;

    if (is_queued)
        return;
    is_queued = true;
    claim_list_init(&list);
    for (int i = 0; i < lane_count; i++)
        if (!lanes[i].is_out)
            claim_list_push(&list, lanes[i].claim);
    runqueue_push(queue, &list);
}

static bool is_any_in_queue(void)
{
    return runqueue_count(queue) > 0;
}

void load_step(void)
{
    struct claim_list list;

    load_push();
    if (!is_any_in_queue())
        return;
    if (load_seen.executions++ == EXECUTIONS_MAX)
        fail_msg("the lanes never end");
    assert_true(runqueue_pop(queue, runner_appetite(scene.runs.runner), &list));
    runner_execute(scene.runs.runner, &list);
    assert_int_equal(userlock_count(scene.runs.shared.locks), 0);
    runqueue_put_back(queue, &list);
}

void load_run(void)
{
    bool is_any_back = true;

    while (is_any_back) {
        do
            load_step();
        while (is_any_in_queue() && !atomic_load(&scene.runs.shared.is_stopping));
        is_any_back = false;
        for (int i = 0; i < lane_count; i++)
            is_any_back |= comes_again(i);
        is_queued = is_any_in_queue();
    }
}

/* As at the end of a processor. */
static void empty_queue(void)
{
    struct claim_list rest;

    runqueue_empty(queue, &rest);
    while (claim_list_pop(&rest))
        continue;
    is_queued = false;
}

void load_resume(void)
{
    empty_queue();
    atomic_store(&scene.runs.shared.is_stopping, false);
    for (int i = 0; i < lane_count; i++) {
        struct claim *claim = lanes[i].claim;
        if (lanes[i].settled == claim->operation_count)
            continue;
        claim->done = lanes[i].settled;
        claim->alone_until = claim->careful_until = 0;
        claim->seq++;
        lanes[i].is_out = false;
    }
    load_run();
}

int load_left(void)
{
    int left = 0;

    for (int i = 0; i < lane_count; i++)
        left += lanes[i].settled < lanes[i].claim->operation_count;
    return left;
}

const struct board *load_board(void)
{
    return board;
}

struct claimed_operation *load_operation(const char *id)
{
    for (int i = 0; i < lane_count; i++)
        for (size_t k = 0; k < lanes[i].claim->operation_count; k++)
            if (strcmp(lanes[i].claim->operations[k].operation.id, id) == 0)
                return &lanes[i].claim->operations[k];
    fail_msg("no lane has %s", id);
    return NULL;
}

const char *load_end(const char *id)
{
    const enum heddle_end end = load_operation(id)->end;

    return end == HEDDLE_END_NONE ? "waits" : heddle_end_name(end);
}

const char *load_result(const char *id)
{
    return load_operation(id)->result.data;
}

enum disposition load_disposition(const struct claim *claim)
{
    return lanes[number_of(claim)].disposition;
}

const char *load_ledger(const char *id)
{
    return ask("select state || ' ' || attempt from heddle.operations where id = '%s'", id);
}

const char *load_transactions(void)
{
    return ask("select count(distinct tx) from works.effects");
}

const char *load_deepest(void)
{
    return ask("select max(n) from (select count(*) as n from works.effects group by tx) as t");
}

const char *load_effects(const char *user)
{
    return ask("select string_agg(how, ' ' order by seq) from works.effects where lane = '%s'",
               user);
}
