/* Every call of hiredis fails in turn while operations are submitted, claimed, settled and waited
 * for: n from 1 until nothing fails. Each failure is one to try again after, with the link closed;
 * whoever goes on as documented finds each operation handed out once, in order, and ended. */
#include "desk.h"
#include "redis_faults.h"

#include "fixture.h"

#include "base/log.h"
#include "base/text.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OPERATIONS = 2, SITES_MAX = 200 };

#define ID(n) "00000000-0000-4000-8000-00000000000" #n

static const struct heddle_submission submissions[OPERATIONS] = {
    {.user = TEXT("ann"), .op = TEXT("work"), .payload = TEXT("{}"), .id = TEXT(ID(1))},
    {.user = TEXT("ann"), .op = TEXT("work"), .payload = TEXT("{}"), .id = TEXT(ID(2))}};

/* One pass: a client and a processor with connections of their own. */
struct pass {
    struct heddle_client *client;
    struct redis_link *link;
    struct command command;
    struct heddle_error err;
    struct heddle_receipt receipts[OPERATIONS];
    struct claim *claim;
    bool wants_late; /* the results are asked for after the claim, not at submission */
    bool has_retried;
    int delivered;
};

/* True where the step failed, as it may once. `link` is that of the step, NULL for the client's. */
static bool again(struct pass *pass, heddle_status status, const struct redis_link *link)
{
    if (status == HEDDLE_OK)
        return false;
    redis_faults.is_armed = false;
    if (status != HEDDLE_RETRY || pass->has_retried || !redis_faults.has_failed)
        fail_msg("fault %d at %d: %s %s", (int)redis_faults.kind, redis_faults.at,
                 heddle_status_name(status), pass->err.text);
    assert_true(strlen(pass->err.text) > 0);
    assert_false(link && redis_is_connected(link));
    assert_true(desk_is_sound());
    redis_faults.is_armed = true;
    pass->has_retried = true;
    pass->err = (struct heddle_error){0};
    return true;
}

static void submit(struct pass *pass)
{
    struct heddle_submission copies[OPERATIONS];

    memcpy(copies, submissions, sizeof copies);
    for (size_t i = 0; i < OPERATIONS; i++)
        copies[i].reply = !pass->wants_late;
    while (again(pass,
                 heddle_client_submit(pass->client, copies, OPERATIONS, pass->receipts, &pass->err),
                 NULL))
        ;
    for (size_t i = 0; i < OPERATIONS; i++) {
        assert_int_equal(pass->receipts[i].status, HEDDLE_OK);
        assert_string_equal(pass->receipts[i].id, submissions[i].id.data);
        assert_string_equal(pass->receipts[i].state, "queued");
    }
}

static bool every_one(void *argument, struct heddle_text lane, uint64_t seq)
{
    (void)argument;
    (void)seq;
    assert_string_equal(lane.data, "ann");
    return true;
}

static heddle_status try_claim(struct pass *pass)
{
    const struct lanes_request request = desk_request("p", 4, 4);
    struct lanes_answer answer;

    heddle_status status = lanes_claim_send(pass->link, &pass->command, 0, &request, &pass->err);
    if (status == HEDDLE_OK)
        status = lanes_claim_receive(pass->link, 0, &request, &answer, &pass->err);
    if (status == HEDDLE_OK)
        pass->claim = desk_only(&answer);
    return status;
}

/* A claim that nobody heard of is given back, and can be claimed again. */
static void take(struct pass *pass)
{
    char cursor[24] = "0";
    int freed = 0;

    while (again(pass,
                 lanes_beat(pass->link, &pass->command, 1, "p", DESK_LEASE_MS, &freed, &pass->err),
                 pass->link))
        ;
    while (again(pass, try_claim(pass), pass->link))
        assert_int_equal(lanes_give_back(pass->link, &pass->command, 0, "p", cursor, every_one,
                                         NULL, &pass->err),
                         HEDDLE_OK);
    assert_non_null(pass->claim);
    assert_int_equal(pass->claim->operation_count, OPERATIONS);
    for (size_t i = 0; i < OPERATIONS; i++) {
        assert_string_equal(pass->claim->operations[i].operation.id, submissions[i].id.data);
        assert_int_equal(pass->claim->operations[i].operation.attempt, 1);
    }
}

