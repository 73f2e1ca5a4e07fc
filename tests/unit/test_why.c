/* Why an operation does not run: the reason that follows from what is known. */
#include "engine/why_reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define ID "00000000-0000-8000-8000-000000000001"
#define FIRST "00000000-0000-8000-8000-000000000002"

/* What is known; NULL: nothing. */
struct known {
    const char
        *lane; /* members of the lane, behind user and first; with it Redis has the operation */
    const char *seen;   /* members of the operation there */
    const char *queue;  /* members of the partition's answer */
    const char *first;  /* id of the lane's next operation: ID where it is NULL */
    const char *row;    /* members of the ledger's row */
    const char *ledger; /* other members of the ledger's answer */
    const char *processors;
};

struct expectation {
    const char *name;
    struct known known;
    const char *state, *reason;
    const char *says; /* words of detail or release */
};

#define P1                                                                                         \
    "{'incarnation':'p1','state':'running','workers':[{'state':'busy'},{'state':'idle'}],'queued'" \
    ":3"
#define BUSY                                                                                       \
    P1 ",'lane':{'user':'u','operations':2,'running':[{'worker':1,'op':'o','phase':'apply','"      \
       "since_ms':900,'"                                                                           \
       "ids':['" ID "']}]}}"
#define BUSY_WITH_FIRST                                                                            \
    P1 ",'lane':{'user':'u','operations':2,'running':[{'worker':1,'op':'f','phase':'apply','"      \
       "since_ms':900,'"                                                                           \
       "ids':['" FIRST "']}]}}"
#define HOLDS P1 ",'lane':{'user':'u','operations':2}}"
#define CLAIMED "'state':'claimed','holder':'p1','claimed':2,'lease_left_ms':5000"
#define PAUSE(key)                                                                                 \
    "'controls':[{'kind':'pause','key':'all','by':'nobody'},{'kind':'pause','key':'" key           \
    "','since_ms':400,'by':'ops','why':'odd'}]"
#define RETRYING                                                                                   \
    "'state':'retrying','attempt':2,'failure':{'error':{'kind':'internal','message':'it broke'}}"

