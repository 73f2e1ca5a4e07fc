/* The handlers behind check: how many statements an operation takes, and which
 * failure becomes which answer. */
#include "workers_task.h"

#include "workers/options.h"
#include "workers/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Applies the operation to a unit of work that answers as told, and asserts how
 * many statements it took. */
static heddle_status apply(struct heddle_task *task, const char *op,
                           const struct heddle_rows *answers, int answer_count,
                           struct heddle_error *err)
{
    task->uow = (struct heddle_uow){.answers = answers, .answer_count = answer_count};
    heddle_status status = handler_of(op)->apply(task, &task->uow, err);
    assert_int_equal(task->uow.asked, answer_count);
    return status;
}

static bool is_send(const char *op)
{
    return strcmp(op, "send_message") == 0;
}

static const char *payload_of(const char *op)
{
    return is_send(op) ? "{\"role\":\"user\",\"content\":\"\\\"hi\\\"\\u0001\\n\"}" : "{}";
}

static const char *result_of(const char *op)
{
    return is_send(op) ? "{\"id\" : \"" OPERATION "\", \"thread_id\" : \"" THREAD
                         "\", \"seq\" : 7, \"role\" : \"user\","
                         " \"content\" : \"\\\"hi\\\"\\u0001\\n\", \"metadata\" : {},"
                         " \"created_at\" : \"noon\"}"
                       : "{\"x\":1}";
}

static void the_usual_case_is_one_statement(void **state)
{
    static const struct heddle_rows row = {.fields = {"{\"x\":1}"}};
    static const struct heddle_rows message = {.fields = {"7", NULL, "noon"}};
    struct heddle_task task;
    struct heddle_error err;

    (void)state;
    for (const struct heddle_handler *const *h = workers_registry(); *h; h++) {
        task_init(&task, THREAD, payload_of((*h)->op));
        assert_int_equal(apply(&task, (*h)->op, is_send((*h)->op) ? &message : &row, 1, &err),
                         HEDDLE_OK);
        assert_string_equal(task.result, result_of((*h)->op));
        task_done(&task);
    }
}

static void a_failing_statement_is_passed_on(void **state)
{
    static const heddle_status statuses[] = {HEDDLE_RETRY, HEDDLE_PERMANENT, HEDDLE_FATAL};
    struct heddle_task task;

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        const struct heddle_rows fails = {.status = statuses[i]};
        const struct heddle_rows fails_then[] = {{.is_empty = true}, {.status = statuses[i]}};
        for (const struct heddle_handler *const *h = workers_registry(); *h; h++) {
            struct heddle_error err = {0};
            task_init(&task, THREAD, payload_of((*h)->op));
            assert_int_equal(apply(&task, (*h)->op, &fails, 1, &err), statuses[i]);
            assert_string_equal(err.text, "as told");
            assert_null(task.result);
            if (strcmp((*h)->op, "list_threads") != 0 && strcmp((*h)->op, "create_thread") != 0)
                assert_int_equal(apply(&task, (*h)->op, fails_then, 2, &err), statuses[i]);
            assert_null(task.result);
            task_done(&task);
        }
    }
}

static void assert_explained(const struct heddle_rows *reason, heddle_status status,
                             enum heddle_kind kind)
{
    static const char *const ops[] = {"get_thread",   "update_thread", "delete_thread",
                                      "get_messages", "auto_rename",   "send_message"};
    const struct heddle_rows answers[] = {{.is_empty = true}, *reason};
    struct heddle_task task;

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct heddle_error err = {0};
        task_init(&task, THREAD, payload_of(ops[i]));
        assert_int_equal(apply(&task, ops[i], answers, 2, &err), status);
        assert_int_equal(err.kind, kind);
        task_done(&task);
    }
}

static void a_second_statement_says_why_nothing_was_found(void **state)
{
    static const struct heddle_rows nothing = {.is_empty = true};
    static const struct heddle_rows foreign = {.fields = {"f", "f"}};
    static const struct heddle_rows foreign_archived = {.fields = {"f", "t"}};
    static const struct heddle_rows archived = {.fields = {"t", "t"}};
    static const struct heddle_rows there_after_all = {.fields = {"t", "f"}};
    const struct workers_options revealing = {.reveal_forbidden = true}, usual = {0};

    (void)state;
    assert_explained(&nothing, HEDDLE_REFUSED, HEDDLE_KIND_NOT_FOUND);
    assert_explained(&foreign, HEDDLE_REFUSED, HEDDLE_KIND_NOT_FOUND);
    assert_explained(&foreign_archived, HEDDLE_REFUSED, HEDDLE_KIND_NOT_FOUND);
    assert_explained(&archived, HEDDLE_REFUSED, HEDDLE_KIND_CONFLICT);
    assert_explained(&there_after_all, HEDDLE_RETRY, HEDDLE_KIND_INTERNAL);

    workers_configure(&revealing);
    assert_explained(&nothing, HEDDLE_REFUSED, HEDDLE_KIND_NOT_FOUND);
    assert_explained(&foreign, HEDDLE_REFUSED, HEDDLE_KIND_FORBIDDEN);
    workers_configure(&usual);
}

