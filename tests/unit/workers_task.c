/* See workers_task.h: the functions of include/heddle that handlers call. */
#include "workers_task.h"

#include "workers/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct heddle_handler *handler_of(const char *op)
{
    const struct heddle_handler *const *handlers = workers_registry();

    while (*handlers && strcmp((*handlers)->op, op) != 0)
        handlers++;
    assert_non_null(*handlers);
    return *handlers;
}

void task_init(struct heddle_task *task, const char *thread, const char *payload)
{
    *task = (struct heddle_task){
        .op = {.id = OPERATION,
               .user = {"ann", 3},
               .thread = {thread, strlen(thread)},
               .payload = {payload, strlen(payload)},
               .attempt = 1},
        .payload = json_loads(payload, 0, NULL),
    };
    assert_non_null(task->payload);
}

void task_done(struct heddle_task *task)
{
    for (int i = 0; i < task->piece_count; i++)
        free(task->pieces[i]);
    json_decref(task->payload);
    arena_done(&task->arrays);
}

const struct heddle_operation *heddle_task_operation(const struct heddle_task *task)
{
    return &task->op;
}

void *heddle_task_alloc(struct heddle_task *task, size_t size)
{
    assert_true(task->piece_count < PIECES_MAX);
    return task->pieces[task->piece_count++] = calloc(1, size);
}

struct heddle_array *heddle_array_new(struct heddle_task *task, enum heddle_array_type type)
{
    struct heddle_array *array = heddle_task_alloc(task, sizeof *array);

    array_init(array, type, &task->arrays);
    return array;
}

void heddle_task_refuse(struct heddle_task *task, enum heddle_kind kind, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    char *text = heddle_task_alloc(task, 1024);
    vsnprintf(text, 1024, format, arguments);
    va_end(arguments);
    task->refused = kind;
    task->refusal = text;
}

heddle_status heddle_uow_query_arrays(struct heddle_uow *uow,
                                      const struct heddle_statement *statement,
                                      struct heddle_array *const *params,
                                      const struct heddle_rows **rows, struct heddle_error *err)
{
    const char *texts[PARAMS_MAX];

    for (int i = 0; i < statement->param_count; i++)
        texts[i] = array_bytes(params[i]).data;
    return heddle_uow_query(uow, statement, texts, rows, err);
}

char *heddle_task_format(struct heddle_task *task, const char *format, ...)
{
    char *text = heddle_task_alloc(task, 1024);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, 1024, format, arguments);
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

void heddle_task_set_result(struct heddle_task *task, const char *json)
{
    task->result = json;
}

const char *heddle_task_result(const struct heddle_task *task)
{
    return task->result;
}

void heddle_task_publish(struct heddle_task *task, const char *name, const char *json)
{
    snprintf(task->published, sizeof task->published, "%s %s", name, json);
}

heddle_status heddle_task_read(struct heddle_task *task,
                               heddle_status (*read)(struct heddle_uow *uow, void *argument,
                                                     struct heddle_error *err),
                               void *argument, struct heddle_error *err)
{
    return read(&task->uow, argument, err);
}

heddle_status heddle_uow_query(struct heddle_uow *uow, const struct heddle_statement *statement,
                               const char *const *params, const struct heddle_rows **rows,
                               struct heddle_error *err)
{
    assert_true(uow->asked < uow->answer_count);
    const struct heddle_rows *answer = &uow->answers[uow->asked++];
    for (int i = 0; i < statement->param_count; i++)
        uow->last_params[i] = params[i];
    if (answer->status != HEDDLE_OK)
        return heddle_fail(err, answer->status, statement->name, "as told");
    *rows = answer;
    return HEDDLE_OK;
}

int heddle_rows_count(const struct heddle_rows *rows)
{
    return rows->is_empty ? 0 : 1;
}

const char *heddle_rows_text(const struct heddle_rows *rows, int row, int column)
{
    return row == 0 && column < FIELDS_MAX && !rows->is_empty ? rows->fields[column] : NULL;
}

static json_t *find(struct heddle_task *task, const char *member, bool *found)
{
    json_t *value = json_object_get(task->payload, member);

    *found = value && !json_is_null(value);
    return value;
}

heddle_status heddle_payload_text(struct heddle_task *task, const char *member,
                                  struct heddle_text *text, bool *found, struct heddle_error *err)
{
    json_t *value = find(task, member, found);

    if (*found && !json_is_string(value))
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "%s must be a text", member);
    if (*found)
        *text = (struct heddle_text){json_string_value(value), json_string_length(value)};
    return HEDDLE_OK;
}

heddle_status heddle_payload_integer(struct heddle_task *task, const char *member, int64_t least,
                                     int64_t most, int64_t *number, bool *found,
                                     struct heddle_error *err)
{
    json_t *value = find(task, member, found);

    if (*found && (!json_is_integer(value) || json_integer_value(value) < least ||
                   json_integer_value(value) > most))
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "%s must be a whole number", member);
    if (*found)
        *number = json_integer_value(value);
    return HEDDLE_OK;
}

heddle_status heddle_payload_boolean(struct heddle_task *task, const char *member, bool *flag,
                                     bool *found, struct heddle_error *err)
{
    json_t *value = find(task, member, found);

    if (*found && !json_is_boolean(value))
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "%s must be a boolean", member);
    if (*found)
        *flag = json_is_true(value);
    return HEDDLE_OK;
}

heddle_status heddle_payload_object(struct heddle_task *task, const char *member,
                                    struct heddle_text *json, bool *found, struct heddle_error *err)
{
    json_t *value = find(task, member, found);

    if (*found && !json_is_object(value))
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "%s must be an object", member);
    *json = (struct heddle_text){"{}", 2};
    return HEDDLE_OK;
}

heddle_status heddle_payload_only(struct heddle_task *task, const char *const *allowed,
                                  struct heddle_error *err)
{
    const char *member;
    json_t *value;

    json_object_foreach(task->payload, member, value)
    {
        const char *const *known = allowed;
        while (*known && strcmp(*known, member) != 0)
            known++;
        if (!*known)
            return heddle_refuse(err, HEDDLE_KIND_INVALID, "%s is unknown", member);
    }
    return HEDDLE_OK;
}
