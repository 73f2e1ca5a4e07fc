/* list_threads: {limit?, offset? or cursor?, include_archived?} → the user's
 * threads, newest first, and how many there are. */
#include "workers/handlers.h"

#include "workers/threads.h"

enum { LIMIT = 20 };

/* What the payload asks for; `*page` points into the task. */
static heddle_status read_page(struct heddle_task *task, struct thread_page *page,
                               struct heddle_error *err)
{
    struct request_page asked;
    bool with_archived = false, found;
    int64_t created_us = 0;
    char *id = NULL;
    heddle_status status = request_page(task, LIMIT, &asked, err);

    if (status == HEDDLE_OK)
        status = heddle_payload_boolean(task, "include_archived", &with_archived, &found, err);
    if (status == HEDDLE_OK && asked.cursor.size > 0) {
        id = heddle_task_alloc(task, HEDDLE_ID_SIZE + 1);
        status = request_thread_cursor(asked.cursor, &created_us, id, err);
    }
    if (status != HEDDLE_OK)
        return status;
    *page = (struct thread_page){
        .limit = asked.limit,
        .offset = asked.offset,
        .with_archived = with_archived,
        .after_id = id,
        .after_created_us = created_us,
    };
    return HEDDLE_OK;
}

static heddle_status check(struct heddle_task *task, struct heddle_error *err)
{
    static const char *const members[] = {"limit", "offset", "cursor", "include_archived", NULL};
    struct thread_page page;
    heddle_status status = heddle_payload_only(task, members, err);

    return status != HEDDLE_OK ? status : read_page(task, &page, err);
}

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    struct thread_page page;
    const char *list;
    heddle_status status = read_page(task, &page, err);

    if (status == HEDDLE_OK)
        status = threads_list(uow, heddle_task_operation(task)->user.data, &page, &list, err);
    if (status == HEDDLE_OK)
        heddle_task_set_result(task, list);
    return status;
}

const struct heddle_handler list_threads_handler = {
    .op = "list_threads",
    .flags = HEDDLE_HANDLER_READ_ONLY,
    .check = check,
    .apply = apply,
};
