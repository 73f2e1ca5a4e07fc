/* See hooks.h. */
#include "engine/hooks.h"

#include "base/arena.h"
#include "base/text.h"
#include "engine/task.h"

#include <string.h>

void hooks_start(const struct heddle_hooks *const *hooks, struct heddle_task *task)
{
    size_t count = 0;

    if (!hooks)
        return;
    task->hooks = hooks;
    while (hooks[count])
        count++;
    task->started = arena_alloc(task->arena, count * sizeof *task->started);
    for (size_t i = 0; i < count; i++)
        task->started[i] =
            hooks[i]->start ? hooks[i]->start(hooks[i]->context, task->operation) : NULL;
}

void hooks_end(const struct heddle_task *task, const struct heddle_execution *execution)
{
    const struct heddle_hooks *const *hooks = task->hooks;

    for (size_t i = 0; hooks && hooks[i]; i++)
        if (hooks[i]->end)
            hooks[i]->end(hooks[i]->context, task->operation, task->started[i], execution);
}

void hooks_error(const struct heddle_hooks *const *hooks, const struct heddle_operation *operation,
                 struct heddle_error *err)
{
    for (size_t i = 0; hooks && hooks[i]; i++) {
        struct heddle_error shown = *err;
        if (!hooks[i]->error)
            continue;
        hooks[i]->error(hooks[i]->context, operation, &shown);
        shown.text[sizeof shown.text - 1] = '\0';
        text_make_line(shown.text);
        memcpy(err->text, shown.text, sizeof err->text);
    }
}
