/* See array.h. The syntax: PostgreSQL, "Array Input and Output Syntax". */
#include "base/array.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_BYTES = 1024, NUMBER_BYTES = 24 };

static char *room_for(struct heddle_array *array, size_t size);

void array_init(struct heddle_array *array, struct arena *arena)
{
    *array = (struct heddle_array){.arena = arena, .capacity = FIRST_BYTES, .size = 2};
    array->text = arena_alloc(arena, FIRST_BYTES);
    memcpy(array->text, "{}", 3);
}

void array_add_text(struct heddle_array *array, struct heddle_text text)
{
    /* Each byte escaped, the quotes, the comma. */
    char *out = room_for(array, 2 * text.size + 3);
    char *const begin = out;

    *out++ = '"';
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"' || c == '\\')
            *out++ = '\\';
        *out++ = c;
    }
    *out++ = '"';
    memcpy(out, "}", 2);
    array->size += (size_t)(out - begin) + 1;
}

void array_add_number(struct heddle_array *array, int64_t number)
{
    char *out = room_for(array, NUMBER_BYTES);

    array->size += (size_t)snprintf(out, NUMBER_BYTES, "%" PRId64 "}", number);
}

void heddle_array_add(struct heddle_array *array, const char *text)
{
    static const char null[] = "null}";

    if (text) {
        array_add_text(array, text_of(text));
        return;
    }
    memcpy(room_for(array, sizeof null), null, sizeof null);
    array->size += sizeof null - 1;
}

const char *heddle_array_text(const struct heddle_array *array)
{
    return array->text;
}

/* Where the next element goes, its comma written: takes the closing brace away, which comes behind
 * the element again. */
static char *room_for(struct heddle_array *array, size_t size)
{
    const size_t needed = array->size + size + 2;

    if (needed > array->capacity) {
        array->capacity = 2 * needed;
        char *larger = arena_alloc(array->arena, array->capacity);
        memcpy(larger, array->text, array->size);
        array->text = larger;
    }
    array->size--;
    if (array->size > 1)
        array->text[array->size++] = ',';
    return array->text + array->size;
}