static void deliver_late(void *argument, struct heddle_text id)
{
    struct pass *pass = argument;

    /* Where it fails, the waiter's own question finds the result. */
    (void)again(pass,
                lanes_reply(pass->link, &pass->command, 0, DESK_TTL_MS, id,
                            pass->claim->operations[0].result, &pass->err),
                pass->link);
}

static heddle_status try_settle(struct pass *pass)
{
    const struct settlement settlement = {
        .claim = pass->claim, .count = OPERATIONS, .disposition = LANE_RELEASE};

    heddle_status status =
        lanes_settle_send(pass->link, &pass->command, 0, "p", DESK_TTL_MS, &settlement, &pass->err);
    return status == HEDDLE_OK ? lanes_settle_receive(pass->link, deliver_late, pass, &pass->err)
                               : status;
}

static void settle(struct pass *pass)
{
    desk_end(pass->claim, 0, OPERATIONS, true);
    while (again(pass, try_settle(pass), pass->link))
        ;
    while (again(pass, lanes_release(pass->link, &pass->command, 1, "p", &pass->err), pass->link))
        ;
}

static void deliver(void *argument, size_t index, const char *json, size_t size)
{
    struct pass *pass = argument;

    (void)index;
    pass->delivered++;
    assert_true(json && size > 0);
}

/* An answer that was lost took its result along; the question by id still has it. */
static void wait_for(struct pass *pass, size_t index)
{
    size_t next;

    if (!again(pass,
               heddle_client_await_many(pass->client, &pass->receipts[index], 1,
                                        pass->has_retried ? 50 : DESK_TIMEOUT_MS, deliver, pass,
                                        &next, &pass->err),
               NULL))
        return;
    assert_int_equal(next, 0);
}

static void look_up(struct pass *pass, size_t index)
{
    char state[16] = "", *result = NULL;

    while (again(pass,
                 heddle_client_status(pass->client, TEXT("ann"), submissions[index].id.data, state,
                                      &result, &pass->err),
                 NULL))
        ;
    assert_string_equal(state, "done");
    assert_non_null(result);
    assert_true(strlen(result) > 0);
    free(result);
}

static void want(struct pass *pass)
{
    for (size_t i = 0; i < OPERATIONS; i++) {
        while (again(pass,
                     heddle_client_want(pass->client, TEXT("ann"), submissions[i].id.data,
                                        &pass->receipts[i], &pass->err),
                     NULL))
            ;
        assert_string_equal(pass->receipts[i].state, "running");
    }
}

static void run_pass(bool wants_late)
{
    struct pass pass = {.wants_late = wants_late};

    assert_int_equal(redis_new(fixture_redis(), DESK_TIMEOUT_MS, &pass.link, &pass.err), HEDDLE_OK);
    assert_int_equal(heddle_client_new(fixture_redis(), DESK_TIMEOUT_MS, &pass.client, &pass.err),
                     HEDDLE_OK);
    command_init(&pass.command);
    redis_faults.is_armed = true;
    submit(&pass);
    take(&pass);
    if (wants_late)
        want(&pass);
    settle(&pass);
    if (!pass.has_retried)
        for (size_t i = 0; i < OPERATIONS; i++)
            wait_for(&pass, i);
    for (size_t i = 0; i < OPERATIONS; i++)
        look_up(&pass, i);
    redis_faults.is_armed = false;
    assert_in_range(pass.delivered, pass.has_retried ? 0 : OPERATIONS, OPERATIONS);
    claim_free(pass.claim);
    command_done(&pass.command);
    heddle_client_free(pass.client);
    redis_free(pass.link);
}

