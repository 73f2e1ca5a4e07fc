/* See desk.h. */
#include "desk.h"

#include "fixture.h"

#include "base/clock.h"
#include "base/text.h"
#include "queue/admin.h"
#include "queue/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MAX = 20, IDS = 16, KEYS_BYTES_MAX = 100000 };

extern const char heddle_lua_data[];

struct desk desk;

static heddle_status vtry(const char *command, va_list words, struct redis_reply **reply);
static struct redis_reply *vcall(const char *command, va_list words);
static void count_finding(void *argument, const struct queue_finding *finding);

int desk_set_up(void **state)
{
    (void)state;
    desk = (struct desk){0};
    if (redis_new(fixture_redis(), DESK_TIMEOUT_MS, &desk.link, &desk.err) != HEDDLE_OK)
        return -1;
    desk_install(1);
    command_init(&desk.command);
    return 0;
}

int desk_tear_down(void **state)
{
    (void)state;
    assert_true(desk_is_sound());
    heddle_client_free(desk.client);
    redis_free(desk.link);
    command_done(&desk.command);
    return 0;
}

void desk_install(unsigned partitions)
{
    redis_reply_free(desk_call("CONFIG", "SET", "maxmemory", "0", NULL));
    redis_reply_free(desk_call("FLUSHALL", NULL));
    redis_reply_free(desk_call("FUNCTION", "FLUSH", NULL));
    if (queue_install(desk.link, partitions, DESK_PAYLOAD_MAX, &desk.err) != HEDDLE_OK)
        fail_msg("%s", desk.err.text);
    heddle_client_free(desk.client);
    assert_int_equal(heddle_client_new(fixture_redis(), DESK_TIMEOUT_MS, &desk.client, &desk.err),
                     HEDDLE_OK);
}

void desk_load_mutant(const char *old, const char *new_text)
{
    const char *place = strstr(heddle_lua_data, old);
    char *code;

    if (!place)
        fail_msg("the library has no '%s'", old);
    assert_true(asprintf(&code, "%.*s%s%s", (int)(place - heddle_lua_data), heddle_lua_data,
                         new_text, place + strlen(old)) > 0);
    redis_reply_free(desk_call("FUNCTION", "LOAD", "REPLACE", code, NULL));
    free(code);
}

void desk_try_mutants(const struct desk_mutant *mutants, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        desk_install(1);
        if (!mutants[i].holds())
            fail_msg("does not hold as it is: the guard of '%s'", mutants[i].old);
        desk_install(1);
        desk_load_mutant(mutants[i].old, mutants[i].broken);
        if (mutants[i].holds())
            fail_msg("nobody misses '%s'", mutants[i].old);
    }
    desk_install(1);
}

struct redis_reply *desk_call(const char *command, ...)
{
    va_list words;

    va_start(words, command);
    struct redis_reply *reply = vcall(command, words);
    va_end(words);
    return reply;
}

int64_t desk_number(const char *command, ...)
{
    va_list words;

    va_start(words, command);
    AUTO_REPLY reply = vcall(command, words);
    va_end(words);
    return redis_reply_integer(reply);
}

void desk_refused(const char *reason, const char *command, ...)
{
    struct redis_reply *reply = NULL;
    va_list words;

    va_start(words, command);
    heddle_status status = vtry(command, words, &reply);
    va_end(words);
    redis_reply_free(reply);
    if (status != HEDDLE_REFUSED || desk.err.kind != HEDDLE_KIND_INVALID ||
        !strstr(desk.err.text, reason))
        fail_msg("%s, wanted a refusal with '%s': %s", heddle_status_name(status), reason,
                 desk.err.text);
}

const char *desk_submit(const char *user, const char *payload)
{
    static char ids[IDS][HEDDLE_ID_SIZE + 1];
    static int next;
    const struct heddle_submission submission = {
        .user = text_of(user), .op = TEXT("work"), .payload = text_of(payload)};

    struct heddle_receipt receipt = desk_submit_as(&submission);
    if (receipt.status != HEDDLE_OK)
        fail_msg("%s", receipt.error.text);
    next = (next + 1) % IDS;
    memcpy(ids[next], receipt.id, sizeof receipt.id);
    return ids[next];
}

