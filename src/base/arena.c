/* See arena.h. Called by whichever thread owns the arena. */
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_BLOCK_BYTES = 512, BLOCK_BYTES = 8192 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) char bytes[];
};

static struct arena_block *block_new(size_t size, size_t least);
static size_t aligned(size_t size);

void arena_init(struct arena *arena, size_t keep_bytes)
{
    arena->blocks = NULL;
    arena->keep_bytes = keep_bytes;
}

void arena_done(struct arena *arena)
{
    if (!arena)
        return;
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
}

void arena_reset(struct arena *arena)
{
    size_t kept = 0;
    struct arena_block **link = &arena->blocks;

    while (*link) {
        struct arena_block *block = *link;
        if (kept + block->size > arena->keep_bytes) {
            *link = block->next;
            free(block);
            continue;
        }
        kept += block->size;
        block->used = 0;
        link = &block->next;
    }
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->blocks;

    size = aligned(size);
    while (block && block->size - block->used < size)
        block = block->next;
    if (!block) {
        block = block_new(size, arena->blocks ? BLOCK_BYTES : FIRST_BLOCK_BYTES);
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *piece = block->bytes + block->used;
    block->used += size;
    return piece;
}

char *arena_copy(struct arena *arena, const void *data, size_t size)
{
    char *copy = arena_alloc(arena, size + 1);
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

struct heddle_text arena_copy_text(struct arena *arena, const void *data, size_t size)
{
    return (struct heddle_text){arena_copy(arena, data, size), size};
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = arena_vformat(arena, format, arguments);
    va_end(arguments);
    return text;
}

char *arena_vformat(struct arena *arena, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    assert(size >= 0);

    char *text = arena_alloc(arena, (size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    return text;
}

size_t arena_held_bytes(const struct arena *arena)
{
    size_t held = 0;
    for (const struct arena_block *block = arena->blocks; block; block = block->next)
        held += block->size;
    return held;
}

void *memory_take(size_t size)
{
    return memory_resize(NULL, size);
}

void *memory_take_zeroed(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory)
        memory_exhausted();
    return memory;
}

void *memory_resize(void *memory, size_t size)
{
    memory = realloc(memory, size ? size : 1);
    if (!memory)
        memory_exhausted();
    return memory;
}

char *memory_copy(const char *data, size_t size)
{
    char *copy = memory_take(size + 1);
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

void memory_exhausted(void)
{
    static const char line[] = "heddle: out of memory\n";

    /* Nothing here may want memory itself. */
    ssize_t ignored = write(STDERR_FILENO, line, sizeof line - 1);
    (void)ignored;
    abort();
}

static struct arena_block *block_new(size_t size, size_t least)
{
    if (size < least)
        size = least;
    struct arena_block *block = memory_take(sizeof *block + size);
    block->size = size;
    block->used = 0;
    return block;
}

static size_t aligned(size_t size)
{
    const size_t unit = alignof(max_align_t);
    return (size + unit - 1) / unit * unit;
}
