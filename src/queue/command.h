/* Builds one FCALL on a partition, argument by argument. Confined to one
 * thread; texts are borrowed until command_send. */
#ifndef QUEUE_COMMAND_H
#define QUEUE_COMMAND_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"

struct redis_link;

struct command {
    const char **arguments;
    size_t *sizes;
    int count, capacity;
    struct arena numbers;
};

void command_init(struct command *command);
void command_done(struct command *command);

/* Starts over: FCALL function 1 heddle:{partition}. */
void command_begin(struct command *command, const char *function, unsigned partition);
void command_text(struct command *command, struct heddle_text text);
void command_string(struct command *command, const char *string);
void command_number(struct command *command, int64_t number);

/* Its options and their values, those that it says. */
void command_policy(struct command *command, const struct heddle_policy *policy);

/* Appends the command to the link's output. */
heddle_status command_send(struct command *command, struct redis_link *link,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
