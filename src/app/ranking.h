/* The first few of many JSON objects, by a number. Main thread. */
#ifndef APP_RANKING_H
#define APP_RANKING_H

#include <jansson.h>
#include <stddef.h>

/* The greatest first. */
typedef double ranking_value(const json_t *row);

struct ranking {
    ranking_value *value;
    const char *identity; /* a text member: of two with the same only the later one is kept */
    size_t most;
    json_t *rows; /* an array in order */
};

void ranking_init(struct ranking *ranking, ranking_value *value, const char *identity, size_t most);
void ranking_done(struct ranking *ranking);

/* Takes the row. */
void ranking_offer(struct ranking *ranking, json_t *row);

/* Hands out the rows and begins anew. */
json_t *ranking_take(struct ranking *ranking);

#endif
