/* See redis_faults.h: hiredis' functions as the linker's --wrap hands them over. */
#include "redis_faults.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <hiredis/hiredis.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

redisContext *__real_redisConnectUnixWithTimeout(const char *path, const struct timeval timeout);
int __real_redisSetTimeout(redisContext *context, const struct timeval timeout);
int __real_redisAppendCommandArgv(redisContext *context, int count, const char **arguments,
                                  const size_t *sizes);
int __real_redisGetReply(redisContext *context, void **reply);
int __real_redisGetReplyFromReader(redisContext *context, void **reply);
int __real_redisBufferRead(redisContext *context);

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

int __wrap_redisAppendCommandArgv(redisContext *context, int count, const char **arguments,
                                  const size_t *sizes)
{
    return fails() ? broken(context)
                   : __real_redisAppendCommandArgv(context, count, arguments, sizes);
}

int __wrap_redisGetReply(redisContext *context, void **reply)
{
    void *taken = NULL;

    if (!fails())
        return __real_redisGetReply(context, reply);
    if (redis_faults.kind != REDIS_FAULT_UNSENT &&
        __real_redisGetReply(context, &taken) == REDIS_OK)
        freeReplyObject(taken);
    return broken(context);
}

int __wrap_redisGetReplyFromReader(redisContext *context, void **reply)
{
    return fails() ? broken(context) : __real_redisGetReplyFromReader(context, reply);
}

int __wrap_redisBufferRead(redisContext *context)
{
    return fails() ? broken(context) : __real_redisBufferRead(context);
}

void *__wrap_redisCommand(redisContext *context, const char *format, ...)
{
    void *reply = NULL;
    va_list arguments;

    bool is_broken = fails();
    if (is_broken && redis_faults.kind == REDIS_FAULT_UNSENT) {
        broken(context);
        return NULL;
    }
    va_start(arguments, format);
    reply = redisvCommand(context, format, arguments);
    va_end(arguments);
    if (is_broken) {
        freeReplyObject(reply);
        broken(context);
        return NULL;
    }
    return reply;
}
