/* See rebuild.h. */
#include "queue/rebuild.h"

#include "base/text.h"
#include "link/redis.h"

#include <stdio.h>
#include <string.h>

heddle_status rebuild_find_missing(struct redis_link *link, struct command *command,
                                   unsigned partition, const struct heddle_text *ids, size_t count,
                                   bool *is_missing, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    command_begin(command, "heddle_missing", partition);
    for (size_t i = 0; i < count; i++)
        command_text(command, ids[i]);
    heddle_status status = command_call(command, link, &reply, err);
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
                           const struct rebuild_page *page, size_t *missing, size_t *looked_at,
                           struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    command_begin(command, "heddle_rebuild", partition);
    command_text(command, page->lane);
    command_string(command, page->after ? page->after : "");
    for (size_t i = 0; i < page->count; i++) {
        const struct heddle_operation *operation = &page->operations[i];
        command_text(command, operation->op);
        command_text(command, operation->thread);
        command_text(command, operation->payload);
        command_text(command, (struct heddle_text){operation->id, HEDDLE_ID_SIZE});
        command_number(command, operation->attempt);
        command_number(command,
                       1 + (int64_t)command_options_count(&operation->policy, &operation->flow));
        command_string(command, "submitted_us");
        command_number(command, operation->submitted_us);
        command_options(command, &operation->policy, &operation->flow);
    }
    heddle_status status = command_call(command, link, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    size_t lost = (size_t)redis_reply_amount(redis_reply_at(reply, 0));
    size_t seen = (size_t)redis_reply_amount(redis_reply_at(reply, 1));
    if (lost > seen || seen > page->count || (seen == 0 && page->count > 0))
        return heddle_fail(err, HEDDLE_PERMANENT, "redis", "unexpected answer to a rebuild");
    *missing = lost;
    *looked_at = seen;
    return HEDDLE_OK;
}

heddle_status rebuild_find_halts(struct redis_link *link, struct command *command,
                                 unsigned partition, char cursor[COMMAND_CURSOR_SIZE],
                                 struct arena *arena, struct rebuild_halt **halts, size_t *count,
                                 struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    command_begin(command, "heddle_halts", partition);
    command_string(command, cursor);
    heddle_status status = command_call_page(command, link, cursor, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    *count = redis_reply_count(reply) / 3;
    *halts = arena_alloc(arena, (*count + 1) * sizeof **halts);
    for (size_t i = 0; i < *count; i++) {
        struct heddle_text lane = redis_reply_text(redis_reply_at(reply, 3 * i + 1));
        struct heddle_text id = redis_reply_text(redis_reply_at(reply, 3 * i + 2));
        struct heddle_text reason = redis_reply_text(redis_reply_at(reply, 3 * i + 3));
        (*halts)[i] = (struct rebuild_halt){
            .lane = arena_copy_text(arena, lane.data, lane.size),
            .id = arena_copy(arena, id.data, id.size),
            .has_failed = text_equal(reason, TEXT("failed")),
        };
    }
    return HEDDLE_OK;
}

heddle_status rebuild_look(struct redis_link *link, struct command *command, unsigned partition,
                           const struct rebuild_halt *halts, const bool *is_decided, size_t count,
                           struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    command_begin(command, "heddle_look", partition);
    for (size_t i = 0; i < count; i++)
        if (is_decided[i])
            command_text(command, halts[i].lane);
    return command_call(command, link, &reply, err);
}
