/* An operation of a team's own, and hooks around all operations: an example to begin with.
 *
 *   create table notes (id uuid primary key, number bigint generated always as identity,
 *                       user_id text not null, text text not null);
 *   heddle run --handlers=/usr/local/lib/notes.so
 *   heddle submit --handlers=/usr/local/lib/notes.so --user alice --op add_note --payload
 * '{"text":"Milk"}' --wait
 */
#include "heddle/log.h"
#include "heddle/plugin.h"
#include "heddle/uow.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT_BYTES_MAX = 100 };

/* A user's notes are numbered in their order. */
static const struct heddle_statement add = {
    "notes_add",
    "insert into notes (id, user_id, text) select id, user_id, text"
    " from unnest($1::uuid[], $2::text[], $3::text[]) with ordinality as n(id, user_id, text, "
    "place)"
    " order by place",
    3};

static heddle_status read_text(struct heddle_task *task, struct heddle_text *text,
                               struct heddle_error *err)
{
    bool found = false;

    heddle_status status = heddle_payload_text(task, "text", text, &found, err);
    if (status == HEDDLE_OK && !found)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "text is missing");
    if (status == HEDDLE_OK && text->size > TEXT_BYTES_MAX)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "text \"%s\" is longer than %d bytes",
                             text->data, TEXT_BYTES_MAX);
    return status;
}

static heddle_status check_note(struct heddle_task *task, struct heddle_error *err)
{
    struct heddle_text text;

    return read_text(task, &text, err);
}

/* For one and for many alike: what costs is the statement. */
static heddle_status add_notes(struct heddle_task *const *tasks, size_t count,
                               struct heddle_uow *uow, struct heddle_error *err)
{
    struct heddle_array *const columns[] = {
        heddle_array_new(tasks[0], HEDDLE_ARRAY_UUID),
        heddle_array_new(tasks[0], HEDDLE_ARRAY_TEXT),
        heddle_array_new(tasks[0], HEDDLE_ARRAY_TEXT),
    };
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        const struct heddle_operation *operation = heddle_task_operation(tasks[i]);
        struct heddle_text text;
        status = read_text(tasks[i], &text, err);
        if (status != HEDDLE_OK)
            break;
        heddle_array_add(columns[0], operation->id);
        heddle_array_add(columns[1], operation->user.data);
        heddle_array_add(columns[2], text.data);
        heddle_task_set_result(tasks[i],
                               heddle_task_format(tasks[i], "{\"note\":\"%s\"}", operation->id));
    }
    return status == HEDDLE_OK ? heddle_uow_query_arrays(uow, &add, columns, NULL, err) : status;
}

static heddle_status add_note(struct heddle_task *task, struct heddle_uow *uow,
                              struct heddle_error *err)
{
    return add_notes(&task, 1, uow, err);
}

static const struct heddle_handler note_handler = {
    .op = "add_note", .check = check_note, .apply = add_note, .apply_many = add_notes};

/* Hooks. Many workers call them at once. */
static struct meter {
    atomic_llong running, ended;
} meter;

static void *begin(void *context, const struct heddle_operation *operation)
{
    struct meter *counts = context;
    struct timespec *started = malloc(sizeof *started);

    (void)operation;
    atomic_fetch_add(&counts->running, 1);
    if (started)
        clock_gettime(CLOCK_MONOTONIC, started);
    return started;
}

static void end(void *context, const struct heddle_operation *operation, void *started,
                const struct heddle_execution *execution)
{
    struct meter *counts = context;

    free(started);
    atomic_fetch_sub(&counts->running, 1);
    if (execution->end != HEDDLE_END_NONE)
        atomic_fetch_add(&counts->ended, 1);
    heddle_log(HEDDLE_LOG_DEBUG, "notes_span",
               "id=%s op=%s trace=%s end=%s us=%lld bundled=%zu running=%lld", operation->id,
               operation->op.data, operation->trace.size ? operation->trace.data : "-",
               heddle_end_name(execution->end), (long long)execution->took_us, execution->bundled,
               (long long)atomic_load(&counts->running));
}

/* What stands in quotes may be a user's. */
static void redact(void *context, const struct heddle_operation *operation,
                   struct heddle_error *err)
{
    char *open = strchr(err->text, '"');
    char *close = open ? strrchr(open + 1, '"') : NULL;

    (void)context;
    (void)operation;
    if (close)
        memmove(open + 1, close, strlen(close) + 1);
    else if (open)
        open[1] = '\0';
}

static const struct heddle_handler *const handlers[] = {&note_handler, NULL};
static const struct heddle_hooks hooks = {
    .context = &meter, .start = begin, .end = end, .error = redact};

const struct heddle_plugin heddle_plugin = {HEDDLE_PLUGIN_HEAD, .name = "notes",
                                            .handlers = handlers, .hooks = &hooks};
