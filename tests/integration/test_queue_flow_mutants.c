/* The library of functions with a rule of scheduled operations or of unique keys broken; as
 * test_queue_mutants.c. */
#include "desk.h"

#include "base/clock.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is_state(const char *lane, const char *expected)
{
    return strcmp(desk_state(lane), expected) == 0;
}

static struct heddle_receipt submit_unique(const char *payload)
{
    return desk_submit_as(&(struct heddle_submission){
        .user = TEXT("ann"),
        .op = TEXT("work"),
        .payload = text_of(payload),
        .flow = {.unique_key = TEXT("k"), .replaces = *payload != '\0'}});
}

static bool what_was_claimed_keeps_its_payload(void)
{
    submit_unique("");
    claim_free(desk_take("p", 1));
    desk_release("p");
    submit_unique("{\"n\":2}");
    return is_state("ann", "2 ready");
}

static bool an_end_leaves_anothers_key(void)
{
    submit_unique("");
    struct claim *claim = desk_take("p", 1);
    const struct heddle_receipt second = submit_unique("{\"n\":2}");
    desk_settle("p", claim, 0, 1, LANE_RELEASE);
    claim_free(claim);
    return strcmp(submit_unique("").id, second.id) == 0;
}

static bool a_stray_key_swallows_nothing(void)
{
    submit_unique("");
    redis_reply_free(desk_call("DEL", "heddle:{0}:lane:ann", "heddle:{0}:ready", "heddle:{0}:ops",
                               "heddle:{0}:uniques", NULL));
    submit_unique("");
    return is_state("ann", "1 ready");
}

/* Due now, as if a minute had passed. */
static void submit_late(void)
{
    desk_submit_as(&(struct heddle_submission){
        .user = TEXT("ann"), .op = TEXT("work"), .flow = {.delay_ms = 60000, .expires_ms = 1}});
    AUTO_REPLY reply = desk_call("ZPOPMIN", "heddle:{0}:scheduled", NULL);
    redis_reply_free(desk_call("ZADD", "heddle:{0}:scheduled", "1",
                               redis_reply_text(redis_reply_at(reply, 0)).data, NULL));
}

static bool what_is_due_enters_once(void)
{
    submit_late();
    claim_free(desk_take("p", 1));
    claim_free(desk_take("q", 1));
    return is_state("ann", "1 claimed");
}

static bool it_expires_from_when_it_is_due(void)
{
    submit_late();
    clock_sleep_ms(3);
    struct claim *claim = desk_take("p", 1);
    const bool has_expired = claimed_has_expired(&claim->operations[0]);
    claim_free(claim);
    return !has_expired;
}

static const struct desk_mutant mutants[] = {
    {"if byte(record, 2) < FLAG_FRESH then return record end", "if true then return record end",
     what_was_claimed_keeps_its_payload},
    {"local is_its = key and call('GET', key) == id", "local is_its = key",
     an_end_leaves_anothers_key},
    {"elseif not record and call('PTTL', key) < 0 then", "elseif false then",
     a_stray_key_swallows_nothing},
    {"call('ZREM', k.scheduled, unpack(ids))", "", what_is_due_enters_once},
    {"record_of(o, due_us or at_us)", "record_of(o, at_us)", it_expires_from_when_it_is_due},
};

static void each_broken_rule_breaks_its_experiment(void **state)
{
    (void)state;
    desk_try_mutants(mutants, sizeof mutants / sizeof *mutants);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_broken_rule_breaks_its_experiment, desk_set_up,
                                        desk_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
