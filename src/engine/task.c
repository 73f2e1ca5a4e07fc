/* Tasks (heddle/operation.h), but for the payload's members: payload.c. Runs on a worker. */
#include "engine/task.h"

#include "base/array.h"
#include "base/json.h"
#include "base/text.h"
#include "ledger/uow.h"
#include "link/pg.h"

#include <stdlib.h>

#include <jansson.h>

void task_init(struct heddle_task *task, struct claim *claim,
               const struct claimed_operation *claimed, const struct heddle_handler *handler,
               struct arena *arena, struct pg_link *link)
{
    *task = (struct heddle_task){.operation = &claimed->operation,
                                 .claimed = claimed,
                                 .handler = handler,
                                 .claim = claim,
                                 .arena = arena,
                                 .link = link};
}

heddle_status task_check(struct heddle_task *task, struct heddle_error *err)
{
    return json_read_payload(task->operation->payload, &task->payload, err);
}

void task_forget(struct heddle_task *task)
{
    json_decref(task->payload);
    task->payload = NULL;
}

void task_done(struct heddle_task *task)
{
    task_forget(task);
    arena_reset(task->arena);
}

const struct heddle_operation *heddle_task_operation(const struct heddle_task *task)
{
    return task->operation;
}

bool heddle_task_is_cancelled(const struct heddle_task *task)
{
    return claimed_cancel_cause(task->claimed) != CANCEL_NONE ||
           (task->together && atomic_load(task->together) != CANCEL_NONE);
}

void *heddle_task_alloc(struct heddle_task *task, size_t size)
{
    return arena_alloc(task->arena, size);
}

char *heddle_task_format(struct heddle_task *task, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = arena_vformat(task->arena, format, arguments);
    va_end(arguments);
    return text;
}

void heddle_task_set_prepared(struct heddle_task *task, void *prepared)
{
    task->prepared = prepared;
}

void *heddle_task_prepared(const struct heddle_task *task)
{
    return task->prepared;
}

heddle_status heddle_task_read(struct heddle_task *task,
                               heddle_status (*read)(struct heddle_uow *uow, void *argument,
                                                     struct heddle_error *err),
                               void *argument, struct heddle_error *err)
{
    struct heddle_uow uow;

    heddle_status status = uow_begin(&uow, task->link, true, err);
    if (status != HEDDLE_OK)
        return status;
    status = read(&uow, argument, err);
    if (status != HEDDLE_OK) {
        uow_rollback(&uow);
        return status;
    }
    status = uow_commit(&uow, err);
    /* It has no effects whose fate could be unknown. */
    return status == HEDDLE_UNKNOWN ? HEDDLE_RETRY : status;
}

void heddle_task_set_result(struct heddle_task *task, const char *json)
{
    task->result = json;
}

void heddle_task_refuse(struct heddle_task *task, enum heddle_kind kind, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const char *text = arena_vformat(task->arena, format, arguments);
    va_end(arguments);
    task->refusal = arena_alloc(task->arena, sizeof *task->refusal);
    *task->refusal = (struct heddle_error){0};
    (void)heddle_refuse(task->refusal, kind, "%s", text);
}

struct heddle_array *heddle_array_new(struct heddle_task *task, enum heddle_array_type type)
{
    struct heddle_array *array = arena_alloc(task->arena, sizeof *array);

    array_init(array, type, task->arena);
    return array;
}

const char *heddle_task_result(const struct heddle_task *task)
{
    return task->result;
}

void heddle_task_publish(struct heddle_task *task, const char *name, const char *json)
{
    const struct heddle_operation *operation = task->operation;
    json_t *object = json_pack("{s:s, s:s, s:s%, s:s%}", "event", name, "id", operation->id, "user",
                               operation->user.data, operation->user.size, "thread",
                               operation->thread.data, operation->thread.size);
    char *head = json_dumps(object, JSON_COMPACT);

    if (!head)
        abort();
    struct arena *arena = &task->claim->arena;
    struct claim_event *event = arena_alloc(arena, sizeof *event);
    event->json = arena_format(arena, "%.*s,\"data\":%s}", (int)text_of(head).size - 1, head,
                               json ? json : "null");
    event->next = task->claim->events;
    task->claim->events = event;
    free(head);
    json_decref(object);
}
