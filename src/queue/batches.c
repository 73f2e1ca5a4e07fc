/* See batches.h. */
#include "queue/batches.h"

#include "base/text.h"
#include "link/redis.h"
#include "queue/command.h"

#include <stdio.h>
#include <string.h>

static heddle_status ask_all(struct redis_link *link, unsigned partitions, const char *function,
                             const char *const *names, size_t count, struct heddle_error *err);

heddle_status partition_batches(struct redis_link *link, unsigned partitions,
                                const char *const *names, size_t count, int64_t *pending,
                                struct heddle_error *err)
{
    heddle_status status = ask_all(link, partitions, "heddle_batches", names, count, err);

    memset(pending, 0, count * sizeof *pending);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        AUTO_REPLY reply = NULL;
        status = command_receive(link, &reply, err);
        for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
            pending[i] += redis_reply_amount(redis_reply_at(reply, i));
    }
    if (status != HEDDLE_OK)
        redis_close(link); /* answers that nobody waits for any more */
    return status;
}

heddle_status partition_batch_running(struct redis_link *link, unsigned partitions,
                                      const char *name, int64_t *running, struct heddle_error *err)
{
    heddle_status status = ask_all(link, partitions, "heddle_batch_running", &name, 1, err);

    *running = 0;
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        AUTO_REPLY reply = NULL;
        status = command_receive(link, &reply, err);
        *running += redis_reply_amount(reply);
    }
    if (status != HEDDLE_OK)
        redis_close(link);
    return status;
}

heddle_status partition_batch_list(struct redis_link *link, unsigned partitions,
                                   batch_pending_function *found, void *argument,
                                   struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct command command;

    command_init(&command);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        char cursor[COMMAND_CURSOR_SIZE] = "0";
        do {
            AUTO_REPLY reply = NULL;
            command_begin(&command, "heddle_batch_list", p);
            command_string(&command, cursor);
            status = command_call_page(&command, link, cursor, &reply, err);
            for (size_t i = 1; i + 1 < redis_reply_count(reply); i += 2)
                found(argument, redis_reply_text(redis_reply_at(reply, i)).data,
                      redis_reply_amount(redis_reply_at(reply, i + 1)));
        } while (status == HEDDLE_OK && strcmp(cursor, "0") != 0);
    }
    command_done(&command);
    return status;
}

heddle_status partition_batch_cancel(struct redis_link *link, unsigned partitions, const char *name,
                                     int64_t *cancelled, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct command command;

    command_init(&command);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        char cursor[COMMAND_CURSOR_SIZE] = "0";
        do {
            AUTO_REPLY reply = NULL;
            command_begin(&command, "heddle_batch_cancel", p);
            command_string(&command, name);
            command_string(&command, cursor);
            status = command_call_page(&command, link, cursor, &reply, err);
            *cancelled += redis_reply_amount(redis_reply_at(reply, 1));
        } while (status == HEDDLE_OK && strcmp(cursor, "0") != 0);
    }
    command_done(&command);
    return status;
}

static heddle_status ask_all(struct redis_link *link, unsigned partitions, const char *function,
                             const char *const *names, size_t count, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct command command;

    command_init(&command);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        command_begin(&command, function, p);
        for (size_t i = 0; i < count; i++)
            command_string(&command, names[i]);
        status = command_send(&command, link, err);
    }
    command_done(&command);
    return status;
}

/* One page of a walk, and where the next begins: "0" behind the last. */
