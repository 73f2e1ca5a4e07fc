/* See partitions.h. */
#include "queue/partitions.h"

#include "link/redis.h"

heddle_status partitions_get(struct redis_link *link, unsigned *count, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = redis_callf(link, &reply, err, "GET", "heddle:partitions", NULL);
    if (status != HEDDLE_OK)
        return status;
    int64_t number = redis_reply_integer(reply);
    bool is_set = redis_reply_type(reply) != REDIS_NIL;
    if (is_set && (number < 1 || number > PARTITIONS_MAX))
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "heddle:partitions in Redis must be a number from 1 to %d",
                           PARTITIONS_MAX);
    *count = (unsigned)number;
    return HEDDLE_OK;
}
