/* See users.h. */
#include "queue/users.h"

#include "base/arena.h"
#include "base/text.h"
#include "link/redis.h"
#include "queue/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Then each holder's. */
static const char *const collections[] = {"ready", "ready:urgent", "ready:bulk", "waiting",
                                          "halted"};

enum { COLLECTIONS = sizeof collections / sizeof *collections };

struct users_walk {
    struct redis_link *link;
    struct command command;
    unsigned partitions, partition; /* where the walk stands */
    size_t collection;
    char cursor[24];
    char (*holders)[128]; /* processors that beat in this partition */
    size_t holder_count;
};

static void begin(struct users_walk *walk, unsigned partition);
static heddle_status read_holders(struct users_walk *walk, struct heddle_error *err);
static void turn(struct users_walk *walk, struct heddle_text cursor, bool *is_last);

struct users_walk *users_walk_new(struct redis_link *link, unsigned partitions)
{
    struct users_walk *walk = memory_take_zeroed(1, sizeof *walk);

    walk->link = link;
    walk->partitions = partitions;
    command_init(&walk->command);
    begin(walk, 0);
    return walk;
}

void users_walk_free(struct users_walk *walk)
{
    if (!walk)
        return;
    command_done(&walk->command);
    free(walk->holders);
    free(walk);
}

heddle_status users_walk_next(struct users_walk *walk, users_found_function *found, void *argument,
                              bool *is_last, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    AUTO_REPLY reply = NULL;

    *is_last = false;
    if (walk->collection == 0 && strcmp(walk->cursor, "0") == 0)
        status = read_holders(walk, err);
    command_begin(&walk->command, "heddle_look_lanes", walk->partition);
    if (walk->collection < COLLECTIONS)
        command_string(&walk->command, collections[walk->collection]);
    else
        command_format(&walk->command, "held:%s", walk->holders[walk->collection - COLLECTIONS]);
    command_string(&walk->command, walk->cursor);
    if (status == HEDDLE_OK)
        status = command_call(&walk->command, walk->link, &reply, err);
    if (status != HEDDLE_OK) {
        begin(walk, 0);
        return status;
    }
    for (size_t i = 1; i < redis_reply_count(reply); i++)
        found(argument, redis_reply_text(redis_reply_at(reply, i)));
    turn(walk, redis_reply_text(redis_reply_at(reply, 0)), is_last);
    return HEDDLE_OK;
}

static void begin(struct users_walk *walk, unsigned partition)
{
    walk->partition = partition;
    walk->collection = 0;
    snprintf(walk->cursor, sizeof walk->cursor, "0");
}

static heddle_status read_holders(struct users_walk *walk, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;
    char key[40];

    snprintf(key, sizeof key, "heddle:{%u}:beats", walk->partition);
    heddle_status status = redis_callf(walk->link, &reply, err, "ZRANGE", key, "0", "-1", NULL);
    if (status != HEDDLE_OK)
        return status;
    const size_t count = redis_reply_count(reply);
    walk->holders = memory_resize(walk->holders, (count + 1) * sizeof *walk->holders);
    walk->holder_count = 0;
    for (size_t i = 0; i < count; i++)
        snprintf(walk->holders[walk->holder_count++], sizeof *walk->holders, "%s",
                 redis_reply_text(redis_reply_at(reply, i)).data);
    return HEDDLE_OK;
}

/* To the collection's next page, or the next collection, or partition. */
static void turn(struct users_walk *walk, struct heddle_text cursor, bool *is_last)
{
    snprintf(walk->cursor, sizeof walk->cursor, "%s", cursor.size > 0 ? cursor.data : "0");
    if (strcmp(walk->cursor, "0") != 0)
        return;
    if (++walk->collection < COLLECTIONS + walk->holder_count)
        return;
    *is_last = walk->partition + 1 == walk->partitions;
    begin(walk, *is_last ? 0 : walk->partition + 1);
}
