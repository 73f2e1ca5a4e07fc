/* See functions.h. Handlers run on workers; the rest on the thread that learns. */
#include "engine/functions.h"

#include "base/arena.h"
#include "base/log.h"
#include "engine/handlers.h"
#include "engine/task.h"
#include "ledger/registry.h"

#include <stdio.h>
#include <stdlib.h>

enum { PARAMS = 3 };

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err);
static heddle_status apply_many(struct heddle_task *const *tasks, size_t count,
                                struct heddle_uow *uow, struct heddle_error *err);
static const struct function *function_of(const struct heddle_task *task);
static const char *thread_of(const struct heddle_task *task);
static const char *payload_of(const struct heddle_task *task);

struct function *function_new(const struct registry_row *row)
{
    struct function *function = memory_take_zeroed(1, sizeof *function);
    char *op, *call, *call_many;

    if (asprintf(&op, "%s", row->op) < 0 ||
        asprintf(&call, "select %s($1::text, $2::text, $3::jsonb)", row->function) < 0 ||
        asprintf(&call_many,
                 "select %s(user_id, thread, payload::jsonb)"
                 " from unnest($1::text[], $2::text[], $3::json[])"
                 " with ordinality as o (user_id, thread, payload, n) order by n",
                 row->function) < 0)
        memory_exhausted();
    function->handler = (struct heddle_handler){
        .op = op,
        .flags = row->flags,
        .apply = apply,
        .apply_many = row->flags & HEDDLE_HANDLER_READ_ONLY ? NULL : apply_many,
        .policy = row->policy,
    };
    function->call = (struct heddle_statement){NULL, call, PARAMS};
    function->call_many = (struct heddle_statement){NULL, call_many, PARAMS};
    function->version = row->version;
    return function;
}

void function_free(struct function *function)
{
    if (!function)
        return;
    free((char *)(uintptr_t)function->handler.op);
    free((char *)(uintptr_t)function->call.sql);
    free((char *)(uintptr_t)function->call_many.sql);
    free(function);
}

heddle_status functions_learn(struct handlers *handlers, struct pg_link *link, bool *has_changed,
                              struct heddle_error *err)
{
    const int64_t known = handlers_version(handlers);
    struct registry_page page;
    struct arena arena;

    arena_init(&arena, 0);
    heddle_status status = registry_read(link, known, &arena, &page, err);
    *has_changed = status == HEDDLE_OK && page.version != known;
    if (*has_changed) {
        struct function **functions = arena_alloc(&arena, (page.count + 1) * sizeof *functions);
        for (size_t i = 0; i < page.count; i++)
            functions[i] = function_new(&page.rows[i]);
        handlers_replace(handlers, page.version, functions, page.count);
        heddle_log(HEDDLE_LOG_INFO, "operations_learned", "version=%lld functions=%zu",
                   (long long)page.version, page.count);
    }
    arena_done(&arena);
    return status;
}

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    const char *const params[] = {task->operation->user.data, thread_of(task), payload_of(task)};
    const struct heddle_rows *rows;

    heddle_status status = heddle_uow_query(uow, &function_of(task)->call, params, &rows, err);
    if (status == HEDDLE_OK)
        heddle_task_set_result(task, heddle_rows_text(rows, 0, 0));
    return status;
}

/* A call that refuses fails all of them: then they are called one by one. */
static heddle_status apply_many(struct heddle_task *const *tasks, size_t count,
                                struct heddle_uow *uow, struct heddle_error *err)
{
    struct heddle_array *users = heddle_array_new(tasks[0], HEDDLE_ARRAY_TEXT);
    struct heddle_array *threads = heddle_array_new(tasks[0], HEDDLE_ARRAY_TEXT);
    struct heddle_array *payloads = heddle_array_new(tasks[0], HEDDLE_ARRAY_JSON);
    struct heddle_array *const params[] = {users, threads, payloads};
    const struct heddle_rows *rows;

    for (size_t i = 0; i < count; i++) {
        heddle_array_add(users, tasks[i]->operation->user.data);
        heddle_array_add(threads, thread_of(tasks[i]));
        heddle_array_add(payloads, payload_of(tasks[i]));
    }
    heddle_status status =
        heddle_uow_query_arrays(uow, &function_of(tasks[0])->call_many, params, &rows, err);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
        heddle_task_set_result(tasks[i], heddle_rows_text(rows, (int)i, 0));
    return status;
}

static const struct function *function_of(const struct heddle_task *task)
{
    return (const struct function *)task->handler;
}

static const char *thread_of(const struct heddle_task *task)
{
    return task->operation->thread.size > 0 ? task->operation->thread.data : NULL;
}

static const char *payload_of(const struct heddle_task *task)
{
    return task->operation->payload.size > 0 ? task->operation->payload.data : "{}";
}
