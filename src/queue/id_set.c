/* See id_set.h. Open addressing; a slot is never free again. */
#include "queue/id_set.h"

#include "base/arena.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct id_slot {
    char id[HEDDLE_ID_SIZE + 1];
    bool is_taken, is_removed;
    uint16_t partition;
};

static struct id_slot *find(const struct id_set *set, struct heddle_text id);

void id_set_init(struct id_set *set, size_t count)
{
    *set = (struct id_set){.capacity = 64};
    while (set->capacity < 2 * count)
        set->capacity *= 2;
    set->slots = memory_take_zeroed(set->capacity, sizeof *set->slots);
}

void id_set_done(struct id_set *set)
{
    free(set->slots);
    *set = (struct id_set){0};
}

/* FNV-1a, finished as in SplitMix64. */
uint64_t id_hash(struct heddle_text id)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (size_t i = 0; i < id.size; i++)
        hash = (hash ^ (unsigned char)id.data[i]) * 0x100000001b3;
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
    return hash ^ (hash >> 31);
}

void id_set_add(struct id_set *set, struct heddle_text id, unsigned partition)
{
    if (id.size != HEDDLE_ID_SIZE || set->taken >= set->capacity / 4 * 3)
        return;
    struct id_slot *slot = find(set, id);
    if (slot->is_taken)
        return;
    set->taken++;
    slot->is_taken = true;
    slot->partition = (uint16_t)partition;
    memcpy(slot->id, id.data, HEDDLE_ID_SIZE);
}

void id_set_remove(struct id_set *set, struct heddle_text id)
{
    if (id.size != HEDDLE_ID_SIZE)
        return;
    struct id_slot *slot = find(set, id);
    slot->is_removed = slot->is_taken;
}

const char *id_set_next(const struct id_set *set, size_t *index, unsigned *partition)
{
    while (*index < set->capacity) {
        const struct id_slot *slot = &set->slots[(*index)++];
        if (!slot->is_taken || slot->is_removed)
            continue;
        *partition = slot->partition;
        return slot->id;
    }
    return NULL;
}

/* The id's slot, or the free one where it belongs. */
static struct id_slot *find(const struct id_set *set, struct heddle_text id)
{
    size_t at = id_hash(id) & (set->capacity - 1);

    while (set->slots[at].is_taken && memcmp(set->slots[at].id, id.data, HEDDLE_ID_SIZE) != 0)
        at = (at + 1) & (set->capacity - 1);
    return &set->slots[at];
}
