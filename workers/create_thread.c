/* create_thread: {id?, title?, metadata?} → the thread. Without an id, the
 * thread's is the operation's own: the same however often it is executed. */
#include "workers/handlers.h"

#include "workers/threads.h"

#include <strings.h>

static heddle_status check_payload(struct heddle_task *task, struct heddle_error *err);
static heddle_status read_id(struct heddle_task *task, struct heddle_text *id, bool *found,
                             struct heddle_error *err);

static heddle_status check(struct heddle_task *task, struct heddle_error *err)
{
    const struct heddle_text thread = heddle_task_operation(task)->thread;
    struct heddle_text id;
    bool has_id;
    heddle_status status = check_payload(task, err);

    if (status == HEDDLE_OK)
        status = read_id(task, &id, &has_id, err);
    if (status != HEDDLE_OK || thread.size == 0)
        return status;
    if (!has_id || thread.size != id.size || strncasecmp(thread.data, id.data, id.size) != 0)
        return heddle_refuse(err, HEDDLE_KIND_INVALID,
                             "thread must be empty or the id of the payload");
    return HEDDLE_OK;
}

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    const struct heddle_operation *op = heddle_task_operation(task);
    struct heddle_text id;
    const char *thread;
    bool has_id;
    heddle_status status = read_id(task, &id, &has_id, err);

    if (status != HEDDLE_OK)
        return status;
    struct thread_key key = {.id = has_id ? id.data : op->id, .user = op->user.data};
    status = threads_insert(uow, key, op->payload.data, &thread, err);
    if (status == HEDDLE_OK)
        heddle_task_set_result(task, thread);
    return status;
}

static heddle_status check_payload(struct heddle_task *task, struct heddle_error *err)
{
    static const char *const members[] = {"id", "title", "metadata", NULL};
    struct heddle_text value;
    bool found;
    heddle_status status = heddle_payload_only(task, members, err);

    if (status == HEDDLE_OK)
        status = heddle_payload_text(task, "title", &value, &found, err);
    if (status == HEDDLE_OK)
        status = heddle_payload_object(task, "metadata", &value, &found, err);
    return status;
}

static heddle_status read_id(struct heddle_task *task, struct heddle_text *id, bool *found,
                             struct heddle_error *err)
{
    heddle_status status = heddle_payload_text(task, "id", id, found, err);

    if (status == HEDDLE_OK && *found && !heddle_is_uuid(id->data, id->size))
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "id must be a UUID");
    return status;
}

const struct heddle_handler create_thread_handler = {
    .op = "create_thread",
    .check = check,
    .apply = apply,
};
