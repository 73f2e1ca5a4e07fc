/* update_thread: {title?, metadata?} → the thread. Metadata is merged. */
#include "workers/handlers.h"

#include "workers/threads.h"

static heddle_status check(struct heddle_task *task, struct heddle_error *err)
{
    static const char *const members[] = {"title", "metadata", NULL};
    struct heddle_text value;
    bool found;
    heddle_status status = request_check_thread(task, err);

    if (status == HEDDLE_OK)
        status = heddle_payload_only(task, members, err);
    if (status == HEDDLE_OK)
        status = heddle_payload_text(task, "title", &value, &found, err);
    if (status == HEDDLE_OK)
        status = heddle_payload_object(task, "metadata", &value, &found, err);
    return status;
}

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    const struct heddle_operation *op = heddle_task_operation(task);
    const char *thread;
    heddle_status status = threads_update(uow, thread_key_of(op), op->payload.data, &thread, err);

    if (status == HEDDLE_OK)
        heddle_task_set_result(task, thread);
    return status;
}

const struct heddle_handler update_thread_handler = {
    .op = "update_thread",
    .check = check,
    .apply = apply,
};
