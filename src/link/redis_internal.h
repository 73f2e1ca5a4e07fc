/* What redis.c shares with its neighbours, and nobody else includes. */
#ifndef LINK_REDIS_INTERNAL_H
#define LINK_REDIS_INTERNAL_H

#include "link/redis.h"

#include <hiredis/hiredis.h>

/* Where a Redis is, and who we are there. Every text is owned, NULL where absent. */
struct redis_address {
    char *socket_path;
    char *host;
    int port;
    char *user;
    char *password;
    int database;
};

/* Parses redis://[user:password@]host[:port][/db] and unix:///path[?db=n]. */
heddle_status redis_address_parse(const char *text, struct redis_address *address,
                                  struct heddle_error *err) HEDDLE_MUST_CHECK;
void redis_address_done(struct redis_address *address);

/* struct redis_reply is hiredis' own, under a name that needs none of its headers. */
static inline const redisReply *reply_inside(const struct redis_reply *reply)
{
    return (const redisReply *)(const void *)reply;
}

static inline struct redis_reply *reply_outside(void *reply)
{
    return reply;
}

#endif