static const struct expectation expectations[] = {
    {"nobody knows it", {0}, "unknown", "unknown", "neither"},
    {"ended, says the ledger",
     {.row = "'state':'failed','has_ended':true,'ended_ms':500,'code':404,'error':{'kind':'not_"
             "found'}"},
     "failed",
     "ended",
     "not_found"},
    {"ended, says the ledger, and Redis has not heard",
     {.lane = CLAIMED, .row = "'state':'done','has_ended':true,'ended_ms':500", .processors = BUSY},
     "done",
     "ended",
     "ended done"},
    {"ended, says Redis", {.queue = "'ended':'done'"}, "done", "ended", "ended done"},
    {"expired",
     {.row = "'state':'cancelled','has_ended':true,'ended_ms':1,'error':{'kind':'expired'}"},
     "cancelled",
     "ended",
     "expired"},
    {"the journal has it and nobody relays",
     {.row = "'state':'queued','is_pending':true"},
     "queued",
     "relay",
     "no processor leads"},
    {"the journal has it and somebody relays",
     {.row = "'state':'queued','is_pending':true",
      .processors = "{'incarnation':'p9','leads':true}"},
     "queued",
     "relay",
     "p9"},
    {"Redis has lost it",
     {.row = "'state':'queued','is_pending':false"},
     "queued",
     "missing",
     "heddle rebuild"},
    {"parked", {.row = "'state':'parked','due_ms':61000"}, "parked", "parked", "in 60.0 s"},
    {"scheduled in the journal",
     {.row = "'state':'scheduled','due_ms':61000"},
     "scheduled",
     "scheduled",
     "in 60.0 s"},
    {"scheduled in Redis",
     {.lane = "'state':'idle'", .seen = "'scheduled_ms':3000", .first = FIRST},
     "scheduled",
     "scheduled",
     "in 2.0 s"},
    {"cancelled while parked",
     {.row = "'state':'cancelled','is_cancelled':true"},
     "cancelled",
     "cancelled",
     "no effect"},
    {"cancelled in its lane",
     {.lane = "'state':'waiting'", .seen = "'is_cancelled':true", .first = FIRST},
     "cancelled",
     "cancelled",
     "no effect"},
    {"expired in its lane",
     {.lane = "'state':'waiting'", .seen = "'has_expired':true", .first = FIRST},
     "queued",
     "expired",
     "without effect"},
    {"cancelled while it runs",
     {.lane = CLAIMED, .seen = "'is_cancelled':true", .processors = BUSY},
     "running",
     "running",
     "worker 1 of p1"},
    {"it runs", {.lane = CLAIMED, .processors = BUSY}, "running", "running", "apply"},
    {"it waits for a worker",
     {.lane = CLAIMED, .processors = HOLDS},
     "queued",
     "claimed",
     "3 claims"},
    {"its holder does not answer",
     {.lane = CLAIMED, .processors = "{'incarnation':'p1','state':'silent'}"},
     "queued",
     "silent",
     "in 5.0 s"},
    {"its holder is gone", {.lane = CLAIMED}, "queued", "silent", "p1"},
    {"another of its lane runs",
     {.lane = CLAIMED, .seen = "'before':1", .first = FIRST, .processors = BUSY_WITH_FIRST},
     "queued",
     "behind",
     "1 of its lane"},
    {"another of its lane waits",
     {.lane = "'state':'waiting','until_ms':9000", .seen = "'before':2", .first = FIRST},
     "queued",
     "behind",
     "tried at"},
    {"another of its lane is paused",
     {.lane = "'state':'waiting','reason':'paused op f'",
      .seen = "'before':2",
      .first = FIRST,
      .ledger = PAUSE("op:f")},
     "paused",
     "behind",
     "heddle resume --op f"},
    {"it is tried again",
     {.lane = "'state':'waiting','until_ms':9000", .row = RETRYING},
     "retrying",
     "retry",
     "it broke"},
    {"it could not be tried",
     {.lane = "'state':'waiting','until_ms':9000", .row = "'state':'queued'"},
     "queued",
     "outage",
     "in 8.0 s"},
    {"its user is paused",
     {.lane = "'state':'waiting','reason':'paused user'", .ledger = PAUSE("user:u")},
     "paused",
     "paused",
     "by ops"},
    {"its op is paused",
     {.lane = "'state':'waiting','reason':'paused op o'", .ledger = PAUSE("op:o")},
     "paused",
     "paused",
     "heddle resume --op o"},
    {"everything is paused",
     {.lane = "'state':'ready','before':3",
      .queue = "'paused':'all'",
      .ledger = PAUSE("x"),
      .processors = P1 "}"},
     "paused",
     "paused",
     "heddle resume --all"},
    {"paused, and resumed just now",
     {.lane = "'state':'waiting','reason':'paused op o'"},
     "paused",
     "paused",
     "op o is paused"},
    {"its rate is used up",
     {.lane = "'state':'waiting','reason':'rate user','until_ms':1500"},
     "queued",
     "rate",
     "in 500 ms"},
    {"the rate of its op is used up",
     {.lane = "'state':'waiting','reason':'rate op o','in_line':4"},
     "queued",
     "rate",
     "op:o"},
    {"the rate of all is used up",
     {.lane = "'state':'waiting','reason':'rate all'"},
     "queued",
     "rate",
     "of all"},
    {"no slot is free", {.lane = "'state':'waiting','reason':'busy o'"}, "queued", "busy", "op:o"},
    {"it halts its lane",
     {.lane = "'state':'halted','reason':'failed'",
      .row = "'state':'halted','error':{'message':'it broke'}"},
     "halted",
     "halted",
     "heddle dead retry " ID},
    {"nobody knows its op",
     {.lane = "'state':'halted','reason':'op o'"},
     "halted",
     "unknown_op",
     "op o"},
    {"a process died of it",
     {.lane = "'state':'halted','reason':'suspect'"},
     "halted",
     "suspect",
     "quarantine"},
    {"its turn has not come",
     {.lane = "'state':'ready','before':7", .processors = P1 "}"},
     "queued",
     "turn",
     "7 lanes"},
    {"nobody serves it", {.lane = "'state':'ready'"}, "queued", "unserved", "partition 5"},
    {"only a quarantine is there",
     {.lane = "'state':'ready'", .processors = "{'state':'running','quarantine':true}"},
     "queued",
     "unserved",
     "heddle run"},
    {"those that serve it have died",
     {.lane = "'state':'ready'", .processors = "{'state':'late'}"},
     "queued",
     "unserved",
     "heddle run"},
    {"all are quiet",
     {.lane = "'state':'ready'", .processors = "{'state':'quiet'}"},
     "queued",
     "unserved",
     "1 processors are quiet"},
    {"what is paused is not known",
     {.lane = "'state':'ready'", .queue = "'awaits_controls':true", .processors = P1 "}"},
     "queued",
     "uncontrolled",
     "paused"},
    {"its lane is in no state", {.lane = "'state':'lost'"}, "queued", "lost", "check --repair"},
};

