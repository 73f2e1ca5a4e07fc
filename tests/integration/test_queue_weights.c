/* Weights: service is shared by them, and a change is felt by the backlog that there is. The
 * functions of heddle.lua, called directly. */
#include "limits.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { USERS = 4, SECOND_US = 1000000, MOST_TURNS = 3000 };

static const char *const users[USERS] = {"ann", "bob", "cal", "dan"};

static void submit(const char *user, enum heddle_priority priority)
{
    const struct heddle_submission submission = {
        .user = text_of(user),
        .op = TEXT("work"),
        .payload = TEXT(""),
        .flow.priority = priority,
    };

    desk_submit_as(&submission);
}

/* One operation of the lane that is next, which has another one then; it has cost costs_us[user].
 * Returns the user. */
static size_t serve(const int64_t costs_us[USERS])
{
    struct claim *claim = desk_take("p", 1);
    size_t user = 0;

    while (strcmp(claim->lane.data, users[user]) != 0)
        user++;
    submit(users[user], claim->operations[0].operation.flow.priority);
    desk_end(claim, 0, 1, false);
    const struct settlement settlement = {
        .claim = claim, .count = 1, .disposition = LANE_RELEASE, .cost_us = costs_us[user]};
    desk_settle_as("p", &settlement, NULL, NULL);
    claim_free(claim);
    return user;
}

/* How often each is served, of `turns`. */
static void serve_many(int turns, const int64_t costs_us[USERS], int served[USERS])
{
    memset(served, 0, USERS * sizeof *served);
    for (int i = 0; i < turns; i++)
        served[serve(costs_us)]++;
}

/* How many turns others have before this user's next. */
static int turns_before(size_t user, const int64_t costs_us[USERS])
{
    int turns = 0;

    while (turns < MOST_TURNS && serve(costs_us) != user)
        turns++;
    return turns;
}

static void assert_about(int found, int expected)
{
    assert_in_range(found, expected - 3, expected + 3);
}

static void service_is_shared_by_weight(void **state)
{
    static const int64_t same[USERS] = {1000, 1000, 1000, 1000};
    int served[USERS];

    (void)state;
    for (size_t user = 0; user < USERS; user++)
        submit(users[user], HEDDLE_PRIORITY_NORMAL);
    limits_control("weight", "user:ann", "{\"weight\":3}");
    limits_control("weight", "plan:gold", "{\"weight\":2}");
    limits_control("plan", "user:cal", "{\"plan\":\"gold\"}");
    limits_control("weight", "user:dan", "{\"weight\":0.5}");
    limits_control("plan", "user:dan", "{\"plan\":\"gold\"}"); /* it has one of its own */
    serve_many(650, same, served);
    assert_about(served[0], 300);
    assert_about(served[1], 100);
    assert_about(served[2], 200);
    assert_about(served[3], 50);
}

static void time_is_shared_not_turns(void **state)
{
    static const int64_t costs_us[USERS] = {10000, 1000};
    int served[USERS];

    (void)state;
    submit("ann", HEDDLE_PRIORITY_NORMAL);
    submit("bob", HEDDLE_PRIORITY_NORMAL);
    limits_control("weight", "user:ann", "{\"weight\":4}");
    serve_many(280, costs_us, served);
    assert_about(served[0], 80);
    assert_about(served[1], 200);
}

/* ann is a second ahead of her share; bob's operations take a thousandth of that. */
static void let_ann_be_ahead(enum heddle_priority priority, int64_t costs_us[USERS])
{
    costs_us[0] = SECOND_US;
    costs_us[1] = SECOND_US / 1000;
    submit("ann", priority);
    submit("bob", priority);
    while (serve(costs_us) != 0)
        continue;
}

static void a_new_weight_is_felt_at_once(void **state)
{
    static const enum heddle_priority priorities[] = {
        HEDDLE_PRIORITY_NORMAL, HEDDLE_PRIORITY_INTERACTIVE, HEDDLE_PRIORITY_BULK};
    int64_t costs_us[USERS];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        desk_install(1);
        let_ann_be_ahead(priorities[i], costs_us);
        limits_control("weight", "user:ann", "{\"weight\":100}");
        assert_about(turns_before(0, costs_us), 10);
        limits_control("weight", "user:ann", "{\"weight\":50}");
        assert_about(turns_before(0, costs_us), 20);
        limits_control("weight", "user:ann", "");
        assert_in_range(turns_before(0, costs_us), 900, 1001);
    }
}

