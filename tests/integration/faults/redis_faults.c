/* See redis_faults.h: hiredis' functions as the linker's --wrap hands them over. */
#include "redis_faults.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include <hiredis/hiredis.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

redisContext *__real_redisConnectUnixWithTimeout(const char *path, const struct timeval timeout);
int __real_redisSetTimeout(redisContext *context, const struct timeval timeout);
int __real_redisGetReplyFromReader(redisContext *context, void **reply);
int __real_redisBufferRead(redisContext *context);
ssize_t __real_send(int socket, const void *data, size_t size, int flags);

struct redis_faults redis_faults;

static bool fails(void)
{
    if (!redis_faults.is_armed || ++redis_faults.calls != redis_faults.at)
        return false;
    redis_faults.has_failed = true;
    return true;
}

/* As hiredis leaves a context that is of no use any more. */
static int broken(redisContext *context)
{
    bool is_late = redis_faults.kind == REDIS_FAULT_SILENCE;

    context->err = is_late ? REDIS_ERR_IO : REDIS_ERR_EOF;
    snprintf(context->errstr, sizeof context->errstr, "as the test told");
    errno = is_late ? EAGAIN : 0;
    return REDIS_ERR;
}

redisContext *__wrap_redisConnectUnixWithTimeout(const char *path, const struct timeval timeout)
{
    bool is_broken = fails();

    if (is_broken && redis_faults.kind == REDIS_FAULT_UNSENT)
        return NULL;
    redisContext *context = __real_redisConnectUnixWithTimeout(path, timeout);
    if (is_broken && context)
        broken(context);
    return context;
}

int __wrap_redisSetTimeout(redisContext *context, const struct timeval timeout)
{
    return fails() ? broken(context) : __real_redisSetTimeout(context, timeout);
}

ssize_t __wrap_send(int socket, const void *data, size_t size, int flags)
{
    if (!fails())
        return __real_send(socket, data, size, flags);
    if (redis_faults.kind != REDIS_FAULT_UNSENT)
        (void)!__real_send(socket, data, size, flags);
    errno = redis_faults.kind == REDIS_FAULT_SILENCE ? EAGAIN : EPIPE;
    return -1;
}

int __wrap_redisGetReplyFromReader(redisContext *context, void **reply)
{
    return fails() ? broken(context) : __real_redisGetReplyFromReader(context, reply);
}

/* What is read after it was sent means that Redis has done it. */
int __wrap_redisBufferRead(redisContext *context)
{
    if (!fails())
        return __real_redisBufferRead(context);
    if (redis_faults.kind != REDIS_FAULT_UNSENT)
        (void)!__real_redisBufferRead(context);
    return broken(context);
}
