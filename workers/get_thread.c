/* get_thread: {} → the thread, with the number of its messages. */
#include "workers/handlers.h"

#include "workers/threads.h"

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    const char *thread;
    heddle_status status =
        threads_get(uow, thread_key_of(heddle_task_operation(task)), &thread, err);

    if (status == HEDDLE_OK)
        heddle_task_set_result(task, thread);
    return status;
}

const struct heddle_handler get_thread_handler = {
    .op = "get_thread",
    .flags = HEDDLE_HANDLER_READ_ONLY,
    .check = request_check_thread_only,
    .apply = apply,
};
