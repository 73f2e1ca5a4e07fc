/* Reading replies, and what an error reply asks for. Pure. */
#include "link/redis_internal.h"

#include "base/text.h"
#include "link/refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void redis_reply_free(struct redis_reply *reply)
{
    if (reply)
        freeReplyObject(reply);
}

void redis_reply_cleanup(struct redis_reply **reply)
{
    redis_reply_free(*reply);
}

enum redis_type redis_reply_type(const struct redis_reply *reply)
{
    if (!reply)
        return REDIS_NIL;
    switch (reply_inside(reply)->type) {
    case REDIS_REPLY_STRING:
        return REDIS_TEXT;
    case REDIS_REPLY_INTEGER:
        return REDIS_INTEGER;
    case REDIS_REPLY_ARRAY:
        return REDIS_ARRAY;
    case REDIS_REPLY_STATUS:
        return REDIS_STATUS;
    case REDIS_REPLY_ERROR:
        return REDIS_ERROR;
    default:
        return REDIS_NIL;
    }
}

struct heddle_text redis_reply_text(const struct redis_reply *reply)
{
    enum redis_type type = redis_reply_type(reply);
    if (type != REDIS_TEXT && type != REDIS_STATUS && type != REDIS_ERROR)
        return TEXT("");
    return (struct heddle_text){reply_inside(reply)->str, (size_t)reply_inside(reply)->len};
}

int64_t redis_reply_integer(const struct redis_reply *reply)
{
    int64_t number = 0;

    if (redis_reply_type(reply) == REDIS_INTEGER)
        return reply_inside(reply)->integer;
    if (redis_reply_type(reply) == REDIS_TEXT)
        text_parse_integer(reply_inside(reply)->str, &number);
    return number;
}

int64_t redis_reply_amount(const struct redis_reply *reply)
{
    const int64_t most = INT64_C(1000000000000), number = redis_reply_integer(reply);
    return number < 0 ? 0 : number < most ? number : most;
}

size_t redis_reply_count(const struct redis_reply *reply)
{
    return redis_reply_type(reply) == REDIS_ARRAY ? reply_inside(reply)->elements : 0;
}

const struct redis_reply *redis_reply_at(const struct redis_reply *reply, size_t index)
{
    if (index >= redis_reply_count(reply))
        return NULL;
    return reply_outside(reply_inside(reply)->element[index]);
}

heddle_status redis_refusal(const struct redis_reply *reply, struct heddle_error *err)
{
    /* States of a server that pass: it starts, fails over, is full or moves. */
    static const char *const passing[] = {"OOM ",        "LOADING ",   "READONLY ", "MASTERDOWN ",
                                          "CLUSTERDOWN", "TRYAGAIN ",  "MOVED ",    "ASK ",
                                          "BUSY ",       "NOREPLICAS", "MISCONF ",  NULL};

    if (redis_reply_type(reply) != REDIS_ERROR)
        return HEDDLE_OK;
    const char *text = reply_inside(reply)->str;
    heddle_status status;
    if (refusal_read(text, &status, err))
        return status;
    for (size_t i = 0; passing[i]; i++)
        if (strncmp(text, passing[i], strlen(passing[i])) == 0)
            return heddle_fail(err, HEDDLE_RETRY, "redis", "%s", text);
    if (strstr(text, "Function not found"))
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "Redis lacks Heddle's functions: run `heddle migrate`");
    if (strncmp(text, "NOAUTH", 6) == 0 || strncmp(text, "WRONGPASS", 9) == 0 ||
        strncmp(text, "NOPERM", 6) == 0)
        return heddle_fail(err, HEDDLE_FATAL, "redis", "%s", text);
    return heddle_fail(err, HEDDLE_PERMANENT, "redis", "%s", text);
}
