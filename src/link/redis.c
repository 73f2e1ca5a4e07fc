/* A connection to one Redis. Runs on its owner's thread; see redis.h. */
#include "link/redis_internal.h"

#include "base/arena.h"
#include "base/text.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { CALL_ARGUMENTS_MAX = 16 };

struct redis_link {
    struct redis_address address;
    int timeout_ms;        /* of every exchange but those that say otherwise */
    int socket_timeout_ms; /* what the socket is set to */
    redisContext *context; /* NULL: not connected */
};

/* hiredis writes without MSG_NOSIGNAL, and the process' dispositions are not ours to change. */
struct silence {
    sigset_t before;
    bool was_pending;
};

static void silence_pipe(struct silence *silence);
static void restore_pipe(const struct silence *silence, bool has_failed);
static heddle_status lost(struct redis_link *link, struct heddle_error *err);
static heddle_status introduce(struct redis_link *link, struct heddle_error *err);
static void keep_alive(int fd, int timeout_ms);
static bool set_patience(struct redis_link *link, int timeout_ms);

heddle_status redis_new(const char *address, int timeout_ms, struct redis_link **link,
                        struct heddle_error *err)
{
    struct redis_address parsed;

    if (redis_address_parse(address, &parsed, err) != HEDDLE_OK)
        return HEDDLE_FATAL;
    *link = memory_take_zeroed(1, sizeof **link);
    (*link)->address = parsed;
    (*link)->timeout_ms = timeout_ms;
    return HEDDLE_OK;
}

void redis_free(struct redis_link *link)
{
    if (!link)
        return;
    redis_close(link);
    redis_address_done(&link->address);
    free(link);
}

heddle_status redis_connect(struct redis_link *link, struct heddle_error *err)
{
    const struct redis_address *address = &link->address;
    struct timeval timeout = {link->timeout_ms / 1000, link->timeout_ms % 1000 * 1000};

    if (link->context)
        return HEDDLE_OK;
    link->context = address->socket_path
                        ? redisConnectUnixWithTimeout(address->socket_path, timeout)
                        : redisConnectWithTimeout(address->host, address->port, timeout);
    if (!link->context || link->context->err)
        return lost(link, err);
    link->socket_timeout_ms = 0;
    if (!set_patience(link, link->timeout_ms))
        return lost(link, err);
    if (!address->socket_path)
        keep_alive(link->context->fd, link->timeout_ms);
    return introduce(link, err);
}

void redis_close(struct redis_link *link)
{
    if (link->context)
        redisFree(link->context);
    link->context = NULL;
}

bool redis_is_connected(const struct redis_link *link)
{
    return link->context != NULL;
}

int redis_fd(const struct redis_link *link)
{
    return link->context ? link->context->fd : -1;
}

heddle_status redis_append(struct redis_link *link, int count, const char *const *arguments,
                           const size_t *sizes, struct heddle_error *err)
{
    heddle_status status = redis_connect(link, err);
    if (status != HEDDLE_OK)
        return status;
    if (redisAppendCommandArgv(link->context, count, (const char **)arguments, sizes) != REDIS_OK)
        return lost(link, err);
    return HEDDLE_OK;
}

heddle_status redis_next(struct redis_link *link, int timeout_ms, struct redis_reply **reply,
                         struct heddle_error *err)
{
    struct silence silence;
    void *taken = NULL;

    if (!link->context)
        return lost(link, err);
    if (!set_patience(link, timeout_ms ? timeout_ms : link->timeout_ms))
        return lost(link, err);
    silence_pipe(&silence);
    int outcome = redisGetReply(link->context, &taken);
    restore_pipe(&silence, outcome != REDIS_OK);
    if (outcome != REDIS_OK)
        return lost(link, err);
    *reply = reply_outside(taken);
    return HEDDLE_OK;
}

heddle_status redis_poll(struct redis_link *link, struct redis_reply **reply,
                         struct heddle_error *err)
{
    char probe;
    void *taken = NULL;

    *reply = NULL;
    if (!link->context)
        return lost(link, err);
    if (redisGetReplyFromReader(link->context, &taken) != REDIS_OK)
        return lost(link, err);
    if (!taken) {
        /* hiredis' read blocks on a blocking socket, so look first. */
        ssize_t seen = recv(link->context->fd, &probe, 1, MSG_PEEK | MSG_DONTWAIT);
        if (seen < 0 && (errno == EAGAIN || errno == EINTR))
            return HEDDLE_OK;
        if (redisBufferRead(link->context) != REDIS_OK ||
            redisGetReplyFromReader(link->context, &taken) != REDIS_OK)
            return lost(link, err);
    }
    *reply = reply_outside(taken);
    return HEDDLE_OK;
}