/* The fault at every site; returns how many there were. */
static int iterate(enum redis_fault kind, void (*body)(bool variant), bool variant)
{
    for (int at = 1; at < SITES_MAX; at++) {
        desk_install(1);
        char *before = strdup(desk_keys());
        redis_faults = (struct redis_faults){.kind = kind, .at = at};
        body(variant);
        redis_faults.is_armed = false;
        assert_true(desk_is_sound());
        desk_assert_state("ann", "gone");
        assert_string_equal(desk_keys(), before);
        free(before);
        if (!redis_faults.has_failed) {
            print_message("fault %d: %d sites\n", (int)kind, at - 1);
            return at - 1;
        }
    }
    fail_msg("the sites never end");
    return 0;
}

static void a_call_that_fails_anywhere_loses_and_repeats_nothing(void **state)
{
    (void)state;
    for (int kind = REDIS_FAULT_UNSENT; kind <= REDIS_FAULT_SILENCE; kind++)
        for (int wants_late = 0; wants_late < 2; wants_late++)
            assert_in_range(iterate((enum redis_fault)kind, run_pass, wants_late), 20, SITES_MAX);
}

/* AUTH and SELECT: the address has a password and a database. */
static void introduce(bool unused)
{
    struct heddle_error err = {0};
    struct redis_link *link;
    char address[300];

    (void)unused;
    snprintf(address, sizeof address, "%s?db=1", fixture_redis());
    assert_int_equal(redis_new(address, DESK_TIMEOUT_MS, &link, &err), HEDDLE_OK);
    redis_faults.is_armed = true;
    for (int tries = 0; tries < 2; tries++) {
        AUTO_REPLY reply = NULL;
        heddle_status status = redis_callf(link, &reply, &err, "PING", NULL);
        assert_int_equal(redis_is_connected(link), status == HEDDLE_OK);
        assert_int_equal(reply != NULL, status == HEDDLE_OK);
        assert_true(status == HEDDLE_OK || (status == HEDDLE_RETRY && tries == 0));
        if (status == HEDDLE_OK)
            break;
    }
    redis_faults.is_armed = false;
    redis_free(link);
}

/* A processor that waits to be woken. */
static void poll_link(bool unused)
{
    struct heddle_error err = {0};
    struct redis_link *link;
    static const char *const ping[] = {"PING"};
    static const size_t sizes[] = {4};

    (void)unused;
    assert_int_equal(redis_new(fixture_redis(), DESK_TIMEOUT_MS, &link, &err), HEDDLE_OK);
    redis_faults.is_armed = true;
    for (int tries = 0; tries < 2; tries++) {
        AUTO_REPLY first = NULL;
        AUTO_REPLY second = NULL;
        heddle_status status = redis_append(link, 1, ping, sizes, &err);
        if (status == HEDDLE_OK)
            status = redis_append(link, 1, ping, sizes, &err);
        if (status == HEDDLE_OK)
            status = redis_next(link, 0, &first, &err);
        while (status == HEDDLE_OK && !second)
            status = redis_poll(link, &second, &err);
        assert_int_equal(redis_is_connected(link), status == HEDDLE_OK);
        assert_true(status == HEDDLE_OK || (status == HEDDLE_RETRY && tries == 0));
        if (status == HEDDLE_OK)
            break;
    }
    redis_faults.is_armed = false;
    redis_free(link);
}

static void a_link_that_fails_anywhere_is_closed_and_opens_again(void **state)
{
    (void)state;
    for (int kind = REDIS_FAULT_UNSENT; kind <= REDIS_FAULT_SILENCE; kind++) {
        assert_in_range(iterate((enum redis_fault)kind, introduce, false), 5, SITES_MAX);
        assert_in_range(iterate((enum redis_fault)kind, poll_link, false), 6, SITES_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_that_fails_anywhere_loses_and_repeats_nothing,
                                        desk_set_up, desk_tear_down),
        cmocka_unit_test_setup_teardown(a_link_that_fails_anywhere_is_closed_and_opens_again,
                                        desk_set_up, desk_tear_down),
    };
    /* What is ordered here is reported by the test itself. */
    log_configure((enum heddle_log_level)(HEDDLE_LOG_ERROR + 1), LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
