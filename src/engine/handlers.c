/* See handlers.h. */
#include "engine/handlers.h"

#include "base/arena.h"
#include "base/thread.h"
#include "engine/functions.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A new cost counts for an eighth. */
enum { AVERAGE_SHIFT = 3 };

struct entry {
    const struct heddle_handler *handler;
    size_t op_size;
    atomic_int_fast64_t cost_us;
};

struct handlers {
    struct mutex mutex;
    struct function **functions GUARDED; /* in the order of their names */
    size_t function_count GUARDED;
    atomic_bool has_functions; /* so that nobody waits for the mutex where there are none */
    atomic_int_fast64_t version;
    size_t count;
    struct entry entries[];
};

static struct entry *entry_of(const struct handlers *handlers,
                              const struct heddle_handler *handler);
static struct function *function_of(const struct heddle_handler *handler);
static atomic_int_fast64_t *cost_of(const struct handlers *handlers,
                                    const struct heddle_handler *handler);
static struct function *find_locked(struct handlers *handlers, struct heddle_text op)
    REQUIRES(&handlers->mutex);
static int compare_name(const void *name, const void *function);

struct handlers *handlers_new(const struct heddle_handler *const *table)
{
    size_t count = 0;

    while (table[count])
        count++;
    struct handlers *handlers =
        memory_take_zeroed(1, sizeof *handlers + count * sizeof *handlers->entries);
    mutex_init(&handlers->mutex);
    handlers->count = count;
    for (size_t i = 0; i < count; i++) {
        handlers->entries[i].handler = table[i];
        handlers->entries[i].op_size = strlen(table[i]->op);
    }
    return handlers;
}

void handlers_free(struct handlers *handlers)
{
    if (!handlers)
        return;
    handlers_replace(handlers, 0, NULL, 0);
    mutex_lock(&handlers->mutex);
    free(handlers->functions);
    mutex_unlock(&handlers->mutex);
    mutex_done(&handlers->mutex);
    free(handlers);
}

const struct heddle_handler *handlers_hold(struct handlers *handlers, struct heddle_text op)
{
    for (size_t i = 0; i < handlers->count; i++) {
        const struct entry *entry = &handlers->entries[i];
        if (entry->op_size == op.size && memcmp(entry->handler->op, op.data, op.size) == 0)
            return entry->handler;
    }
    if (!atomic_load_explicit(&handlers->has_functions, memory_order_relaxed))
        return NULL;
    mutex_lock(&handlers->mutex);
    struct function *function = find_locked(handlers, op);
    if (function)
        function->holders++;
    mutex_unlock(&handlers->mutex);
    return function ? &function->handler : NULL;
}

void handlers_release(struct handlers *handlers, const struct heddle_handler *handler)
{
    if (!handler || entry_of(handlers, handler))
        return;
    struct function *function = function_of(handler);
    mutex_lock(&handlers->mutex);
    const bool is_last = --function->holders == 0 && function->is_gone;
    mutex_unlock(&handlers->mutex);
    if (is_last)
        function_free(function);
}

void handlers_replace(struct handlers *handlers, int64_t version, struct function *const *functions,
                      size_t count)
{
    struct function **fresh = memory_take((count + 1) * sizeof *fresh);
    size_t old_count, unused = 0;

    for (size_t i = 0; i < count; i++)
        fresh[i] = functions[i];
    mutex_lock(&handlers->mutex);
    struct function **old = handlers->functions;
    old_count = handlers->function_count;
    handlers->functions = fresh;
    handlers->function_count = count;
    /* Whoever holds one is the one to free it. */
    for (size_t i = 0; i < old_count; i++) {
        old[i]->is_gone = true;
        if (old[i]->holders == 0)
            old[unused++] = old[i];
    }
    mutex_unlock(&handlers->mutex);
    atomic_store(&handlers->has_functions, count > 0);
    atomic_store(&handlers->version, version);
    for (size_t i = 0; i < unused; i++)
        function_free(old[i]);
    free(old);
}

int64_t handlers_version(const struct handlers *handlers)
{
    return atomic_load(&handlers->version);
}

const char *const *handlers_names(struct handlers *handlers, struct arena *arena)
{
    mutex_lock(&handlers->mutex);
    const size_t most = handlers->count + handlers->function_count;
    const char **names = arena_alloc(arena, (most + 1) * sizeof *names);
    for (size_t i = 0; i < handlers->count; i++)
        names[i] = handlers->entries[i].handler->op;
    for (size_t i = 0; i < handlers->function_count; i++)
        names[handlers->count + i] = arena_format(arena, "%s", handlers->functions[i]->handler.op);
    mutex_unlock(&handlers->mutex);
    names[most] = NULL;
    return names;
}

bool handlers_is_row_less(const struct heddle_handler *handler,
                          const struct heddle_operation *operation)
{
    return (handler->flags & (HEDDLE_HANDLER_READ_ONLY | HEDDLE_HANDLER_NO_EFFECTS)) != 0 &&
           operation->flow.batch.size == 0;
}

/* Two that note at once may lose one of them, which an average bears. */
void handlers_note(struct handlers *handlers, const struct heddle_handler *handler, int64_t cost_us)
{
    atomic_int_fast64_t *cost = cost_of(handlers, handler);
    int64_t before = atomic_load_explicit(cost, memory_order_relaxed);
    int64_t after = before == 0 ? cost_us : before + (cost_us - before) / (1 << AVERAGE_SHIFT);

    atomic_store_explicit(cost, after, memory_order_relaxed);
}

int64_t handlers_cost_us(const struct handlers *handlers, const struct heddle_handler *handler)
{
    return atomic_load_explicit(cost_of(handlers, handler), memory_order_relaxed);
}

/* NULL where it is a function's. */
static struct entry *entry_of(const struct handlers *handlers, const struct heddle_handler *handler)
{
    for (size_t i = 0; i < handlers->count; i++)
        if (handlers->entries[i].handler == handler)
            return (struct entry *)&handlers->entries[i];
    return NULL;
}

static struct function *function_of(const struct heddle_handler *handler)
{
    return (struct function *)(uintptr_t)handler;
}

static atomic_int_fast64_t *cost_of(const struct handlers *handlers,
                                    const struct heddle_handler *handler)
{
    struct entry *entry = entry_of(handlers, handler);

    return entry ? &entry->cost_us : &function_of(handler)->cost_us;
}

static struct function *find_locked(struct handlers *handlers, struct heddle_text op)
{
    struct function **found = bsearch(&op, handlers->functions, handlers->function_count,
                                      sizeof *handlers->functions, compare_name);

    return found ? *found : NULL;
}

static int compare_name(const void *name, const void *function)
{
    const struct heddle_text *op = name;
    const struct function *const *one = function;

    int order = strncmp(op->data, (*one)->handler.op, op->size);
    return order == 0 && (*one)->handler.op[op->size] ? -1 : order;
}
