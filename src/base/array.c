/* See array.h. The format: PostgreSQL, src/backend/utils/adt/arrayfuncs.c, array_recv; numbers are
 * big-endian. */
#include "base/array.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum {
    FIRST_BYTES = 2048,
    UUID_BYTES = 16,
    /* The header: dimensions, whether there are nulls, the elements' type, their number, the index
     * of the first. */
    AT_NULLS = 4,
    AT_TYPE = 8,
    AT_COUNT = 12,
    AT_FIRST = 16,
    HEADER_BYTES = 20,
};

static char *room_for(struct heddle_array *array, size_t size);
static void add_uuid(struct heddle_array *array, const char *text);
static void write_number(char *out, uint64_t number, size_t size);
static unsigned digit_of(char c);

void array_init(struct heddle_array *array, enum heddle_array_type type, struct arena *arena)
{
    *array = (struct heddle_array){.arena = arena,
                                   .type = type,
                                   .bytes = arena_alloc(arena, FIRST_BYTES),
                                   .size = HEADER_BYTES,
                                   .capacity = FIRST_BYTES};
    memset(array->bytes, 0, HEADER_BYTES);
    write_number(array->bytes, 1, 4);
    write_number(array->bytes + AT_TYPE, (uint64_t)type, 4);
    write_number(array->bytes + AT_FIRST, 1, 4);
}

void array_add_text(struct heddle_array *array, struct heddle_text text)
{
    char *place = room_for(array, text.size);

    /* An empty text may have no address. */
    if (text.size > 0)
        memcpy(place, text.data, text.size);
}

void heddle_array_add(struct heddle_array *array, const char *text)
{
    if (!text) {
        char *size = room_for(array, 0) - 4;
        write_number(size, UINT32_MAX, 4);
        write_number(array->bytes + AT_NULLS, 1, 4);
    } else if (array->type == HEDDLE_ARRAY_UUID) {
        add_uuid(array, text);
    } else {
        array_add_text(array, text_of(text));
    }
}

void heddle_array_add_number(struct heddle_array *array, int64_t number)
{
    write_number(room_for(array, 8), (uint64_t)number, 8);
}

struct heddle_text array_bytes(const struct heddle_array *array)
{
    write_number(array->bytes + AT_COUNT, array->count, 4);
    return (struct heddle_text){array->bytes, array->size};
}

/* Where the bytes of the next element go; its size stands before them. */
static char *room_for(struct heddle_array *array, size_t size)
{
    const size_t needed = array->size + 4 + size;

    if (needed > array->capacity) {
        array->capacity = 2 * needed;
        char *larger = arena_alloc(array->arena, array->capacity);
        memcpy(larger, array->bytes, array->size);
        array->bytes = larger;
    }
    char *out = array->bytes + array->size;
    write_number(out, size, 4);
    array->size = needed;
    array->count++;
    return out + 4;
}

/* Whoever adds it has checked that it is one: the digits are read, the dashes passed over. */
static void add_uuid(struct heddle_array *array, const char *text)
{
    char *out = room_for(array, UUID_BYTES);

    for (size_t i = 0; i < UUID_BYTES; i++) {
        if (*text == '-')
            text++;
        if (!text[0] || !text[1])
            abort();
        out[i] = (char)(digit_of(text[0]) << 4 | digit_of(text[1]));
        text += 2;
    }
}

static void write_number(char *out, uint64_t number, size_t size)
{
    for (size_t i = size; i-- > 0; number >>= 8)
        out[i] = (char)(number & 0xFF);
}

static unsigned digit_of(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 0x20u) - 'a' + 10u;
}