static json_t *read_object(const char *text)
{
    json_error_t problem;
    char quoted[4000];
    size_t i = 0;

    for (; text[i]; i++)
        quoted[i] = text[i] == '\'' ? '"' : text[i];
    quoted[i] = '\0';
    json_t *object = json_loads(quoted, 0, &problem);
    if (!object)
        fail_msg("%s: %s", problem.text, quoted);
    return object;
}

static const char *or_nothing(const char *text)
{
    return text ? text : "";
}

static const char *comma(const char *text)
{
    return text ? "," : "";
}

static json_t *facts_of(const struct known *known)
{
    const char *first = known->first ? known->first : ID;
    char text[4000], queue[2000] = "null";

    if (known->lane)
        snprintf(queue, sizeof queue,
                 "{'partition':5,'at_ms':1000%s%s,'operation':{'id':'" ID "','op':'o'%s%s},"
                 "'lane':{'user':'u','first':{'id':'%s','op':'%s'},%s}}",
                 comma(known->queue), or_nothing(known->queue), comma(known->seen),
                 or_nothing(known->seen), first, known->first ? "f" : "o", known->lane);
    else if (known->queue)
        snprintf(queue, sizeof queue, "{'at_ms':1000,%s}", known->queue);
    snprintf(text, sizeof text,
             "{'id':'" ID "','at_ms':1000,'queue':%s,'ledger':{'operations':{%s%s%s}%s%s},"
             "'processors':[%s]}",
             queue, known->row ? "'" ID "':{'user':'u','op':'o'," : "", or_nothing(known->row),
             known->row ? "}" : "", comma(known->ledger), or_nothing(known->ledger),
             or_nothing(known->processors));
    return read_object(text);
}

static bool says(const json_t *answer, const char *member, const char *words)
{
    const char *text = json_string_value(json_object_get(answer, member));

    return text && *text && (!words || strstr(text, words));
}

static void the_reason_follows_from_what_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
        const struct expectation *expected = &expectations[i];
        json_t *facts = facts_of(&expected->known);
        json_t *answer = why_reason(facts);
        char *text = json_dumps(answer, JSON_COMPACT);
        if (!says(answer, "state", expected->state) || !says(answer, "reason", expected->reason) ||
            !says(answer, "detail", NULL) || !says(answer, "release", NULL) ||
            (!says(answer, "detail", expected->says) && !says(answer, "release", expected->says)))
            fail_msg("%s: %s", expected->name, text);
        assert_true(says(answer, "id", ID));
        free(text);
        json_decref(answer);
        json_decref(facts);
    }
}

static void what_comes_first_is_explained_in_the_same_way(void **state)
{
    const struct known known = {.lane = "'state':'waiting','reason':'paused op f'",
                                .seen = "'before':2",
                                .first = FIRST,
                                .ledger = PAUSE("op:f")};
    json_t *facts = facts_of(&known), *answer = why_reason(facts);
    const json_t *first = json_object_get(answer, "first");

    (void)state;
    assert_int_equal(json_integer_value(json_object_get(answer, "before")), 2);
    assert_true(says(first, "id", FIRST) && says(first, "reason", "paused"));
    assert_true(says(first, "by", "ops") && says(first, "why", "odd") && says(first, "op", "f"));
    assert_ptr_equal(json_object_get(answer, "release"), json_object_get(first, "release"));
    json_decref(answer);
    json_decref(facts);
}

/* A service that lies, or is of another version, ends nobody. */
static void whatever_is_known_there_is_an_answer(void **state)
{
    static const char *const facts[] = {
        "{}",
        "{'id':'x','queue':[],'ledger':7,'processors':{}}",
        "{'id':'x','queue':{'operation':{},'lane':{'state':'claimed'}}}",
        "{'id':'x','queue':{'operation':{},'lane':{'state':'waiting','reason':'rate'}}}",
        "{'id':'x','queue':{'operation':{},'lane':{'state':'waiting','reason':'x'}}}",
        "{'id':'x','queue':{'operation':{},'lane':{'state':'ready','first':{'id':'y'}}}}",
        "{'id':'x','queue':{'operation':{},'lane':{'first':{'id':'y'}}},'processors':[7,null]}",
        ("{'id':'x','queue':{'operation':{},'lane':{'state':'claimed','holder':'p'}},"
         "'processors':[{'incarnation':'p','lane':{'running':[7,{'ids':[7]}]}}]}"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        json_t *known = read_object(facts[i]), *answer = why_reason(known);
        assert_true(says(answer, "state", NULL) && says(answer, "reason", NULL));
        json_decref(answer);
        json_decref(known);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reason_follows_from_what_is_known),
        cmocka_unit_test(what_comes_first_is_explained_in_the_same_way),
        cmocka_unit_test(whatever_is_known_there_is_an_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
