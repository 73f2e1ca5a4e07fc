/* See command.h. */
#include "queue/command.h"

#include "base/flow.h"
#include "base/policy.h"
#include "base/text.h"
#include "link/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS_KEEP_BYTES = 1 << 20, NUMBER_SIZE_MAX = 24 };

static size_t put_number(char *out, int64_t number);

void command_init(struct command *command)
{
    *command = (struct command){0};
    arena_init(&command->numbers, NUMBERS_KEEP_BYTES);
}

void command_done(struct command *command)
{
    free(command->arguments);
    free(command->sizes);
    arena_done(&command->numbers);
}

void command_begin(struct command *command, const char *function, unsigned partition)
{
    static const char head[] = "heddle:{";
    char key[sizeof head + NUMBER_SIZE_MAX + 1];

    memcpy(key, head, sizeof head - 1);
    size_t size = sizeof head - 1 + put_number(key + sizeof head - 1, partition);
    key[size++] = '}';
    command->count = 0;
    arena_reset(&command->numbers);
    command_text(command, TEXT("FCALL"));
    command_string(command, function);
    command_text(command, TEXT("1"));
    command_text(command, arena_copy_text(&command->numbers, key, size));
}

void command_text(struct command *command, struct heddle_text text)
{
    if (command->count == command->capacity) {
        command->capacity = command->capacity ? command->capacity * 2 : 64;
        command->arguments =
            memory_resize(command->arguments, (size_t)command->capacity * sizeof(char *));
        command->sizes = memory_resize(command->sizes, (size_t)command->capacity * sizeof(size_t));
    }
    command->arguments[command->count] = text.data;
    command->sizes[command->count++] = text.size;
}

void command_string(struct command *command, const char *string)
{
    command_text(command, text_of(string));
}

void command_number(struct command *command, int64_t number)
{
    char digits[NUMBER_SIZE_MAX];

    command_text(command, arena_copy_text(&command->numbers, digits, put_number(digits, number)));
}

void command_format(struct command *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    command_string(command, arena_vformat(&command->numbers, format, arguments));
    va_end(arguments);
}

void command_options(struct command *command, const struct heddle_policy *policy,
                     const struct heddle_flow *flow)
{
    for (size_t i = 0; i < POLICY_OPTIONS_COUNT; i++) {
        char value[POLICY_VALUE_SIZE];
        const char *name = policy_option(policy, i, value);
        if (!name)
            continue;
        command_string(command, name);
        command_string(command, arena_format(&command->numbers, "%s", value));
    }
    for (size_t i = 0; i < FLOW_OPTIONS_COUNT && flow_options_said(flow) > 0; i++) {
        char number[FLOW_NUMBER_SIZE];
        struct heddle_text value;
        const char *name = flow_option(flow, i, number, &value);
        if (!name)
            continue;
        command_string(command, name);
        command_text(command, value.data == number
                                  ? arena_copy_text(&command->numbers, number, value.size)
                                  : value);
    }
}

size_t command_options_count(const struct heddle_policy *policy, const struct heddle_flow *flow)
{
    return policy_options_said(policy) + flow_options_said(flow);
}

heddle_status command_send(struct command *command, struct redis_link *link,
                           struct heddle_error *err)
{
    return redis_append(link, command->count, command->arguments, command->sizes, err);
}

heddle_status command_receive(struct redis_link *link, struct redis_reply **reply,
                              struct heddle_error *err)
{
    heddle_status status = redis_next(link, 0, reply, err);
    return status == HEDDLE_OK ? redis_refusal(*reply, err) : status;
}

heddle_status command_call(struct command *command, struct redis_link *link,
                           struct redis_reply **reply, struct heddle_error *err)
{
    heddle_status status = command_send(command, link, err);
    return status == HEDDLE_OK ? command_receive(link, reply, err) : status;
}

/* Its digits, without a NUL; how many. */
static size_t put_number(char *out, int64_t number)
{
    char digits[NUMBER_SIZE_MAX], *end = digits + sizeof digits, *first = end;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do
        *--first = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0)
        *--first = '-';
    memcpy(out, first, (size_t)(end - first));
    return (size_t)(end - first);
}

heddle_status command_call_page(struct command *command, struct redis_link *link,
                                char cursor[COMMAND_CURSOR_SIZE], struct redis_reply **reply,
                                struct heddle_error *err)
{
    heddle_status status = command_call(command, link, reply, err);

    if (status == HEDDLE_OK)
        snprintf(cursor, COMMAND_CURSOR_SIZE, "%s",
                 redis_reply_text(redis_reply_at(*reply, 0)).data);
    return status;
}
