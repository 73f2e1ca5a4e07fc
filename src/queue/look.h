/* All that the queue knows of an operation and its lane, at one moment. On the caller's thread and
 * link. */
#ifndef QUEUE_LOOK_H
#define QUEUE_LOOK_H

#include "heddle/error.h"
#include "heddle/operation.h"

struct redis_link;

/* What is looked at; one of them may be absent. */
struct look {
    struct heddle_text user; /* empty: whoever's it is; then every partition is asked */
    const char *id;          /* NULL: the lane alone */
};

/* `*json` is the object that heddle_why (lua/look.lua) answers, freed by the caller; NULL where no
 * partition knows the operation. One round trip. */
heddle_status look_at(struct redis_link *link, unsigned partitions, const struct look *look,
                      char **json, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
