/* See operator.h. */
#include "queue/operator.h"

#include "base/text.h"
#include "link/redis.h"
#include "queue/command.h"

heddle_status operator_find(struct redis_link *link, unsigned partitions, const char *id,
                            struct claim **claim, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct command command;

    *claim = NULL;
    command_init(&command);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        command_begin(&command, "heddle_peek", p);
        command_string(&command, id);
        status = command_send(&command, link, err);
    }
    command_done(&command);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        AUTO_REPLY reply = NULL;
        status = command_receive(link, &reply, err);
        const struct heddle_text record = redis_reply_text(reply);
        if (status == HEDDLE_OK && !*claim && redis_reply_type(reply) == REDIS_TEXT)
            status = claim_new(p, 0, TEXT(""), &record, 1, claim, err);
        if (status == HEDDLE_OK && *claim && (*claim)->operation_count != 1)
            status = heddle_fail(err, HEDDLE_PERMANENT, "redis", "unexpected answer to a question");
    }
    if (status == HEDDLE_OK)
        return HEDDLE_OK;
    redis_close(link); /* answers that nobody waits for any more */
    claim_free(*claim);
    *claim = NULL;
    return status;
}

heddle_status operator_cancel(struct redis_link *link, unsigned partitions, const char *id,
                              struct heddle_text result, int64_t result_ttl_ms,
                              struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct command command;

    command_init(&command);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        command_begin(&command, "heddle_cancel", p);
        command_string(&command, id);
        command_text(&command, result);
        command_number(&command, result_ttl_ms);
        status = command_send(&command, link, err);
    }
    command_done(&command);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        AUTO_REPLY reply = NULL;
        status = command_receive(link, &reply, err);
    }
    if (status != HEDDLE_OK)
        redis_close(link);
    return status;
}