static void so_is_that_of_a_plan(void **state)
{
    int64_t costs_us[USERS];

    (void)state;
    let_ann_be_ahead(HEDDLE_PRIORITY_NORMAL, costs_us);
    limits_control("weight", "plan:gold", "{\"weight\":100}");
    limits_control("plan", "user:ann", "{\"plan\":\"gold\"}");
    assert_about(turns_before(0, costs_us), 10);
    limits_control("weight", "plan:gold", "{\"weight\":50}");
    assert_about(turns_before(0, costs_us), 20);
    limits_control("weight", "user:bob", "{\"weight\":2}");
    assert_about(turns_before(0, costs_us), 40);
    limits_control("plan", "user:ann", "");
    assert_in_range(turns_before(0, costs_us), 1800, 2002);
}

static void what_is_taken_back_leaves_nothing(void **state)
{
    (void)state;
    limits_control("weight", "plan:gold", "{\"weight\":100}");
    limits_control("plan", "user:ann", "{\"plan\":\"gold\"}");
    assert_int_equal(desk_number("HEXISTS", "heddle:{0}:meta", "rules", NULL), 1);
    limits_control("weight", "plan:gold", "");
    limits_control("plan", "user:ann", "");
    assert_int_equal(desk_number("HEXISTS", "heddle:{0}:meta", "rules", NULL), 0);
    assert_int_equal(
        desk_number("EXISTS", "heddle:{0}:controls.weight", "heddle:{0}:controls.plan", NULL), 0);
}

static bool is_shared_by_weight(void)
{
    static const int64_t costs_us[USERS] = {10000, 1000, 1000, 0};
    int served[USERS];

    submit("ann", HEDDLE_PRIORITY_NORMAL);
    submit("bob", HEDDLE_PRIORITY_NORMAL);
    submit("cal", HEDDLE_PRIORITY_NORMAL);
    limits_control("weight", "user:ann", "{\"weight\":10}");
    limits_control("weight", "plan:gold", "{\"weight\":2}");
    limits_control("plan", "user:cal", "{\"plan\":\"gold\"}");
    serve_many(400, costs_us, served);
    return abs(served[0] - 100) <= 3 && abs(served[1] - 100) <= 3 && abs(served[2] - 200) <= 3;
}

static bool is_felt_at_once(void)
{
    int64_t costs_us[USERS];

    let_ann_be_ahead(HEDDLE_PRIORITY_NORMAL, costs_us);
    limits_control("weight", "user:ann", "{\"weight\":100}");
    return turns_before(0, costs_us) < 20;
}

static bool is_felt_by_a_plan_at_once(void)
{
    int64_t costs_us[USERS];

    limits_control("plan", "user:ann", "{\"plan\":\"gold\"}");
    let_ann_be_ahead(HEDDLE_PRIORITY_NORMAL, costs_us);
    limits_control("weight", "plan:gold", "{\"weight\":100}");
    return turns_before(0, costs_us) < 20;
}

static const struct desk_mutant mutants[] = {
    {"control.weigh(k, s.starts, args)", "", is_shared_by_weight},
    {"if control.has(rules, 'plan') then add_plans(k, weights, targets) end", "",
     is_shared_by_weight},
    {"tag = tag + args[at + 3]", "tag = tag + 1000", is_shared_by_weight},
    {"rescale_user(k, user, tonumber(old or other), tonumber(new or other))", "", is_felt_at_once},
    {"rescale_plan(k, plan, tonumber(old or 1), tonumber(new or 1))", "",
     is_felt_by_a_plan_at_once},
};

static void each_broken_rule_breaks_its_experiment(void **state)
{
    (void)state;
    desk_try_mutants(mutants, sizeof mutants / sizeof *mutants);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(service_is_shared_by_weight),       TEST(time_is_shared_not_turns),
        TEST(a_new_weight_is_felt_at_once),      TEST(so_is_that_of_a_plan),
        TEST(what_is_taken_back_leaves_nothing), TEST(each_broken_rule_breaks_its_experiment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