struct heddle_receipt desk_submit_as(const struct heddle_submission *submission)
{
    struct heddle_receipt receipt;

    if (heddle_client_submit(desk.client, submission, 1, &receipt, &desk.err) != HEDDLE_OK)
        fail_msg("%s", desk.err.text);
    return receipt;
}

struct lanes_request desk_request(const char *processor, int lanes, int operations)
{
    return (struct lanes_request){
        .incarnation = processor,
        .seq = ++desk.seq,
        .lanes_max = lanes,
        .operations_max = operations,
        .bytes_max = DESK_BYTES_MAX,
        .lease_ms = DESK_LEASE_MS,
    };
}

struct lanes_answer desk_claim(const char *processor, int lanes, int operations)
{
    const struct lanes_request request = desk_request(processor, lanes, operations);

    return desk_claim_by(0, &request);
}

struct lanes_answer desk_claim_by(unsigned partition, const struct lanes_request *request)
{
    struct lanes_answer answer;

    heddle_status status =
        lanes_claim_send(desk.link, &desk.command, partition, request, &desk.err);
    if (status == HEDDLE_OK)
        status = lanes_claim_receive(desk.link, partition, request, &answer, &desk.err);
    if (status != HEDDLE_OK)
        fail_msg("%s", desk.err.text);
    /* The list's end lies in the answer that was filled. */
    if (answer.claims.count == 0)
        claim_list_init(&answer.claims);
    return answer;
}

struct claim *desk_only(struct lanes_answer *answer)
{
    assert_in_range(answer->claims.count, 0, 1);
    return answer->claims.first;
}

struct claim *desk_take(const char *processor, int operations)
{
    struct lanes_answer answer = desk_claim(processor, 1, operations);
    return desk_only(&answer);
}

void desk_drop(struct lanes_answer *answer)
{
    for (struct claim *claim = answer->claims.first, *next; claim; claim = next) {
        next = claim->next;
        claim_free(claim);
    }
}

void desk_end(struct claim *claim, size_t first, size_t count, bool sends_result)
{
    for (size_t i = first; i < first + count; i++) {
        struct claimed_operation *claimed = &claim->operations[i];
        claimed->end = HEDDLE_END_DONE;
        claimed->result = text_of(arena_format(&claim->arena, "{\"n\":%zu}", i));
        claimed->sends_result = sends_result;
    }
}

void desk_settle(const char *processor, struct claim *claim, size_t first, size_t count,
                 enum disposition disposition)
{
    const struct settlement settlement = {.claim = claim,
                                          .first = first,
                                          .count = count,
                                          .disposition = disposition,
                                          .reason = "op work"};

    desk_end(claim, first, count, claim->operation_count > 0 && claim->operations[0].wants_reply);
    desk_settle_as(processor, &settlement, NULL, NULL);
}

static void nobody_wants(void *argument, struct heddle_text id)
{
    (void)argument;
    fail_msg("a result of %s is wanted, and the test knows nothing of it", id.data);
}

void desk_settle_as(const char *processor, const struct settlement *settlements,
                    lanes_wanted_function *late, void *argument)
{
    heddle_status status =
        lanes_settle_send(desk.link, &desk.command, settlements->claim->partition, processor,
                          DESK_TTL_MS, settlements, &desk.err);
    if (status == HEDDLE_OK)
        status = lanes_settle_receive(desk.link, late ? late : nobody_wants, argument, &desk.err);
    if (status != HEDDLE_OK)
        fail_msg("%s", desk.err.text);
}

int desk_beat(const char *processor, int64_t lease_ms)
{
    int freed = 0;

    assert_int_equal(
        lanes_beat(desk.link, &desk.command, 1, processor, lease_ms, &freed, &desk.err), HEDDLE_OK);
    return freed;
}

void desk_release(const char *processor)
{
    assert_int_equal(lanes_release(desk.link, &desk.command, 1, processor, &desk.err), HEDDLE_OK);
}

