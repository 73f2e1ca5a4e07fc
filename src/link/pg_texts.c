/* See pg_texts.h. The form: dimensions, whether there are nulls, type of the elements; length and
 * lower bound of the dimension; then for each element its size, -1 for null, and its bytes. Numbers
 * have four bytes, the first is the highest. */
#include "link/pg_texts.h"

#include "base/arena.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_SIZE = 20, COUNT_AT = 12, TEXT_TYPE = 25, FIRST_CAPACITY = 4096 };

static void put_number(struct pg_texts *texts, uint32_t number);
static void begin_element(struct pg_texts *texts, size_t size, uint32_t size_told);

void pg_texts_init(struct pg_texts *texts)
{
    *texts = (struct pg_texts){0};
}

void pg_texts_done(struct pg_texts *texts)
{
    free(texts->data);
}

void pg_texts_add(struct pg_texts *texts, struct heddle_text text)
{
    begin_element(texts, text.size, (uint32_t)text.size);
    if (text.size > 0)
        memcpy(texts->data + texts->size, text.data, text.size);
    texts->size += text.size;
}

void pg_texts_add_null(struct pg_texts *texts)
{
    begin_element(texts, 0, UINT32_MAX);
}

static void begin_element(struct pg_texts *texts, size_t size, uint32_t size_told)
{
    uint32_t count;

    if (texts->capacity < texts->size + HEADER_SIZE + sizeof size_told + size) {
        texts->capacity = 2 * texts->capacity + FIRST_CAPACITY + size;
        texts->data = memory_resize(texts->data, texts->capacity);
    }
    if (texts->size == 0) {
        put_number(texts, 1); /* dimension */
        put_number(texts, 1); /* there may be nulls */
        put_number(texts, TEXT_TYPE);
        put_number(texts, 0); /* elements */
        put_number(texts, 1); /* lower bound */
    }
    memcpy(&count, texts->data + COUNT_AT, sizeof count);
    count = htonl(ntohl(count) + 1);
    memcpy(texts->data + COUNT_AT, &count, sizeof count);
    put_number(texts, size_told);
}

static void put_number(struct pg_texts *texts, uint32_t number)
{
    number = htonl(number);
    memcpy(texts->data + texts->size, &number, sizeof number);
    texts->size += sizeof number;
}
