/* The queue as an operator sees it: installed, judged. */
#include "desk.h"

#include "queue/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void installing_again_keeps_the_partitions_and_the_work(void **state)
{
    (void)state;
    desk_install(4);
    desk_submit("ann", "");
    assert_int_equal(queue_install(desk.link, 4, DESK_PAYLOAD_MAX, &desk.err), HEDDLE_OK);
    desk_submit("ann", "");
    assert_int_equal(desk_number("GET", "heddle:partitions", NULL), 4);
    assert_int_equal(desk_number("FCALL", "heddle_version", "0", NULL), queue_library_version());
}

static void another_number_of_partitions_is_refused_and_nothing_changes(void **state)
{
    static const unsigned others[] = {1, 3, 5, 64};

    (void)state;
    desk_install(4);
    desk_submit("ann", "");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(queue_install(desk.link, others[i], DESK_PAYLOAD_MAX, &desk.err),
                         HEDDLE_REFUSED);
        assert_int_equal(desk.err.kind, HEDDLE_KIND_CONFLICT);
        assert_non_null(strstr(desk.err.text, "4"));
    }
    assert_int_equal(desk_number("GET", "heddle:partitions", NULL), 4);
    assert_int_equal(desk_number("EXISTS", "heddle:{4}:meta", "heddle:{63}:meta", NULL), 0);
    desk_submit("ann", "");
}

/* Its own number was lost, and a migration fixes another: the partitions remember. */
static void partitions_remember_how_many_they_are(void **state)
{
    (void)state;
    desk_install(4);
    redis_reply_free(desk_call("DEL", "heddle:partitions", NULL));
    assert_int_equal(queue_install(desk.link, 8, DESK_PAYLOAD_MAX, &desk.err), HEDDLE_REFUSED);
    assert_int_equal(desk.err.kind, HEDDLE_KIND_CONFLICT);
    redis_reply_free(desk_call("DEL", "heddle:partitions", NULL));
    assert_int_equal(queue_install(desk.link, 4, DESK_PAYLOAD_MAX, &desk.err), HEDDLE_OK);
}

static void a_new_payload_limit_holds_from_its_migration_on(void **state)
{
    (void)state;
    assert_int_equal(queue_install(desk.link, 1, 10, &desk.err), HEDDLE_OK);
    desk_submit("ann", "{\"n\":1234}");
    desk_refused("payload must be at most 10 bytes", "FCALL", "heddle_submit", "0", "ann", "work",
                 "", "{\"n\":12345}", NULL);
}

static void a_library_that_is_newer_stays(void **state)
{
    struct queue_facts facts;

    (void)state;
    desk_load_mutant("local VERSION = 3", "local VERSION = 99");
    assert_int_equal(queue_install(desk.link, 1, DESK_PAYLOAD_MAX, &desk.err), HEDDLE_OK);
    assert_int_equal(queue_facts_get(desk.link, &facts, &desk.err), HEDDLE_OK);
    assert_int_equal(facts.library_version, 99);
}

static void facts_are_those_of_the_server(void **state)
{
    struct queue_facts facts;

    (void)state;
    desk_install(7);
    assert_int_equal(queue_facts_get(desk.link, &facts, &desk.err), HEDDLE_OK);
    assert_int_equal(facts.library_version, queue_library_version());
    assert_int_equal(facts.partitions, 7);
    assert_string_equal(facts.eviction_policy, "noeviction");
    assert_int_equal(facts.redis_version[1], '.');
    assert_int_equal(queue_facts_judge(&facts, &desk.err), HEDDLE_OK);

    redis_reply_free(desk_call("FUNCTION", "FLUSH", NULL));
    redis_reply_free(desk_call("DEL", "heddle:partitions", NULL));
    assert_int_equal(queue_facts_get(desk.link, &facts, &desk.err), HEDDLE_OK);
    assert_int_equal(facts.library_version, 0);
    assert_int_equal(facts.partitions, 0);
    desk_install(1);
}

