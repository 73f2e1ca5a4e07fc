/* get_messages: {limit?, offset? or cursor?} → the thread's messages by seq,
 * and how many there are. */
#include "workers/handlers.h"

#include "workers/messages.h"

enum { LIMIT = 50 };

/* What the payload asks for: at most `*limit` messages after the first `*after`. */
static heddle_status read_page(struct heddle_task *task, int64_t *after, int64_t *limit,
                               struct heddle_error *err)
{
    struct request_page asked;
    heddle_status status = request_page(task, LIMIT, &asked, err);

    if (status == HEDDLE_OK && asked.cursor.size > 0)
        status = request_message_cursor(asked.cursor, &asked.offset, err);
    if (status != HEDDLE_OK)
        return status;
    *after = asked.offset;
    *limit = asked.limit;
    return HEDDLE_OK;
}

static heddle_status check(struct heddle_task *task, struct heddle_error *err)
{
    static const char *const members[] = {"limit", "offset", "cursor", NULL};
    int64_t after, limit;
    heddle_status status = request_check_thread(task, err);

    if (status == HEDDLE_OK)
        status = heddle_payload_only(task, members, err);
    return status != HEDDLE_OK ? status : read_page(task, &after, &limit, err);
}

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    struct thread_key key = thread_key_of(heddle_task_operation(task));
    int64_t after, limit;
    const char *list;
    heddle_status status = read_page(task, &after, &limit, err);

    if (status == HEDDLE_OK)
        status = messages_list(uow, key, after, limit, &list, err);
    if (status == HEDDLE_OK)
        heddle_task_set_result(task, list);
    return status;
}

const struct heddle_handler get_messages_handler = {
    .op = "get_messages",
    .flags = HEDDLE_HANDLER_READ_ONLY,
    .check = check,
    .apply = apply,
};
