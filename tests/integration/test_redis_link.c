/* A connection to a real Redis: pipelines, time limits, losses, refusals. */
#include "fixture.h"

#include "base/clock.h"
#include "base/text.h"
#include "link/redis.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TIMEOUT_MS = 2000 };

static struct redis_link *redis;
static struct heddle_error err;

static struct redis_link *new_link(const char *address, int timeout_ms)
{
    struct redis_link *link;

    if (redis_new(address, timeout_ms, &link, &err) != HEDDLE_OK)
        fail_msg("%s", err.text);
    return link;
}

static int set_up(void **state)
{
    AUTO_REPLY reply = NULL;

    (void)state;
    redis = new_link(fixture_redis(), TIMEOUT_MS);
    err = (struct heddle_error){0};
    return redis_callf(redis, &reply, &err, "FLUSHALL", NULL) == HEDDLE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    redis_free(redis);
    return 0;
}

static void assert_answers(struct redis_link *link)
{
    AUTO_REPLY reply = NULL;

    assert_int_equal(redis_callf(link, &reply, &err, "PING", NULL), HEDDLE_OK);
    assert_string_equal(redis_reply_text(reply).data, "PONG");
}

static void replies_of_every_type_are_read(void **state)
{
    static const char script[] = "return {1, 'two', {3, {}}, false, redis.status_reply('FINE')}";
    AUTO_REPLY reply = NULL;

    (void)state;
    assert_int_equal(redis_callf(redis, &reply, &err, "EVAL", script, "0", NULL), HEDDLE_OK);
    assert_int_equal(redis_reply_type(reply), REDIS_ARRAY);
    assert_int_equal(redis_reply_count(reply), 5);
    assert_int_equal(redis_reply_integer(redis_reply_at(reply, 0)), 1);
    assert_true(text_equal(redis_reply_text(redis_reply_at(reply, 1)), TEXT("two")));
    const struct redis_reply *nested = redis_reply_at(reply, 2);
    assert_int_equal(redis_reply_count(nested), 2);
    assert_int_equal(redis_reply_count(redis_reply_at(nested, 1)), 0);
    assert_int_equal(redis_reply_type(redis_reply_at(reply, 3)), REDIS_NIL);
    assert_int_equal(redis_reply_type(redis_reply_at(reply, 4)), REDIS_STATUS);
    assert_string_equal(redis_reply_text(redis_reply_at(reply, 4)).data, "FINE");
    /* Beyond the end, and of another type. */
    assert_null(redis_reply_at(reply, 5));
    assert_null(redis_reply_at(redis_reply_at(reply, 0), 0));
    assert_int_equal(redis_reply_type(NULL), REDIS_NIL);
    assert_int_equal(redis_reply_count(NULL), 0);
    assert_int_equal(redis_reply_integer(NULL), 0);
    assert_int_equal(redis_reply_text(NULL).size, 0);
    assert_int_equal(redis_reply_text(redis_reply_at(reply, 0)).size, 0);
    redis_reply_free(NULL);
}

static void numeric_text_is_a_number_too(void **state)
{
    AUTO_REPLY number = NULL;
    AUTO_REPLY other = NULL;

    (void)state;
    assert_int_equal(redis_callf(redis, &number, &err, "ECHO", "-42", NULL), HEDDLE_OK);
    assert_int_equal(redis_reply_integer(number), -42);
    assert_int_equal(redis_callf(redis, &other, &err, "ECHO", "42x", NULL), HEDDLE_OK);
    assert_int_equal(redis_reply_integer(other), 0);
}

static void bytes_pass_unchanged_in_any_size(void **state)
{
    enum { SIZE = 5 << 20 };
    char *bytes = malloc(SIZE);
    AUTO_REPLY reply = NULL;

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    const char *const arguments[] = {"ECHO", bytes};
    const size_t sizes[] = {4, SIZE};
    assert_int_equal(redis_call(redis, 2, arguments, sizes, &reply, &err), HEDDLE_OK);
    assert_int_equal(redis_reply_text(reply).size, SIZE);
    assert_memory_equal(redis_reply_text(reply).data, bytes, SIZE);
    free(bytes);
}

static void append_number(struct redis_link *link, const char *command, int number)
{
    char text[16];

    snprintf(text, sizeof text, "%d", number);
    const char *const arguments[] = {command, text};
    const size_t sizes[] = {strlen(command), strlen(text)};
    assert_int_equal(redis_append(link, 2, arguments, sizes, &err), HEDDLE_OK);
}

static void answers_come_in_the_order_of_the_commands(void **state)
{
    enum { COMMANDS = 20000 };

    (void)state;
    for (int i = 0; i < COMMANDS; i++)
        append_number(redis, "ECHO", i);
    for (int i = 0; i < COMMANDS; i++) {
        AUTO_REPLY reply = NULL;
        assert_int_equal(redis_next(redis, 0, &reply, &err), HEDDLE_OK);
        assert_int_equal(redis_reply_integer(reply), i);
    }
    assert_answers(redis);
}

