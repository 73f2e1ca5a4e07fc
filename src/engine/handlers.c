/* See handlers.h. */
#include "engine/handlers.h"

#include "base/arena.h"

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
    size_t count;
    struct entry entries[];
};

static struct entry *entry_of(const struct handlers *handlers,
                              const struct heddle_handler *handler);

struct handlers *handlers_new(const struct heddle_handler *const *table)
{
    size_t count = 0;

    while (table[count])
        count++;
    struct handlers *handlers =
        memory_take_zeroed(1, sizeof *handlers + count * sizeof *handlers->entries);
    handlers->count = count;
    for (size_t i = 0; i < count; i++) {
        handlers->entries[i].handler = table[i];
        handlers->entries[i].op_size = strlen(table[i]->op);
    }
    return handlers;
}

void handlers_free(struct handlers *handlers)
{
    free(handlers);
}

const struct heddle_handler *handlers_find(const struct handlers *handlers, struct heddle_text op)
{
    for (size_t i = 0; i < handlers->count; i++) {
        const struct entry *entry = &handlers->entries[i];
        if (entry->op_size == op.size && memcmp(entry->handler->op, op.data, op.size) == 0)
            return entry->handler;
    }
    return NULL;
}

bool handlers_is_row_less(const struct heddle_handler *handler)
{
    return (handler->flags & (HEDDLE_HANDLER_READ_ONLY | HEDDLE_HANDLER_NO_EFFECTS)) != 0;
}

/* Two that note at once may lose one of them, which an average bears. */
void handlers_note(struct handlers *handlers, const struct heddle_handler *handler, int64_t cost_us)
{
    struct entry *entry = entry_of(handlers, handler);
    int64_t before = atomic_load_explicit(&entry->cost_us, memory_order_relaxed);
    int64_t after = before == 0 ? cost_us : before + (cost_us - before) / (1 << AVERAGE_SHIFT);

    atomic_store_explicit(&entry->cost_us, after, memory_order_relaxed);
}

int64_t handlers_cost_us(const struct handlers *handlers, const struct heddle_handler *handler)
{
    return atomic_load_explicit(&entry_of(handlers, handler)->cost_us, memory_order_relaxed);
}

static struct entry *entry_of(const struct handlers *handlers, const struct heddle_handler *handler)
{
    for (size_t i = 0; i < handlers->count; i++)
        if (handlers->entries[i].handler == handler)
            return (struct entry *)&handlers->entries[i];
    abort();
}
