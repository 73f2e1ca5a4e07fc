/* What the handlers' check refuses, before any I/O. */
#include "workers_task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_check(const char *op, const char *thread, const char *payload,
                         heddle_status expected)
{
    struct heddle_task task;
    struct heddle_error err = {0};

    task_init(&task, thread, payload);
    heddle_status status = handler_of(op)->check(&task, &err);
    if (status != expected)
        print_error("%s %s %s: %s\n", op, thread, payload, err.text);
    assert_int_equal(status, expected);
    assert_int_equal(err.kind, expected == HEDDLE_OK ? HEDDLE_KIND_NONE : HEDDLE_KIND_INVALID);
    task_done(&task);
}

static void assert_takes(const char *op, const char *thread, const char *payload)
{
    assert_check(op, thread, payload, HEDDLE_OK);
}

static void assert_refuses(const char *op, const char *thread, const char *payload)
{
    assert_check(op, thread, payload, HEDDLE_REFUSED);
}

static void every_operation_has_a_handler(void **state)
{
    static const char *const ops[] = {"create_thread", "get_thread",    "list_threads",
                                      "update_thread", "delete_thread", "get_messages",
                                      "auto_rename",   "send_message"};

    (void)state;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        assert_non_null(handler_of(ops[i])->apply);
}

static void a_thread_is_asked_for_where_it_is_needed(void **state)
{
    static const char *const ops[] = {"get_thread",   "update_thread", "delete_thread",
                                      "get_messages", "auto_rename",   "send_message"};

    (void)state;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const char *payload = i == 5 ? "{\"role\":\"user\",\"content\":\"hi\"}" : "{}";
        assert_takes(ops[i], THREAD, payload);
        assert_refuses(ops[i], "", payload);
        assert_refuses(ops[i], "no-uuid", payload);
    }
    assert_takes("list_threads", "", "{}");
}

static void members_that_nobody_knows_are_refused(void **state)
{
    static const char *const ops[] = {"get_thread",   "update_thread", "delete_thread",
                                      "get_messages", "auto_rename",   "list_threads"};

    (void)state;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        assert_refuses(ops[i], THREAD, "{\"surprise\":1}");
    assert_refuses("send_message", THREAD, "{\"role\":\"user\",\"content\":\"hi\",\"seq\":1}");
    assert_refuses("create_thread", "", "{\"user_id\":\"bob\"}");
    assert_refuses("update_thread", THREAD, "{\"user_id\":\"bob\"}");
    assert_refuses("update_thread", THREAD, "{\"status\":\"active\"}");
    assert_refuses("update_thread", THREAD, "{\"created_at\":\"2020-01-01\"}");
}

static void create_thread_takes_its_id_from_the_payload(void **state)
{
    (void)state;
    assert_takes("create_thread", "", "{}");
    assert_takes("create_thread", "", "{\"id\":null,\"title\":null,\"metadata\":null}");
    assert_takes("create_thread", "", "{\"id\":\"" THREAD "\",\"title\":\"\",\"metadata\":{}}");
    assert_takes("create_thread", THREAD, "{\"id\":\"" THREAD "\"}");
    assert_takes("create_thread", "75F8796B-BF15-4028-A476-630218BD7B88",
                 "{\"id\":\"" THREAD "\"}");
    assert_refuses("create_thread", OTHER_THREAD, "{\"id\":\"" THREAD "\"}");
    assert_refuses("create_thread", THREAD, "{}");
    assert_refuses("create_thread", "", "{\"id\":\"\"}");
    assert_refuses("create_thread", "", "{\"id\":7}");
    assert_refuses("create_thread", "", "{\"title\":7}");
    assert_refuses("create_thread", "", "{\"metadata\":[]}");
}

static void update_thread_takes_title_and_metadata(void **state)
{
    (void)state;
    assert_takes("update_thread", THREAD, "{\"title\":\"\"}");
    assert_takes("update_thread", THREAD, "{\"title\":null,\"metadata\":{\"a\":1}}");
    assert_refuses("update_thread", THREAD, "{\"title\":[]}");
    assert_refuses("update_thread", THREAD, "{\"metadata\":\"{}\"}");
}

