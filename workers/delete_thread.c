/* delete_thread: {} → a message. The thread is archived, its messages stay. */
#include "workers/handlers.h"

#include "workers/threads.h"

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    const char *answer;
    heddle_status status =
        threads_archive(uow, thread_key_of(heddle_task_operation(task)), &answer, err);

    if (status == HEDDLE_OK)
        heddle_task_set_result(task, answer);
    return status;
}

const struct heddle_handler delete_thread_handler = {
    .op = "delete_thread",
    .check = request_check_thread_only,
    .apply = apply,
};
