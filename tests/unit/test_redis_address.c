/* Addresses of Redis: what redis_new takes and what it refuses, and how. */
#include "link/redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TIMEOUT_MS = 100 };

static void assert_taken(const char *address)
{
    struct heddle_error err = {0};
    struct redis_link *link = NULL;

    if (redis_new(address, TIMEOUT_MS, &link, &err) != HEDDLE_OK)
        fail_msg("%s: %s", address, err.text);
    /* Nothing is opened before it is used. */
    assert_false(redis_is_connected(link));
    assert_int_equal(redis_fd(link), -1);
    redis_free(link);
}

/* `reason` is a part of what the error must say. */
static void assert_refused(const char *address, const char *reason)
{
    struct heddle_error err = {0};
    struct redis_link *link = NULL;

    if (redis_new(address, TIMEOUT_MS, &link, &err) != HEDDLE_FATAL) {
        redis_free(link);
        fail_msg("'%s' was taken", address);
    }
    assert_null(link);
    if (!strstr(err.text, reason))
        fail_msg("'%s' is refused with '%s', which lacks '%s'", address, err.text, reason);
}

static void addresses_of_the_documentation_are_taken(void **state)
{
    static const char *const good[] = {"redis://127.0.0.1",
                                       "redis://127.0.0.1:6379",
                                       "redis://127.0.0.1:6379/",
                                       "redis://127.0.0.1:6379/0",
                                       "redis://redis.example:6380/15",
                                       "redis://[::1]",
                                       "redis://[::1]:6379/2",
                                       "redis://:secret@host",
                                       "redis://user:secret@host:1/1",
                                       "redis://user:p%40ss%2Fword@host",
                                       "redis://user:p@ss@host",
                                       "unix:///run/redis.sock",
                                       "unix:///run/redis.sock?db=3",
                                       NULL};

    (void)state;
    for (size_t i = 0; good[i]; i++)
        assert_taken(good[i]);
    redis_free(NULL);
}

static void another_scheme_is_refused(void **state)
{
    (void)state;
    assert_refused("", "must begin with");
    assert_refused("127.0.0.1:6379", "must begin with");
    assert_refused("http://127.0.0.1", "must begin with");
    assert_refused("redis:/127.0.0.1", "must begin with");
    assert_refused("REDIS://127.0.0.1", "must begin with");
    assert_refused(" redis://127.0.0.1", "must begin with");
    assert_refused("rediss://127.0.0.1:6379", "not available");
}

static void an_address_without_a_host_is_refused(void **state)
{
    (void)state;
    assert_refused("redis://", "no host");
    assert_refused("redis:///0", "no host");
    assert_refused("redis://:6379", "no host");
    assert_refused("redis://:secret@", "no host");
    assert_refused("redis://user:secret@:6379", "no host");
    assert_refused("redis://[]:6379", "no host");
    assert_refused("redis://::1", "no host");
    assert_refused("redis://[[::1]", "brackets");
    assert_refused("redis://h]", "brackets");
}

static void a_bad_port_is_refused(void **state)
{
    static const char *const bad[] = {"redis://h:",
                                      "redis://h:0",
                                      "redis://h:65536",
                                      "redis://h:-1",
                                      "redis://h:63 79",
                                      "redis://h:port",
                                      "redis://h:1.5",
                                      "redis://h:6379x",
                                      "redis://[::1]:",
                                      "redis://[::1]:x",
                                      "redis://h:99999999999999999999",
                                      NULL};

    (void)state;
    for (size_t i = 0; bad[i]; i++)
        assert_refused(bad[i], "port");
}

static void a_bad_database_is_refused(void **state)
{
    (void)state;
    assert_refused("redis://h/x", "database");
    assert_refused("redis://h/-1", "database");
    assert_refused("redis://h/1/2", "database");
    assert_refused("redis://h/1?x=y", "database");
    assert_refused("redis://h/65536", "database");
    assert_refused("unix:///s?db=", "?db=NUMBER");
    assert_refused("unix:///s?db=x", "?db=NUMBER");
    assert_refused("unix:///s?db=-1", "?db=NUMBER");
    assert_refused("unix:///s?database=1", "?db=NUMBER");
    assert_refused("unix:///s?", "?db=NUMBER");
}

static void brackets_hold_all_of_an_address_or_nothing(void **state)
{
    (void)state;
    assert_refused("redis://[::1", "]");
    assert_refused("redis://[::1:6379", "]");
    assert_refused("redis://[::1]6379", "redis address");
    assert_refused("redis://[::1]x:6379", "redis address");
}

static void a_socket_needs_an_absolute_path(void **state)
{
    (void)state;
    assert_refused("unix://", "absolute path");
    assert_refused("unix://redis.sock", "absolute path");
    assert_refused("unix://./redis.sock", "absolute path");
    assert_refused("unix://?db=1", "absolute path");
}

/* What would be ignored, or cut, in silence. */
static void half_of_a_login_is_refused(void **state)
{
    (void)state;
    assert_refused("redis://user@host", "password");
    assert_refused("redis://user:a%00b@host", "NUL");
}

static void a_password_never_stands_in_an_error(void **state)
{
    static const char *const addresses[] = {"redis://user:s3cret@",
                                            "redis://user:s3cret@h:x",
                                            "redis://user:s3cret@h/x",
                                            "redis://:s3cret@[::1",
                                            "rediss://user:s3cret@h:6379",
                                            "redi://user:s3cret@h:6379",
                                            NULL};

    (void)state;
    for (size_t i = 0; addresses[i]; i++) {
        struct heddle_error err = {0};
        struct redis_link *link = NULL;
        assert_int_equal(redis_new(addresses[i], TIMEOUT_MS, &link, &err), HEDDLE_FATAL);
        if (strstr(err.text, "s3cret"))
            fail_msg("%s", err.text);
    }
}

static void a_server_that_is_not_there_is_a_retry(void **state)
{
    static const char *const nobody[] = {"unix:///nonexistent/redis.sock", "redis://127.0.0.1:1",
                                         NULL};

    (void)state;
    for (size_t i = 0; nobody[i]; i++) {
        struct heddle_error err = {0};
        struct redis_reply *reply = NULL;
        struct redis_link *link;
        assert_int_equal(redis_new(nobody[i], TIMEOUT_MS, &link, &err), HEDDLE_OK);
        assert_int_equal(redis_connect(link, &err), HEDDLE_RETRY);
        assert_true(strlen(err.text) > 0);
        assert_int_equal(redis_callf(link, &reply, &err, "PING", NULL), HEDDLE_RETRY);
        assert_null(reply);
        assert_int_equal(redis_next(link, 0, &reply, &err), HEDDLE_RETRY);
        assert_int_equal(redis_poll(link, &reply, &err), HEDDLE_RETRY);
        assert_null(reply);
        redis_free(link);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_the_documentation_are_taken),
        cmocka_unit_test(another_scheme_is_refused),
        cmocka_unit_test(an_address_without_a_host_is_refused),
        cmocka_unit_test(a_bad_port_is_refused),
        cmocka_unit_test(a_bad_database_is_refused),
        cmocka_unit_test(brackets_hold_all_of_an_address_or_nothing),
        cmocka_unit_test(a_socket_needs_an_absolute_path),
        cmocka_unit_test(half_of_a_login_is_refused),
        cmocka_unit_test(a_password_never_stands_in_an_error),
        cmocka_unit_test(a_server_that_is_not_there_is_a_retry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