heddle_status redis_call(struct redis_link *link, int count, const char *const *arguments,
                         const size_t *sizes, struct redis_reply **reply, struct heddle_error *err)
{
    struct redis_reply *answer = NULL;

    heddle_status status = redis_connect(link, err);
    if (status == HEDDLE_OK)
        status = redis_append(link, count, arguments, sizes, err);
    if (status == HEDDLE_OK)
        status = redis_next(link, 0, &answer, err);
    if (status == HEDDLE_OK)
        status = redis_refusal(answer, err);
    if (status != HEDDLE_OK) {
        redis_reply_free(answer);
        return status;
    }
    *reply = answer;
    return HEDDLE_OK;
}

heddle_status redis_callf(struct redis_link *link, struct redis_reply **reply,
                          struct heddle_error *err, ...)
{
    const char *arguments[CALL_ARGUMENTS_MAX];
    size_t sizes[CALL_ARGUMENTS_MAX];
    int count = 0;
    va_list list;

    va_start(list, err);
    for (const char *next; count < CALL_ARGUMENTS_MAX && (next = va_arg(list, const char *));) {
        arguments[count] = next;
        sizes[count++] = strlen(next);
    }
    va_end(list);
    return redis_call(link, count, arguments, sizes, reply, err);
}

static void silence_pipe(struct silence *silence)
{
    sigset_t pipe_signal, pending;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &silence->before);
    sigpending(&pending);
    silence->was_pending = sigismember(&pending, SIGPIPE) == 1;
}

static void restore_pipe(const struct silence *silence, bool has_failed)
{
    const struct timespec at_once = {0, 0};
    const int cause = errno;
    sigset_t pipe_signal;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    if (has_failed && !silence->was_pending)
        sigtimedwait(&pipe_signal, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &silence->before, NULL);
    errno = cause;
}

/* Says what went wrong, and closes: what arrives later on this connection
 * would answer another question. */
static heddle_status lost(struct redis_link *link, struct heddle_error *err)
{
    if (!link->context)
        return heddle_fail(err, HEDDLE_RETRY, "redis", "not connected");
    bool timed_out =
        link->context->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK);
    heddle_status status =
        heddle_fail(err, HEDDLE_RETRY, "redis", "%s",
                    timed_out ? "no answer within the time limit" : link->context->errstr);
    redis_close(link);
    return status;
}

/* AUTH and SELECT, where the address asks for them. */
static heddle_status introduce(struct redis_link *link, struct heddle_error *err)
{
    const struct redis_address *address = &link->address;
    redisReply *reply = NULL;

    if (address->password)
        reply = address->user
                    ? redisCommand(link->context, "AUTH %s %s", address->user, address->password)
                    : redisCommand(link->context, "AUTH %s", address->password);
    if (address->password && !reply)
        return lost(link, err);
    if (!(reply && reply->type == REDIS_REPLY_ERROR) && address->database > 0) {
        if (reply)
            freeReplyObject(reply);
        reply = redisCommand(link->context, "SELECT %d", address->database);
        if (!reply)
            return lost(link, err);
    }
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        heddle_status status = redis_refusal(reply_outside(reply), err);
        freeReplyObject(reply);
        redis_close(link);
        return status == HEDDLE_RETRY ? HEDDLE_RETRY : HEDDLE_FATAL;
    }
    if (reply)
        freeReplyObject(reply);
    return HEDDLE_OK;
}

/* Best effort: a peer that vanished is noticed by the deadlines anyway. */
static void keep_alive(int fd, int timeout_ms)
{
    const int on = 1, idle_s = 5, interval_s = 2, probes = 3;
    const unsigned unacknowledged_ms = (unsigned)timeout_ms * 2;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static bool set_patience(struct redis_link *link, int timeout_ms)
{
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

    if (link->socket_timeout_ms == timeout_ms)
        return true;
    if (redisSetTimeout(link->context, timeout) != REDIS_OK)
        return false;
    link->socket_timeout_ms = timeout_ms;
    return true;
}