static void send_message_needs_role_and_content(void **state)
{
    (void)state;
    assert_takes("send_message", THREAD, "{\"role\":\"assistant\",\"content\":\" \"}");
    assert_takes("send_message", THREAD,
                 "{\"role\":\"tool\",\"content\":\"hi\",\"metadata\":{\"n\":0.1}}");
    assert_refuses("send_message", THREAD, "{\"content\":\"hi\"}");
    assert_refuses("send_message", THREAD, "{\"role\":\"user\"}");
    assert_refuses("send_message", THREAD, "{\"role\":\"user\",\"content\":\"\"}");
    assert_refuses("send_message", THREAD, "{\"role\":\"user\",\"content\":null}");
    assert_refuses("send_message", THREAD, "{\"role\":\"User\",\"content\":\"hi\"}");
    assert_refuses("send_message", THREAD, "{\"role\":\"\",\"content\":\"hi\"}");
    assert_refuses("send_message", THREAD, "{\"role\":\"user\",\"content\":[\"hi\"]}");
    assert_refuses("send_message", THREAD,
                   "{\"role\":\"user\",\"content\":\"hi\",\"metadata\":[]}");
}

static void a_page_is_limit_and_offset_or_cursor(void **state)
{
    static const char *const ops[] = {"list_threads", "get_messages"};
    static const char *const cursors[] = {"t1763726400123456_" THREAD, "m42"};
    char payload[128];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_takes(ops[i], THREAD, "{\"limit\":1,\"offset\":0}");
        assert_takes(ops[i], THREAD, "{\"limit\":100,\"offset\":9007199254740992}");
        assert_refuses(ops[i], THREAD, "{\"limit\":0}");
        assert_refuses(ops[i], THREAD, "{\"limit\":101}");
        assert_refuses(ops[i], THREAD, "{\"limit\":\"20\"}");
        assert_refuses(ops[i], THREAD, "{\"offset\":-1}");
        assert_refuses(ops[i], THREAD, "{\"offset\":9007199254740993}");
        for (size_t k = 0; k < 2; k++) {
            snprintf(payload, sizeof payload, "{\"limit\":7,\"cursor\":\"%s\"}", cursors[k]);
            assert_check(ops[i], THREAD, payload, i == k ? HEDDLE_OK : HEDDLE_REFUSED);
        }
        snprintf(payload, sizeof payload, "{\"offset\":0,\"cursor\":\"%s\"}", cursors[i]);
        assert_refuses(ops[i], THREAD, payload);
    }
}

static void a_cursor_that_is_none_of_ours_is_refused(void **state)
{
    static const char *const cursors[] = {
        "",
        "t",
        "m",
        "m-1",
        "m1 ",
        "m12345678901234567",
        "t1763726400123456",
        "t_" THREAD,
        "t1_" THREAD "x",
        "t1_75f8796b-bf15-4028-a476-630218bd7b8",
        "t1-" THREAD,
        "t12345678901234567_" THREAD,
        "tx1_" THREAD,
        "'; drop table chat.threads --",
    };
    char payload[128];

    (void)state;
    for (size_t i = 0; i < sizeof cursors / sizeof *cursors; i++) {
        snprintf(payload, sizeof payload, "{\"cursor\":\"%s\"}", cursors[i]);
        assert_refuses("list_threads", "", payload);
        assert_refuses("get_messages", THREAD, payload);
    }
    assert_refuses("list_threads", "", "{\"include_archived\":\"yes\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_has_a_handler),
        cmocka_unit_test(a_thread_is_asked_for_where_it_is_needed),
        cmocka_unit_test(members_that_nobody_knows_are_refused),
        cmocka_unit_test(create_thread_takes_its_id_from_the_payload),
        cmocka_unit_test(update_thread_takes_title_and_metadata),
        cmocka_unit_test(send_message_needs_role_and_content),
        cmocka_unit_test(a_page_is_limit_and_offset_or_cursor),
        cmocka_unit_test(a_cursor_that_is_none_of_ours_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