static void an_id_in_use_is_a_conflict(void **state)
{
    static const struct heddle_rows none = {.is_empty = true};
    struct heddle_task task;
    struct heddle_error err;

    (void)state;
    task_init(&task, "", "{\"id\":\"" THREAD "\"}");
    assert_int_equal(apply(&task, "create_thread", &none, 1, &err), HEDDLE_REFUSED);
    assert_int_equal(err.kind, HEDDLE_KIND_CONFLICT);
    assert_string_equal(task.uow.last_params[0], THREAD);
    task_done(&task);
}

static void ids_that_we_make_are_the_operations(void **state)
{
    static const struct heddle_rows row = {.fields = {"{}"}};
    static const struct heddle_rows message = {.fields = {"7", NULL, "noon"}};
    struct heddle_task task;
    struct heddle_error err;

    (void)state;
    task_init(&task, "", "{}");
    assert_int_equal(apply(&task, "create_thread", &row, 1, &err), HEDDLE_OK);
    assert_string_equal(task.uow.last_params[0], OPERATION);
    task_done(&task);

    task_init(&task, THREAD, "{\"role\":\"user\",\"content\":\"hi\"}");
    assert_int_equal(apply(&task, "send_message", &message, 1, &err), HEDDLE_OK);
    assert_string_equal(task.uow.last_params[3], OPERATION);
    task_done(&task);
}

static void assert_renamed(const char *message, const char *title)
{
    const struct heddle_handler *handler = handler_of("auto_rename");
    const struct heddle_rows first = {.fields = {message}}, row = {.fields = {"{\"x\":1}"}};
    struct heddle_task task;
    struct heddle_error err;

    task_init(&task, THREAD, "{}");
    task.uow = (struct heddle_uow){.answers = &first, .answer_count = 1};
    assert_int_equal(handler->prepare(&task, &err), HEDDLE_OK);
    assert_int_equal(apply(&task, "auto_rename", &row, 1, &err), HEDDLE_OK);
    assert_string_equal(task.uow.last_params[2], title);
    assert_string_equal(task.published, "");
    handler->after_commit(&task);
    assert_string_equal(task.published, "thread_renamed {\"x\":1}");
    task_done(&task);
}

static void auto_rename_makes_a_title_and_tells_after_the_commit(void **state)
{
    (void)state;
    assert_renamed(" \"Book a room\" ", "Book a room");
    assert_renamed("\"\"", "");
}

static void an_endpoint_that_fails_leaves_the_title_to_the_rule(void **state)
{
    const struct workers_options unreachable = {.title_url = "http://127.0.0.1:1/"}, usual = {0};

    (void)state;
    workers_configure(&unreachable);
    assert_renamed("\"Book a room\"", "Book a room");
    workers_configure(&usual);
}

static void auto_rename_without_a_message_of_the_user_is_invalid(void **state)
{
    static const struct heddle_rows none = {.fields = {NULL}};
    struct heddle_task task;
    struct heddle_error err;

    (void)state;
    task_init(&task, THREAD, "{}");
    task.uow = (struct heddle_uow){.answers = &none, .answer_count = 1};
    assert_int_equal(handler_of("auto_rename")->prepare(&task, &err), HEDDLE_REFUSED);
    assert_int_equal(err.kind, HEDDLE_KIND_INVALID);
    assert_null(task.prepared);
    task_done(&task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_case_is_one_statement),
        cmocka_unit_test(a_failing_statement_is_passed_on),
        cmocka_unit_test(a_second_statement_says_why_nothing_was_found),
        cmocka_unit_test(an_id_in_use_is_a_conflict),
        cmocka_unit_test(ids_that_we_make_are_the_operations),
        cmocka_unit_test(auto_rename_makes_a_title_and_tells_after_the_commit),
        cmocka_unit_test(an_endpoint_that_fails_leaves_the_title_to_the_rule),
        cmocka_unit_test(auto_rename_without_a_message_of_the_user_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
