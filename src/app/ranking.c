/* See ranking.h. */
#include "app/ranking.h"

#include "app/json_out.h"

#include <string.h>

static void forget(struct ranking *ranking, const json_t *row);
static size_t place_of(const struct ranking *ranking, const json_t *row);

void ranking_init(struct ranking *ranking, ranking_value *value, const char *identity, size_t most)
{
    *ranking = (struct ranking){value, identity, most, json_array()};
}

void ranking_done(struct ranking *ranking)
{
    json_decref(ranking->rows);
    ranking->rows = NULL;
}

void ranking_offer(struct ranking *ranking, json_t *row)
{
    const size_t count = json_array_size(ranking->rows);

    if (count == ranking->most &&
        ranking->value(row) < ranking->value(json_array_get(ranking->rows, count - 1))) {
        json_decref(row);
        return;
    }
    forget(ranking, row);
    json_array_insert_new(ranking->rows, place_of(ranking, row), row);
    if (json_array_size(ranking->rows) > ranking->most)
        json_array_remove(ranking->rows, ranking->most);
}

json_t *ranking_take(struct ranking *ranking)
{
    json_t *rows = ranking->rows;

    ranking->rows = json_array();
    return rows;
}

static void forget(struct ranking *ranking, const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, ranking->identity));
    const json_t *known;
    size_t i;

    json_array_foreach(ranking->rows, i,
                       known) if (name && strcmp(json_text(known, ranking->identity), name) == 0)
    {
        json_array_remove(ranking->rows, i);
        return;
    }
}

/* Behind those that are as great. */
static size_t place_of(const struct ranking *ranking, const json_t *row)
{
    size_t low = 0, high = json_array_size(ranking->rows);

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranking->value(json_array_get(ranking->rows, middle)) >= ranking->value(row))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
