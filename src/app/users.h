/* What the subcommands of `heddle users` share. On the main thread. */
#ifndef APP_USERS_H
#define APP_USERS_H

#include "app/command.h"
#include "heddle/error.h"

#include <jansson.h>

struct pg_link;
struct redis_link;

/* A subcommand: its own file, and its place in the list of users.c. */
struct users_verb {
    const char *name;
    size_t words_min, words_max; /* it takes, itself included */
    const char *takes;           /* what these are */
    enum exit_code (*run)(const struct invocation *invocation);
};

extern const struct users_verb users_list, users_show, users_close, users_weight, users_plan;

/* Reports what is no user's name. */
bool users_name_fits(const struct users_verb *verb, const char *user);

/* The queue, and how many partitions it has. */
heddle_status users_open_queue(const struct invocation *invocation, struct redis_link **queue,
                               unsigned *partitions, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A row of a user: user, partition, state (of the lane), backlog, wait_ms (of its first operation),
 * holder (the processor that has claimed it), reason and until_ms (of a lane that waits), before
 * (ready lanes that come first), ahead_us (of its share of service), first (its first operation).
 * The caller frees it. */
heddle_status users_row(struct redis_link *queue, unsigned partitions, const char *user,
                        json_t **row, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
