/* A set of operation ids with their partitions, of a fixed capacity: for comparing two walks
 * through the queue. One thread. */
#ifndef QUEUE_ID_SET_H
#define QUEUE_ID_SET_H

#include "heddle/operation.h"

#include <stddef.h>
#include <stdint.h>

struct id_slot;

struct id_set {
    struct id_slot *slots;
    size_t capacity, taken;
};

/* Room for so many ids. */
void id_set_init(struct id_set *set, size_t count);
void id_set_done(struct id_set *set);

/* The same for the same id, spread over all numbers. */
uint64_t id_hash(struct heddle_text id);

/* What is no id by its size, or finds no room, is left out. */
void id_set_add(struct id_set *set, struct heddle_text id, unsigned partition);
void id_set_remove(struct id_set *set, struct heddle_text id);

/* The next id from `*index` on, which is 0 at first; NULL at the end. It lives as long as the set.
 */
const char *id_set_next(const struct id_set *set, size_t *index, unsigned *partition);

#endif