const char *desk_state(const char *lane)
{
    static const char *const names[] = {"ready", "waiting", "halted", "claimed"};
    static char text[100];
    AUTO_REPLY reply = desk_call("FCALL", "heddle_inspect", "1", "heddle:{0}", lane, NULL);
    const struct redis_reply *facts = redis_reply_at(reply, 0);
    size_t used = 0;

    used += (size_t)snprintf(text, sizeof text, "%lld",
                             (long long)redis_reply_integer(redis_reply_at(facts, 0)));
    for (size_t i = 0; i < 4; i++)
        for (int64_t n = redis_reply_integer(redis_reply_at(facts, i + 1)); n > 0; n--)
            used += (size_t)snprintf(text + used, sizeof text - used, " %s", names[i]);
    return strcmp(text, "0") == 0 ? "gone" : text;
}

void desk_assert_state(const char *lane, const char *expected)
{
    assert_string_equal(desk_state(lane), expected);
}

void desk_state_until(const char *lane, const char *expected)
{
    const int64_t deadline_ms = clock_now_ms() + FIXTURE_PATIENCE_MS;

    while (strcmp(desk_state(lane), expected) != 0) {
        if (clock_now_ms() > deadline_ms)
            fail_msg("%s is '%s', never '%s'", lane, desk_state(lane), expected);
        clock_sleep_ms(1);
    }
}

bool desk_is_sound(void)
{
    struct queue_census census;
    int findings = 0;

    const struct queue_check check = {
        .link = desk.link,
        .partitions = (unsigned)desk_number("GET", "heddle:partitions", NULL),
        .report = count_finding,
        .argument = &findings,
    };
    assert_int_equal(queue_check_lanes(&check, &census, &desk.err), HEDDLE_OK);
    return findings == 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *desk_keys(void)
{
    static char text[KEYS_BYTES_MAX];
    const char *names[1000];
    size_t count = 0, used = 0;
    AUTO_REPLY reply = desk_call("KEYS", "*", NULL);

    for (size_t i = 0; i < redis_reply_count(reply) && count < 1000; i++) {
        const char *name = redis_reply_text(redis_reply_at(reply, i)).data;
        if (!strstr(name, ":results:") && !strstr(name, ":reply:"))
            names[count++] = name;
    }
    qsort(names, count, sizeof *names, compare_texts);
    text[0] = '\0';
    for (size_t i = 0; i < count && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", names[i]);
    return text;
}

void desk_assert_lane(const char *lane, size_t count, const char *const *ids)
{
    char key[300];

    snprintf(key, sizeof key, "heddle:{0}:lane:%s", lane);
    AUTO_REPLY reply = desk_call("LRANGE", key, "0", "-1", NULL);
    assert_int_equal(redis_reply_count(reply), count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(redis_reply_text(redis_reply_at(reply, i)).data, ids[i]);
}

static heddle_status vtry(const char *command, va_list words, struct redis_reply **reply)
{
    const char *arguments[WORDS_MAX] = {command};
    size_t sizes[WORDS_MAX] = {strlen(command)};
    int count = 1;

    for (const char *word; (word = va_arg(words, const char *)); count++) {
        assert_true(count < WORDS_MAX);
        arguments[count] = word;
        sizes[count] = strlen(word);
    }
    return redis_call(desk.link, count, arguments, sizes, reply, &desk.err);
}

static struct redis_reply *vcall(const char *command, va_list words)
{
    struct redis_reply *reply = NULL;

    if (vtry(command, words, &reply) != HEDDLE_OK)
        fail_msg("%s: %s", command, desk.err.text);
    return reply;
}

static void count_finding(void *argument, const struct queue_finding *finding)
{
    /* The processors of the desk don't listen. */
    if (strcmp(finding->kind, "stale_idle") == 0)
        return;
    ++*(int *)argument;
    print_message("partition %u: %s %s: %s\n", finding->partition, finding->kind,
                  finding->lane.data, finding->text);
}
