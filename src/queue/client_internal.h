/* What client.c and client_results.c share. */
#ifndef QUEUE_CLIENT_INTERNAL_H
#define QUEUE_CLIENT_INTERNAL_H

#include "base/arena.h"
#include "heddle/client.h"
#include "queue/command.h"

struct heddle_client {
    struct redis_link *link;
    struct command command;
    struct arena scratch; /* of one call */
    unsigned partitions;  /* 0: not asked yet */
};

/* Asks for the number of partitions, the first time. */
heddle_status client_learn_partitions(struct heddle_client *client,
                                      struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
