/* See ops.h. */
#include "app/ops.h"

#include "app/links.h"
#include "app/options.h"
#include "app/plugins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "link/pg.h"
#include "workers/registry.h"

static heddle_status ask(struct ops *ops, struct heddle_error *err);
static void add_handler(struct ops *ops, const struct heddle_handler *handler);
static void add_hooks(struct ops *ops, const struct heddle_hooks *hooks);
static heddle_status load_one(struct ops *ops, const char *path, struct heddle_error *err);

void ops_init(struct ops *ops)
{
    *ops = (struct ops){0};
    arena_init(&ops->arena, 0);
    for (const struct heddle_handler *const *handler = workers_registry(); *handler; handler++)
        add_handler(ops, *handler);
}

void ops_done(struct ops *ops)
{
    free(ops->handlers);
    free(ops->hooks);
    arena_done(&ops->arena);
}

heddle_status ops_load(struct ops *ops, const struct settings *settings,
                       const struct options *options, struct heddle_error *err)
{
    char *paths = strdup(options->handlers), *rest = paths, *path;
    heddle_status status = HEDDLE_OK;
    struct heddle_error cause;

    if (!paths)
        memory_exhausted();
    ops->options = options;
    while (status == HEDDLE_OK && (path = strsep(&rest, ",")))
        if (*path)
            status = load_one(ops, path, &cause);
    free(paths);
    return status == HEDDLE_OK ? HEDDLE_OK
                               : settings_refuse(settings, "handlers", err, "%s", cause.text);
}

const struct heddle_handler *ops_find(const struct ops *ops, struct heddle_text op)
{
    for (size_t i = 0; i < ops->handler_count; i++)
        if (text_equal(op, text_of(ops->handlers[i]->op)))
            return ops->handlers[i];
    return NULL;
}

heddle_status ops_check(struct ops *ops, struct heddle_text op, struct heddle_error *err)
{
    char known[256] = "";
    size_t used = 0;

    if (ops_find(ops, op))
        return HEDDLE_OK;
    heddle_status status = ask(ops, err);
    if (status != HEDDLE_OK)
        return status;
    for (size_t i = 0; i < ops->registered.count; i++)
        if (text_equal(op, text_of(ops->registered.rows[i].op)))
            return HEDDLE_OK;
    for (size_t i = 0; i < ops->handler_count + ops->registered.count && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "",
                                 i < ops->handler_count
                                     ? ops->handlers[i]->op
                                     : ops->registered.rows[i - ops->handler_count].op);
    return heddle_refuse(err, HEDDLE_KIND_INVALID, "op = %.60s: allowed are %s", op.data, known);
}

static heddle_status ask(struct ops *ops, struct heddle_error *err)
{
    struct pg_link *link;

    if (ops->has_asked || !ops->options)
        return HEDDLE_OK;
    heddle_status status = links_postgres(ops->options, &link, err);
    if (status != HEDDLE_OK)
        return status;
    status = registry_read(link, 0, &ops->arena, &ops->registered, err);
    ops->has_asked = status == HEDDLE_OK;
    pg_free(link);
    return status;
}

static void add_handler(struct ops *ops, const struct heddle_handler *handler)
{
    ops->handlers = memory_resize(ops->handlers, (ops->handler_count + 2) * sizeof *ops->handlers);
    ops->handlers[ops->handler_count++] = handler;
    ops->handlers[ops->handler_count] = NULL;
}

static void add_hooks(struct ops *ops, const struct heddle_hooks *hooks)
{
    ops->hooks = memory_resize(ops->hooks, (ops->hook_count + 2) * sizeof *ops->hooks);
    ops->hooks[ops->hook_count++] = hooks;
    ops->hooks[ops->hook_count] = NULL;
}

static heddle_status load_one(struct ops *ops, const char *path, struct heddle_error *err)
{
    const struct heddle_plugin *plugin;

    heddle_status status = plugin_open(path, &plugin, err);
    if (status != HEDDLE_OK)
        return status;
    for (size_t i = 0; plugin->handlers && plugin->handlers[i]; i++) {
        if (ops_find(ops, text_of(plugin->handlers[i]->op)))
            return heddle_fail(err, HEDDLE_FATAL, "plugin", "%s: op %s: there is one already", path,
                               plugin->handlers[i]->op);
        add_handler(ops, plugin->handlers[i]);
    }
    if (plugin->hooks)
        add_hooks(ops, plugin->hooks);
    heddle_log(HEDDLE_LOG_DEBUG, "plugin_loaded", "name=%s path=%s", LOG_TEXT(plugin->name),
               LOG_TEXT(path));
    return HEDDLE_OK;
}
