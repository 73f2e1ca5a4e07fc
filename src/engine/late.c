/* See late.h. */
#include "engine/late.h"

#include "base/arena.h"
#include "base/text.h"
#include "link/redis.h"

#include <stdlib.h>

struct late_result {
    unsigned partition;
    const struct claimed_operation *claimed;
};

static struct heddle_text id_of(const struct claimed_operation *claimed);

void late_done(struct late *late)
{
    free(late->results);
}

void late_note(struct late *late, unsigned partition, const struct settlement *settlements,
               const struct settlement *end, struct heddle_text id)
{
    if (late->count == late->capacity) {
        late->capacity = 2 * late->capacity + 16;
        late->results = memory_resize(late->results, late->capacity * sizeof *late->results);
    }
    for (const struct settlement *s = settlements; s != end; s = s->next)
        for (size_t i = s->first; i < s->first + s->count; i++)
            if (text_equal(id_of(&s->claim->operations[i]), id)) {
                late->results[late->count++] =
                    (struct late_result){partition, &s->claim->operations[i]};
                return;
            }
}

heddle_status late_tell(struct late *late, struct redis_link *link, struct command *command,
                        int64_t result_ttl_ms, struct heddle_error *err)
{
    for (; late->count > 0; late->count--) {
        const struct late_result *result = &late->results[late->count - 1];
        heddle_status status = lanes_reply(link, command, result->partition, result_ttl_ms,
                                           id_of(result->claimed), result->claimed->result, err);
        if (status != HEDDLE_OK)
            return status;
    }
    return HEDDLE_OK;
}

heddle_status late_publish(struct redis_link *link, const struct claim *claim,
                           struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (const struct claim_event *event = claim->events; status == HEDDLE_OK && event;
         event = event->next) {
        AUTO_REPLY reply = NULL;
        status = redis_callf(link, &reply, err, "PUBLISH", "heddle:events", event->json, NULL);
    }
    return status;
}

static struct heddle_text id_of(const struct claimed_operation *claimed)
{
    return (struct heddle_text){claimed->operation.id, HEDDLE_ID_SIZE};
}
