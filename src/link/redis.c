/* A connection to one Redis. Runs on its owner's thread; see redis.h.
 *
 * hiredis connects and reads. What is sent is written here: hiredis' own output buffer does not
 * survive that memory runs out, and it sends with the risk of a SIGPIPE. */
#include "link/redis_internal.h"

#include "base/arena.h"
#include "base/text.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { CALL_ARGUMENTS_MAX = 16, OUTPUT_KEEP_BYTES = 1 << 20, OUTPUT_SEND_BYTES = 1 << 16 };

struct redis_link {
    struct redis_address address;
    int timeout_ms;        /* of every exchange but those that say otherwise */
    int socket_timeout_ms; /* what the socket is set to */
    redisContext *context; /* NULL: not connected */
    char *output;          /* commands that are to be sent with the next question */
    size_t output_size, output_capacity;
};

static void put(struct redis_link *link, const char *bytes, size_t size);
static void put_size(struct redis_link *link, char mark, size_t size);
static bool send_output(struct redis_link *link);
static void drop_output(struct redis_link *link);
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
    free(link->output);
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
    drop_output(link);
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
    put_size(link, '*', (size_t)count);
    for (int i = 0; i < count; i++) {
        put_size(link, '$', sizes[i]);
        put(link, arguments[i], sizes[i]);
        put(link, "\r\n", 2);
    }
    /* Of many commands Redis does the first ones while the last are written. */
    if (link->output_size >= OUTPUT_SEND_BYTES &&
        (!set_patience(link, link->timeout_ms) || !send_output(link)))
        return lost(link, err);
    return HEDDLE_OK;
}

heddle_status redis_next(struct redis_link *link, int timeout_ms, struct redis_reply **reply,
                         struct heddle_error *err)
{
    void *taken = NULL;

    if (!link->context)
        return lost(link, err);
    if (!set_patience(link, timeout_ms ? timeout_ms : link->timeout_ms) || !send_output(link))
        return lost(link, err);
    for (;;) {
        if (redisGetReplyFromReader(link->context, &taken) != REDIS_OK)
            return lost(link, err);
        if (taken)
            break;
        if (redisBufferRead(link->context) != REDIS_OK)
            return lost(link, err);
    }
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

static void put(struct redis_link *link, const char *bytes, size_t size)
{
    if (link->output_capacity - link->output_size < size) {
        link->output_capacity = 2 * link->output_capacity + size;
        link->output = memory_resize(link->output, link->output_capacity);
    }
    if (size > 0)
        memcpy(link->output + link->output_size, bytes, size);
    link->output_size += size;
}

static void put_size(struct redis_link *link, char mark, size_t size)
{
    char text[32], *end = text + sizeof text, *first = end;

    *--first = '\n';
    *--first = '\r';
    do
        *--first = (char)('0' + size % 10);
    while ((size /= 10) > 0);
    *--first = mark;
    put(link, first, (size_t)(end - first));
}

/* False where it is lost, which the context then tells. */
static bool send_output(struct redis_link *link)
{
    for (size_t sent = 0; sent < link->output_size;) {
        ssize_t count =
            send(link->context->fd, link->output + sent, link->output_size - sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            link->context->err = REDIS_ERR_IO;
            snprintf(link->context->errstr, sizeof link->context->errstr, "%s", strerror(errno));
            return false;
        }
        sent += (size_t)count;
    }
    drop_output(link);
    return true;
}

static void drop_output(struct redis_link *link)
{
    link->output_size = 0;
    if (link->output_capacity <= OUTPUT_KEEP_BYTES)
        return;
    free(link->output);
    link->output = NULL;
    link->output_capacity = 0;
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
    heddle_status status = HEDDLE_OK;
    AUTO_REPLY authenticated = NULL;
    AUTO_REPLY selected = NULL;
    char database[16];

    snprintf(database, sizeof database, "%d", address->database);
    if (address->user)
        status =
            redis_callf(link, &authenticated, err, "AUTH", address->user, address->password, NULL);
    else if (address->password)
        status = redis_callf(link, &authenticated, err, "AUTH", address->password, NULL);
    if (status == HEDDLE_OK && address->database > 0)
        status = redis_callf(link, &selected, err, "SELECT", database, NULL);
    if (status == HEDDLE_OK)
        return HEDDLE_OK;
    redis_close(link);
    return status == HEDDLE_RETRY ? HEDDLE_RETRY : HEDDLE_FATAL;
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
