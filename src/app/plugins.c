/* See plugins.h. Runs on the main thread at start. */
#include "app/plugins.h"

#include <dlfcn.h>
#include <string.h>

#define SYMBOL "heddle_plugin"

static heddle_status judge(const char *path, const struct heddle_plugin *plugin,
                           struct heddle_error *err);
static heddle_status judge_handler(const char *path, const struct heddle_handler *handler,
                                   struct heddle_error *err);

heddle_status plugin_open(const char *path, const struct heddle_plugin **plugin,
                          struct heddle_error *err)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!object)
        return heddle_fail(err, HEDDLE_FATAL, "dlopen", "%s", dlerror());
    const struct heddle_plugin *found = dlsym(object, SYMBOL);
    if (!found)
        return heddle_fail(err, HEDDLE_FATAL, "dlsym", "%s: defines no " SYMBOL, path);
    heddle_status status = judge(path, found, err);
    if (status == HEDDLE_OK)
        *plugin = found;
    return status;
}

static heddle_status judge(const char *path, const struct heddle_plugin *plugin,
                           struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    if (plugin->abi != HEDDLE_ABI)
        return heddle_fail(err, HEDDLE_FATAL, "plugin",
                           "%s: is built for handler interface %u; this program has %d", path,
                           plugin->abi, HEDDLE_ABI);
    if (plugin->size != sizeof *plugin || plugin->handler_size != sizeof(struct heddle_handler))
        return heddle_fail(err, HEDDLE_FATAL, "plugin",
                           "%s: its structures have other sizes than this program's: it is built "
                           "with other headers, or does not begin with HEDDLE_PLUGIN_HEAD",
                           path);
    if (!plugin->name || !*plugin->name)
        return heddle_fail(err, HEDDLE_FATAL, "plugin", "%s: has no name", path);
    for (size_t i = 0; status == HEDDLE_OK && plugin->handlers && plugin->handlers[i]; i++)
        status = judge_handler(path, plugin->handlers[i], err);
    return status;
}

static heddle_status judge_handler(const char *path, const struct heddle_handler *handler,
                                   struct heddle_error *err)
{
    const char *op = handler->op ? handler->op : "";
    const size_t size = strspn(op, "abcdefghijklmnopqrstuvwxyz0123456789_.");
    const bool has_effects = !(handler->flags & HEDDLE_HANDLER_NO_EFFECTS);

    if (size < 1 || size > HEDDLE_OP_SIZE_MAX || op[size])
        return heddle_fail(err, HEDDLE_FATAL, "plugin",
                           "%s: op %.80s: allowed are 1 to %d characters of a-z0-9_.", path,
                           *op ? op : "(none)", HEDDLE_OP_SIZE_MAX);
    if (has_effects ? !handler->apply && !handler->prepare : handler->apply || !handler->prepare)
        return heddle_fail(err, HEDDLE_FATAL, "plugin", "%s: op %s: %s", path, op,
                           has_effects ? "has neither apply nor prepare"
                                       : "without effects has prepare, and no apply");
    return HEDDLE_OK;
}
