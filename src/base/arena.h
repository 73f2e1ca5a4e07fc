/* A bump allocator: many small pieces, freed together.
 *
 * An arena has one owner and no lock. After arena_reset it keeps its blocks up
 * to `keep_bytes`, so a worker in its steady state allocates nothing. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdarg.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* the first is the one in use */
    size_t keep_bytes;          /* what a reset keeps at most */
};

/* Embedded: no memory is taken before the first allocation. */
void arena_init(struct arena *arena, size_t keep_bytes);

/* Frees everything. Takes NULL and an arena that was never used. */
void arena_done(struct arena *arena);

/* Makes every piece invalid and the arena empty. */
void arena_reset(struct arena *arena);

/* `size` bytes, aligned for any type, not cleared; never NULL: out of memory
 * ends the process, which is a crash like any other and loses nothing. */
void *arena_alloc(struct arena *arena, size_t size);

/* A copy of the bytes with a NUL behind them. */
char *arena_copy(struct arena *arena, const void *data, size_t size);
struct heddle_text arena_copy_text(struct arena *arena, const void *data, size_t size);

char *arena_format(struct arena *arena, const char *format, ...) HEDDLE_PRINTF(2, 3);
char *arena_vformat(struct arena *arena, const char *format, va_list arguments) HEDDLE_PRINTF(2, 0);

/* Bytes held from the heap, used or not. */
size_t arena_held_bytes(const struct arena *arena);

/* malloc, calloc, realloc that end the process instead of returning NULL. */
void *memory_take(size_t size);
void *memory_take_zeroed(size_t count, size_t size);
void *memory_resize(void *memory, size_t size);

/* A copy of the bytes with a NUL behind them, freed by the caller. */
char *memory_copy(const char *data, size_t size);

/* How they end it: one line on stderr, then abort. For others who learn from a library that memory
 * is exhausted. */
void memory_exhausted(void) __attribute__((noreturn));

#endif
