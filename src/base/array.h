/* The text of a Postgres array (heddle/uow.h), in an arena. Confined to one thread. */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include "base/arena.h"
#include "heddle/uow.h"

struct heddle_array {
    struct arena *arena;
    char *text; /* "{…", and the NUL */
    size_t size, capacity;
};

/* Begins an empty one; its memory is the arena's. */
void array_init(struct heddle_array *array, struct arena *arena);

void array_add_text(struct heddle_array *array, struct heddle_text text);
void array_add_number(struct heddle_array *array, int64_t number);

#endif