static void an_error_in_a_pipeline_is_an_answer_like_any_other(void **state)
{
    AUTO_REPLY first = NULL;
    AUTO_REPLY second = NULL;

    (void)state;
    append_number(redis, "NOSUCHCOMMAND", 1);
    append_number(redis, "ECHO", 2);
    assert_int_equal(redis_next(redis, 0, &first, &err), HEDDLE_OK);
    assert_int_equal(redis_reply_type(first), REDIS_ERROR);
    assert_int_equal(redis_refusal(first, &err), HEDDLE_PERMANENT);
    assert_int_equal(redis_next(redis, 0, &second, &err), HEDDLE_OK);
    assert_int_equal(redis_reply_integer(second), 2);
}

static void after_a_time_out_the_link_is_new_and_no_late_answer_is_read(void **state)
{
    struct redis_link *hasty = new_link(fixture_redis(), 100);
    AUTO_REPLY reply = NULL;
    AUTO_REPLY pushed = NULL;

    (void)state;
    int64_t started_ms = clock_now_ms();
    assert_int_equal(redis_callf(hasty, &reply, &err, "BLPOP", "nothing", "10", NULL),
                     HEDDLE_RETRY);
    assert_in_range(clock_now_ms() - started_ms, 50, 3000);
    assert_non_null(strstr(err.text, "time limit"));
    assert_null(reply);
    assert_false(redis_is_connected(hasty));
    assert_int_equal(redis_callf(redis, &pushed, &err, "RPUSH", "nothing", "late", NULL),
                     HEDDLE_OK);
    assert_answers(hasty);
    redis_free(hasty);
}

static void one_answer_may_take_longer_than_the_others(void **state)
{
    struct redis_link *hasty = new_link(fixture_redis(), 50);
    const char *const arguments[] = {"BLPOP", "nothing", "0.3"};
    const size_t sizes[] = {5, 7, 3};
    AUTO_REPLY reply = NULL;

    (void)state;
    assert_int_equal(redis_append(hasty, 3, arguments, sizes, &err), HEDDLE_OK);
    assert_int_equal(redis_next(hasty, 3000, &reply, &err), HEDDLE_OK);
    assert_int_equal(redis_reply_type(reply), REDIS_NIL);
    assert_answers(hasty);
    redis_free(hasty);
}

static void a_lost_connection_is_a_retry_and_is_opened_again(void **state)
{
    AUTO_REPLY id = NULL;
    AUTO_REPLY killed = NULL;
    AUTO_REPLY reply = NULL;
    struct redis_link *victim = new_link(fixture_redis(), TIMEOUT_MS);
    char text[32];

    (void)state;
    assert_int_equal(redis_callf(victim, &id, &err, "CLIENT", "ID", NULL), HEDDLE_OK);
    snprintf(text, sizeof text, "%lld", (long long)redis_reply_integer(id));
    assert_int_equal(redis_callf(redis, &killed, &err, "CLIENT", "KILL", "ID", text, NULL),
                     HEDDLE_OK);
    assert_int_equal(redis_callf(victim, &reply, &err, "PING", NULL), HEDDLE_RETRY);
    assert_false(redis_is_connected(victim));
    assert_int_equal(redis_fd(victim), -1);
    assert_answers(victim);
    redis_close(victim);
    assert_answers(victim);
    redis_free(victim);
}

static void messages_are_taken_as_they_arrive(void **state)
{
    enum { MESSAGES = 1000 };
    struct redis_link *listener = new_link(fixture_redis(), TIMEOUT_MS);
    struct redis_reply *reply = NULL;
    int taken = 0;

    (void)state;
    assert_int_equal(redis_callf(listener, &reply, &err, "SUBSCRIBE", "news", NULL), HEDDLE_OK);
    redis_reply_free(reply);
    assert_int_equal(redis_poll(listener, &reply, &err), HEDDLE_OK);
    assert_null(reply);
    for (int i = 0; i < MESSAGES; i++) {
        AUTO_REPLY published = NULL;
        assert_int_equal(redis_callf(redis, &published, &err, "PUBLISH", "news", "x", NULL),
                         HEDDLE_OK);
        assert_int_equal(redis_reply_integer(published), 1);
    }
    struct pollfd fd = {.fd = redis_fd(listener), .events = POLLIN};
    while (taken < MESSAGES) {
        assert_int_equal(redis_poll(listener, &reply, &err), HEDDLE_OK);
        if (!reply)
            assert_int_equal(poll(&fd, 1, FIXTURE_PATIENCE_MS), 1);
        taken += reply != NULL;
        redis_reply_free(reply);
    }
    redis_free(listener);
}

/* An error as a server would give it, and what is made of it. */
static heddle_status refusal_of(const char *text)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = redis_callf(redis, &reply, &err, "EVAL",
                                       "return redis.error_reply(ARGV[1])", "0", text, NULL);
    assert_null(reply);
    return status;
}

