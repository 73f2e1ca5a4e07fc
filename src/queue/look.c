/* See look.h. */
#include "queue/look.h"

#include "base/digest.h"
#include "link/redis.h"
#include "queue/command.h"

#include <stdlib.h>

static heddle_status send(struct redis_link *link, unsigned partition, const struct look *look,
                          struct heddle_error *err);

heddle_status look_at(struct redis_link *link, unsigned partitions, const struct look *look,
                      char **json, struct heddle_error *err)
{
    const bool asks_all = look->user.size == 0;
    const unsigned first = asks_all ? 0 : digest_partition(look->user, partitions);
    const unsigned last = asks_all ? partitions - 1 : first;
    heddle_status status = HEDDLE_OK;
    char *found = NULL;

    for (unsigned p = first; status == HEDDLE_OK && p <= last; p++)
        status = send(link, p, look, err);
    for (unsigned p = first; status == HEDDLE_OK && p <= last; p++) {
        AUTO_REPLY reply = NULL;
        status = command_receive(link, &reply, err);
        const struct heddle_text text = redis_reply_text(reply);
        if (status == HEDDLE_OK && text.size > 0 && !found)
            found = memory_copy(text.data, text.size);
    }
    if (status == HEDDLE_OK) {
        *json = found;
        return HEDDLE_OK;
    }
    redis_close(link); /* answers that nobody waits for any more */
    free(found);
    return status;
}

static heddle_status send(struct redis_link *link, unsigned partition, const struct look *look,
                          struct heddle_error *err)
{
    struct command command;

    command_init(&command);
    command_begin(&command, "heddle_why", partition);
    command_text(&command, look->user);
    command_string(&command, look->id ? look->id : "");
    heddle_status status = command_send(&command, link, err);
    command_done(&command);
    return status;
}
