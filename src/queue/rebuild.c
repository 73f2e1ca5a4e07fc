/* See rebuild.h. */
#include "queue/rebuild.h"

#include "base/policy.h"
#include "base/text.h"
#include "link/redis.h"

static heddle_status call(struct redis_link *link, struct command *command,
                          struct redis_reply **reply, struct heddle_error *err);

heddle_status rebuild_find_missing(struct redis_link *link, struct command *command,
                                   unsigned partition, const struct heddle_text *ids, size_t count,
                                   bool *is_missing, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    command_begin(command, "heddle_missing", partition);
    for (size_t i = 0; i < count; i++)
        command_text(command, ids[i]);
    heddle_status status = call(link, command, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    /* The answer holds the missing ones in the order of the question. */
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        is_missing[i] = next < redis_reply_count(reply) &&
                        text_equal(ids[i], redis_reply_text(redis_reply_at(reply, next)));
        next += is_missing[i];
    }
    return HEDDLE_OK;
}

heddle_status rebuild_lane(struct redis_link *link, struct command *command, unsigned partition,
                           struct heddle_text lane, const struct heddle_operation *operations,
                           size_t count, size_t *missing, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    command_begin(command, "heddle_rebuild", partition);
    command_text(command, lane);
    for (size_t i = 0; i < count; i++) {
        command_text(command, operations[i].op);
        command_text(command, operations[i].thread);
        command_text(command, operations[i].payload);
        command_text(command, (struct heddle_text){operations[i].id, HEDDLE_ID_SIZE});
        command_number(command, operations[i].attempt);
        command_number(command, (int64_t)policy_options_said(&operations[i].policy));
        command_policy(command, &operations[i].policy);
    }
    heddle_status status = call(link, command, &reply, err);
    if (status == HEDDLE_OK)
        *missing = (size_t)redis_reply_integer(reply);
    return status;
}

static heddle_status call(struct redis_link *link, struct command *command,
                          struct redis_reply **reply, struct heddle_error *err)
{
    heddle_status status = command_send(command, link, err);
    if (status == HEDDLE_OK)
        status = redis_next(link, 0, reply, err);
    return status == HEDDLE_OK ? redis_refusal(*reply, err) : status;
}
