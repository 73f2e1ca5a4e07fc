/* Bare Redis: LPUSH, and RPOP or BRPOP in a loop. No order of a user that survives a second
 * connection, no retry: what was taken is gone. */
#include "peer.h"

#include <hiredis/hiredis.h>
#include <stddef.h>

static const char queue[] = "bench";

static void *connect_redis(const char *socket)
{
    redisContext *link = redisConnectUnix(socket);

    if (!link || link->err)
        peer_fail("redis", link ? link->errstr : "no memory");
    return link;
}

static void take_answer(redisContext *link)
{
    redisReply *reply;

    if (redisGetReply(link, (void **)&reply) != REDIS_OK)
        peer_fail("redis", link->errstr);
    if (reply->type != REDIS_REPLY_INTEGER)
        peer_fail("LPUSH", reply->str);
    freeReplyObject(reply);
}

static void add(void *link, const char *job, size_t size)
{
    redisAppendCommand(link, "LPUSH %s %b", queue, job, size);
    take_answer(link);
}

static void add_all(void *link, const char (*jobs)[PEER_JOB_BYTES], size_t count)
{
    for (size_t i = 0; i < count; i++)
        redisAppendCommand(link, "LPUSH %s %s", queue, jobs[i]);
    for (size_t i = 0; i < count; i++)
        take_answer(link);
}

static bool work(void *link, bool waits)
{
    redisReply *reply =
        waits ? redisCommand(link, "BRPOP %s 5", queue) : redisCommand(link, "RPOP %s", queue);

    if (!reply)
        peer_fail("redis", ((redisContext *)link)->errstr);
    const redisReply *job = waits && reply->type == REDIS_REPLY_ARRAY ? reply->element[1] : reply;
    const bool is_job = job->type == REDIS_REPLY_STRING;
    if (is_job)
        peer_note(job->str);
    freeReplyObject(reply);
    return is_job;
}

int main(int argc, char **argv)
{
    static const struct peer bare = {
        .connect = connect_redis,
        .add = add,
        .add_all = add_all,
        .work = work,
        .workers_max = 64,
    };
    return peer_compete(&bare, argc, argv);
}
