/* Arrays as parameters (heddle/uow.h), in Postgres' binary format. Confined to one thread. */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include "base/arena.h"
#include "heddle/uow.h"

struct heddle_array {
    struct arena *arena;
    enum heddle_array_type type;
    char *bytes; /* header and elements */
    size_t size, capacity;
    uint32_t count;
};

/* Begins an empty one; its memory is the arena's. */
void array_init(struct heddle_array *array, enum heddle_array_type type, struct arena *arena);

void array_add_text(struct heddle_array *array, struct heddle_text text);

/* The array is as it stands; borrowed until the next element. */
struct heddle_text array_bytes(const struct heddle_array *array);

#endif
