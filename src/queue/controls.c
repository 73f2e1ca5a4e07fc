/* See controls.h. */
#include "queue/controls.h"

#include "link/redis.h"

#include <stdio.h>
#include <string.h>

heddle_status partition_controls(struct redis_link *link, unsigned partitions, int64_t *versions,
                                 struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    char key[40];

    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        snprintf(key, sizeof key, "heddle:{%u}:meta", p);
        const char *const arguments[] = {"HGET", key, "controls"};
        const size_t sizes[] = {4, strlen(key), 8};
        status = redis_append(link, 3, arguments, sizes, err);
    }
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        AUTO_REPLY reply = NULL;
        status = command_receive(link, &reply, err);
        versions[p] = redis_reply_integer(reply);
    }
    if (status != HEDDLE_OK)
        redis_close(link); /* answers that nobody waits for any more */
    return status;
}

void partition_controls_begin(struct command *command, unsigned partition, int64_t from, int64_t to,
                              bool is_last)
{
    command_begin(command, "heddle_control", partition);
    command_number(command, from);
    command_number(command, to);
    command_number(command, is_last);
}

heddle_status partition_controls_end(struct command *command, struct redis_link *link,
                                     int64_t *version, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = command_call(command, link, &reply, err);
    if (status == HEDDLE_OK)
        *version = redis_reply_integer(reply);
    return status;
}

void partition_shares_begin(struct command *command, unsigned partition, int64_t epoch)
{
    command_begin(command, "heddle_shares", partition);
    command_number(command, epoch);
}

void partition_shares_add(struct command *command, const char *kind, const char *key, int64_t share,
                          int64_t credit)
{
    command_string(command, kind);
    command_string(command, key);
    if (share == SHARE_ASKED)
        command_string(command, "");
    else
        command_number(command, share);
    command_number(command, credit);
}

bool partition_shares_accepted(const struct redis_reply *reply)
{
    return redis_reply_integer(redis_reply_at(reply, 0)) == 1;
}

bool partition_shares_read(const struct redis_reply *reply, size_t index,
                           struct partition_share *share)
{
    const size_t at = 1 + 5 * index;

    if (at + 5 > redis_reply_count(reply))
        return false;
    *share = (struct partition_share){
        .share = redis_reply_integer(redis_reply_at(reply, at)),
        .used = redis_reply_integer(redis_reply_at(reply, at + 1)),
        .waiting = redis_reply_integer(redis_reply_at(reply, at + 2)),
        .oldest_us = redis_reply_integer(redis_reply_at(reply, at + 3)),
        .taken = redis_reply_integer(redis_reply_at(reply, at + 4)),
    };
    return true;
}
