/* An array of texts as a parameter in Postgres' binary form: nothing is escaped, nothing is parsed.
 * Confined to one thread. */
#ifndef LINK_PG_TEXTS_H
#define LINK_PG_TEXTS_H

#include "heddle/operation.h"

#include <stddef.h>

struct pg_texts {
    char *data; /* the parameter, once an element was added */
    size_t size, capacity;
};

void pg_texts_init(struct pg_texts *texts);
void pg_texts_done(struct pg_texts *texts);

/* Appends an element; copied. */
void pg_texts_add(struct pg_texts *texts, struct heddle_text text);
void pg_texts_add_null(struct pg_texts *texts);

#endif
