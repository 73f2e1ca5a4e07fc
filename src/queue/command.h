/* Builds one FCALL on a partition, argument by argument. Confined to one
 * thread; texts are borrowed until command_send. */
#ifndef QUEUE_COMMAND_H
#define QUEUE_COMMAND_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"

struct redis_link;
struct redis_reply;

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
void command_format(struct command *command, const char *format, ...) HEDDLE_PRINTF(2, 3);

/* The options that a submission asks for, each with its value, and how many that are. */
void command_options(struct command *command, const struct heddle_policy *policy,
                     const struct heddle_flow *flow);
size_t command_options_count(const struct heddle_policy *policy, const struct heddle_flow *flow);

/* Appends the command to the link's output; command_receive takes its answer. */
heddle_status command_send(struct command *command, struct redis_link *link,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The next answer, which the caller frees; or the status that an error answer asks for
 * (redis_refusal). */
heddle_status command_receive(struct redis_link *link, struct redis_reply **reply,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Both: one round trip. */
heddle_status command_call(struct command *command, struct redis_link *link,
                           struct redis_reply **reply, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same of a function that goes page by page: what it answers first is the cursor of the next
 * page, "0" behind the last. */
enum { COMMAND_CURSOR_SIZE = 24 };
heddle_status command_call_page(struct command *command, struct redis_link *link,
                                char cursor[COMMAND_CURSOR_SIZE], struct redis_reply **reply,
                                struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