static void each_defect_is_fatal_and_says_what_to_do(void **state)
{
    static const struct {
        struct queue_facts facts;
        const char *advice;
    } defects[] = {
        {{1, 4, "7.0.0", "allkeys-lru"}, "noeviction"},
        {{1, 4, "7.0.0", ""}, "noeviction"},
        {{0, 4, "7.0.0", "noeviction"}, "heddle migrate"},
        {{1, 0, "7.0.0", "noeviction"}, "heddle migrate"},
        {{-1, 4, "7.0.0", "noeviction"}, "heddle migrate"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        assert_int_equal(queue_facts_judge(&defects[i].facts, &desk.err), HEDDLE_FATAL);
        if (!strstr(desk.err.text, defects[i].advice))
            fail_msg("defect %zu: %s", i, desk.err.text);
    }
}

static void an_evicting_redis_is_found_out(void **state)
{
    struct queue_facts facts;

    (void)state;
    redis_reply_free(desk_call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru", NULL));
    assert_int_equal(queue_facts_get(desk.link, &facts, &desk.err), HEDDLE_OK);
    redis_reply_free(desk_call("CONFIG", "SET", "maxmemory-policy", "noeviction", NULL));
    assert_int_equal(queue_facts_judge(&facts, &desk.err), HEDDLE_FATAL);
}

static void a_redis_without_the_functions_tells_so_to_everybody(void **state)
{
    struct heddle_receipt receipt;
    const struct heddle_submission submission = {.user = {"ann", 3}, .op = {"work", 4}};

    (void)state;
    redis_reply_free(desk_call("FUNCTION", "FLUSH", NULL));
    receipt = desk_submit_as(&submission);
    assert_int_equal(receipt.status, HEDDLE_FATAL);
    assert_non_null(strstr(receipt.error.text, "heddle migrate"));
    /* Functions, and nothing set up. */
    redis_reply_free(desk_call("FLUSHALL", NULL));
    desk_load_mutant("local VERSION", "local VERSION");
    struct redis_reply *reply = NULL;
    assert_int_equal(redis_callf(desk.link, &reply, &desk.err, "FCALL", "heddle_submit", "0", "ann",
                                 "work", "", "", NULL),
                     HEDDLE_FATAL);
    assert_non_null(strstr(desk.err.text, "heddle migrate"));
    desk_install(1);
}

static bool is_whole(void)
{
    bool is_whole;

    assert_int_equal(queue_is_whole(desk.link, &is_whole, &desk.err), HEDDLE_OK);
    return is_whole;
}

static void a_set_up_that_was_cut_short_shows_and_is_done_again(void **state)
{
    (void)state;
    desk_install(4);
    assert_true(is_whole());
    redis_reply_free(desk_call("FLUSHALL", NULL));
    assert_false(is_whole());
    /* A partition that can't be set up; another that looks so, by its virtual time. */
    redis_reply_free(desk_call("SET", "heddle:{3}:meta", "x", NULL));
    redis_reply_free(desk_call("HINCRBY", "heddle:{1}:meta", "vt", "1", NULL));
    assert_int_not_equal(queue_install(desk.link, 4, DESK_PAYLOAD_MAX, &desk.err), HEDDLE_OK);
    assert_false(is_whole());
    redis_reply_free(desk_call("DEL", "heddle:{3}:meta", NULL));
    assert_int_equal(queue_install(desk.link, 4, DESK_PAYLOAD_MAX, &desk.err), HEDDLE_OK);
    assert_true(is_whole());
    redis_reply_free(desk_call("FUNCTION", "FLUSH", NULL));
    assert_false(is_whole());
    desk_install(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_set_up, desk_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(installing_again_keeps_the_partitions_and_the_work),
        TEST(another_number_of_partitions_is_refused_and_nothing_changes),
        TEST(partitions_remember_how_many_they_are),
        TEST(a_new_payload_limit_holds_from_its_migration_on),
        TEST(a_library_that_is_newer_stays),
        TEST(facts_are_those_of_the_server),
        TEST(each_defect_is_fatal_and_says_what_to_do),
        TEST(an_evicting_redis_is_found_out),
        TEST(a_redis_without_the_functions_tells_so_to_everybody),
        TEST(a_set_up_that_was_cut_short_shows_and_is_done_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