static void an_error_says_what_to_do(void **state)
{
    static const struct {
        const char *text;
        heddle_status status;
        enum heddle_kind kind;
    } errors[] = {
        {"HEDDLE invalid user must be short", HEDDLE_REFUSED, HEDDLE_KIND_INVALID},
        {"HEDDLE conflict the id is in use", HEDDLE_REFUSED, HEDDLE_KIND_CONFLICT},
        {"HEDDLE full too many", HEDDLE_RETRY, HEDDLE_KIND_TOO_LARGE},
        {"HEDDLE paused by an operator", HEDDLE_RETRY, HEDDLE_KIND_TOO_LARGE},
        {"HEDDLE version run heddle migrate", HEDDLE_FATAL, HEDDLE_KIND_INTERNAL},
        {"OOM command not allowed when used memory > 'maxmemory'.", HEDDLE_RETRY,
         HEDDLE_KIND_INTERNAL},
        {"LOADING Redis is loading the dataset in memory", HEDDLE_RETRY, HEDDLE_KIND_INTERNAL},
        {"READONLY You can't write against a read only replica.", HEDDLE_RETRY,
         HEDDLE_KIND_INTERNAL},
        {"MOVED 3999 127.0.0.1:6381", HEDDLE_RETRY, HEDDLE_KIND_INTERNAL},
        {"CLUSTERDOWN The cluster is down", HEDDLE_RETRY, HEDDLE_KIND_INTERNAL},
        {"MASTERDOWN Link with MASTER is down", HEDDLE_RETRY, HEDDLE_KIND_INTERNAL},
        {"BUSY Redis is busy running a script", HEDDLE_RETRY, HEDDLE_KIND_INTERNAL},
        {"MISCONF Redis is configured to save", HEDDLE_RETRY, HEDDLE_KIND_INTERNAL},
        {"NOREPLICAS Not enough good replicas", HEDDLE_RETRY, HEDDLE_KIND_INTERNAL},
        {"NOAUTH Authentication required.", HEDDLE_FATAL, HEDDLE_KIND_INTERNAL},
        {"NOPERM this user has no permissions", HEDDLE_FATAL, HEDDLE_KIND_INTERNAL},
        {"ERR syntax error", HEDDLE_PERMANENT, HEDDLE_KIND_INTERNAL},
        {"WRONGTYPE Operation against a key", HEDDLE_PERMANENT, HEDDLE_KIND_INTERNAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        err = (struct heddle_error){0};
        heddle_status status = refusal_of(errors[i].text);
        if (status != errors[i].status || err.kind != errors[i].kind)
            fail_msg("%s: %s, %s", errors[i].text, heddle_status_name(status),
                     heddle_kind_name(err.kind));
        assert_true(strlen(err.text) > 0);
    }
    AUTO_REPLY reply = NULL;
    assert_int_equal(redis_callf(redis, &reply, &err, "FCALL", "no_such_function", "0", NULL),
                     HEDDLE_FATAL);
    assert_non_null(strstr(err.text, "heddle migrate"));
}

/* The address with a login in front of its place; Redis here listens on a socket only. */
static void a_database_of_its_own_is_selected(void **state)
{
    char address[300];
    AUTO_REPLY set = NULL;
    AUTO_REPLY here = NULL;
    AUTO_REPLY there = NULL;

    (void)state;
    snprintf(address, sizeof address, "%s?db=5", fixture_redis());
    struct redis_link *other = new_link(address, TIMEOUT_MS);
    assert_int_equal(redis_callf(other, &set, &err, "SET", "key", "value", NULL), HEDDLE_OK);
    assert_int_equal(redis_callf(redis, &here, &err, "EXISTS", "key", NULL), HEDDLE_OK);
    assert_int_equal(redis_reply_integer(here), 0);
    redis_close(other);
    assert_int_equal(redis_callf(other, &there, &err, "EXISTS", "key", NULL), HEDDLE_OK);
    assert_int_equal(redis_reply_integer(there), 1);
    redis_free(other);
}

static void a_refused_login_is_fatal_on_every_way(void **state)
{
    static const char *const arguments[] = {"PING"};
    static const size_t sizes[] = {4};
    char address[300];
    AUTO_REPLY reply = NULL;

    (void)state;
    snprintf(address, sizeof address, "%s?db=4711", fixture_redis());
    struct redis_link *stranger = new_link(address, TIMEOUT_MS);
    assert_int_equal(redis_connect(stranger, &err), HEDDLE_FATAL);
    assert_int_equal(redis_callf(stranger, &reply, &err, "PING", NULL), HEDDLE_FATAL);
    assert_int_equal(redis_append(stranger, 1, arguments, sizes, &err), HEDDLE_FATAL);
    assert_false(redis_is_connected(stranger));
    redis_free(stranger);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replies_of_every_type_are_read),
        TEST(numeric_text_is_a_number_too),
        TEST(bytes_pass_unchanged_in_any_size),
        TEST(answers_come_in_the_order_of_the_commands),
        TEST(an_error_in_a_pipeline_is_an_answer_like_any_other),
        TEST(after_a_time_out_the_link_is_new_and_no_late_answer_is_read),
        TEST(one_answer_may_take_longer_than_the_others),
        TEST(a_lost_connection_is_a_retry_and_is_opened_again),
        TEST(messages_are_taken_as_they_arrive),
        TEST(an_error_says_what_to_do),
        TEST(a_database_of_its_own_is_selected),
        TEST(a_refused_login_is_fatal_on_every_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
