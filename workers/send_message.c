/* send_message: {role, content, metadata?} → the message. Its id is the
 * operation's. */
#include "workers/handlers.h"

#include "workers/messages.h"

#include <string.h>

static bool is_role(const char *text);

/* What the payload says; `*message` points into the task. */
static heddle_status read_message(struct heddle_task *task, struct new_message *message,
                                  struct heddle_error *err)
{
    const struct heddle_operation *op = heddle_task_operation(task);
    struct heddle_text role, content, metadata;
    bool has_role, has_content, has_metadata;
    heddle_status status = heddle_payload_text(task, "role", &role, &has_role, err);

    if (status == HEDDLE_OK)
        status = heddle_payload_text(task, "content", &content, &has_content, err);
    if (status == HEDDLE_OK)
        status = heddle_payload_object(task, "metadata", &metadata, &has_metadata, err);
    if (status != HEDDLE_OK)
        return status;
    if (!has_role || !is_role(role.data))
        return heddle_refuse(err, HEDDLE_KIND_INVALID,
                             "role must be user, assistant, system or tool");
    if (!has_content || content.size == 0)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "content must be a text that is not empty");
    *message = (struct new_message){
        .thread = thread_key_of(op),
        .id = op->id,
        .role = role.data,
        .content = content.data,
        .payload = has_metadata ? op->payload.data : NULL,
    };
    return HEDDLE_OK;
}

static heddle_status check(struct heddle_task *task, struct heddle_error *err)
{
    static const char *const members[] = {"role", "content", "metadata", NULL};
    struct new_message message;
    heddle_status status = request_check_thread(task, err);

    if (status == HEDDLE_OK)
        status = heddle_payload_only(task, members, err);
    return status != HEDDLE_OK ? status : read_message(task, &message, err);
}

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    struct new_message message;
    const char *json;
    heddle_status status = read_message(task, &message, err);

    if (status == HEDDLE_OK)
        status = messages_append(uow, task, &message, &json, err);
    if (status == HEDDLE_OK)
        heddle_task_set_result(task, json);
    return status;
}

static heddle_status apply_many(struct heddle_task *const *tasks, size_t count,
                                struct heddle_uow *uow, struct heddle_error *err)
{
    struct new_message *messages = heddle_task_alloc(tasks[0], count * sizeof *messages);
    const char **jsons = heddle_task_alloc(tasks[0], count * sizeof *jsons);
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
        status = read_message(tasks[i], &messages[i], err);
    if (status == HEDDLE_OK)
        status = messages_append_many(uow, tasks[0], messages, count, jsons, err);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        if (jsons[i]) {
            heddle_task_set_result(tasks[i], jsons[i]);
            continue;
        }
        status = threads_explain(uow, messages[i].thread, err);
        if (status != HEDDLE_REFUSED)
            break;
        heddle_task_refuse(tasks[i], err->kind, "%s", err->text);
        status = HEDDLE_OK;
    }
    return status;
}

static bool is_role(const char *text)
{
    static const char *const roles[] = {"user", "assistant", "system", "tool"};

    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(roles[i], text) == 0)
            return true;
    return false;
}

const struct heddle_handler send_message_handler = {
    .op = "send_message",
    .check = check,
    .apply = apply,
    .apply_many = apply_many,
};
