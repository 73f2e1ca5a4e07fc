/* auto_rename: {} → the thread, with a title made of the first message of role
 * user. The endpoint, where one is configured, is asked in prepare, outside any
 * transaction; when it fails, the local rule makes the title. */
#include "workers/handlers.h"

#include "heddle/log.h"
#include "workers/messages.h"
#include "workers/options.h"
#include "workers/title_endpoint.h"

#include <string.h>

struct first_message {
    struct heddle_task *task;
    const char *content; /* memory of the task */
};

static heddle_status read_first_message(struct heddle_uow *uow, void *argument,
                                        struct heddle_error *err);
static bool ask_endpoint(const struct heddle_operation *op, const char *message,
                         char title[TITLE_SIZE]);

static heddle_status prepare(struct heddle_task *task, struct heddle_error *err)
{
    struct first_message first = {.task = task};
    heddle_status status = heddle_task_read(task, read_first_message, &first, err);

    if (status != HEDDLE_OK)
        return status;
    char *title = heddle_task_alloc(task, TITLE_SIZE);
    if (!ask_endpoint(heddle_task_operation(task), first.content, title))
        title_make((struct heddle_text){first.content, strlen(first.content)}, title);
    heddle_task_set_prepared(task, title);
    return HEDDLE_OK;
}

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    struct thread_key key = thread_key_of(heddle_task_operation(task));
    const char *thread;
    heddle_status status = threads_rename(uow, key, heddle_task_prepared(task), &thread, err);

    if (status == HEDDLE_OK)
        heddle_task_set_result(task, thread);
    return status;
}

static void after_commit(struct heddle_task *task)
{
    heddle_task_publish(task, "thread_renamed", heddle_task_result(task));
}

static heddle_status read_first_message(struct heddle_uow *uow, void *argument,
                                        struct heddle_error *err)
{
    struct first_message *first = argument;
    struct thread_key key = thread_key_of(heddle_task_operation(first->task));
    const char *content;
    heddle_status status = messages_first_of_user(uow, key, &content, err);

    if (status == HEDDLE_OK)
        first->content = heddle_task_format(first->task, "%s", content);
    return status;
}

/* False where no endpoint is configured, or none that answers. */
static bool ask_endpoint(const struct heddle_operation *op, const char *message,
                         char title[TITLE_SIZE])
{
    const struct workers_options *options = workers_options();
    const struct title_endpoint endpoint = {
        .url = options->title_url,
        .model = options->title_model,
        .api_key = options->title_api_key,
        .timeout_ms = options->title_timeout_ms,
    };
    struct heddle_error err;

    if (!endpoint.url)
        return false;
    if (title_endpoint_ask(&endpoint, message, title, &err) == HEDDLE_OK)
        return true;
    heddle_log(HEDDLE_LOG_WARNING, "title_endpoint_failed",
               "id=%s thread=%s attempt=%d reason=\"%s\"", op->id, op->thread.data, op->attempt,
               err.text);
    return false;
}

const struct heddle_handler auto_rename_handler = {
    .op = "auto_rename",
    /* In a bundle, prepare would not see the messages that wait in front of it. */
    .flags = HEDDLE_HANDLER_NEVER_BUNDLE,
    .check = request_check_thread_only,
    .prepare = prepare,
    .apply = apply,
    .after_commit = after_commit,
};
