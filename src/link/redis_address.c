/* Redis addresses. Pure; called when a link is made. */
#include "link/redis_internal.h"

#include "base/arena.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static heddle_status parse_tcp(const char *rest, struct redis_address *address,
                               struct heddle_error *err);
static heddle_status parse_unix(const char *rest, struct redis_address *address,
                                struct heddle_error *err);
static bool parse_number(const char *text, int64_t least, int64_t most, int *number);
static char *percent_decoded(const char *text, size_t size);

heddle_status redis_address_parse(const char *text, struct redis_address *address,
                                  struct heddle_error *err)
{
    struct redis_address parsed = {.port = 6379};
    heddle_status status;

    if (strncmp(text, "redis://", 8) == 0)
        status = parse_tcp(text + 8, &parsed, err);
    else if (strncmp(text, "unix://", 7) == 0)
        status = parse_unix(text + 7, &parsed, err);
    else if (strncmp(text, "rediss://", 9) == 0)
        status = heddle_fail(err, HEDDLE_FATAL, "redis",
                             "rediss:// is not available in this build; use redis:// or unix://");
    else
        status = heddle_fail(err, HEDDLE_FATAL, "redis",
                             "redis address must begin with redis:// or unix://");
    if (status != HEDDLE_OK) {
        redis_address_done(&parsed);
        return status;
    }
    *address = parsed;
    return HEDDLE_OK;
}

void redis_address_done(struct redis_address *address)
{
    free(address->socket_path);
    free(address->host);
    free(address->user);
    free(address->password);
    memset(address, 0, sizeof *address);
}

static heddle_status parse_tcp(const char *rest, struct redis_address *address,
                               struct heddle_error *err)
{
    const char *slash = strchr(rest, '/');
    const char *end = slash ? slash : rest + strlen(rest);
    const char *at = memrchr(rest, '@', (size_t)(end - rest));

    if (slash && slash[1] && !parse_number(slash + 1, 0, 65535, &address->database))
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "redis address: database '%s' must be a number", slash + 1);
    if (at) {
        const char *colon = memchr(rest, ':', (size_t)(at - rest));
        const char *user_end = colon ? colon : at;
        if (user_end > rest)
            address->user = percent_decoded(rest, (size_t)(user_end - rest));
        if (!colon || colon + 1 == at)
            return heddle_fail(err, HEDDLE_FATAL, "redis",
                               "redis address: a user needs a password, user:password@");
        if (memmem(rest, (size_t)(at - rest), "%00", 3))
            return heddle_fail(err, HEDDLE_FATAL, "redis", "redis address: a login can't hold NUL");
        address->password = percent_decoded(colon + 1, (size_t)(at - colon - 1));
        rest = at + 1;
    }

    const char *host_end = end;
    const char *port = NULL;
    if (*rest == '[') {
        const char *bracket = memchr(rest, ']', (size_t)(end - rest));
        if (!bracket)
            return heddle_fail(err, HEDDLE_FATAL, "redis", "redis address: ']' is missing");
        rest++;
        host_end = bracket;
        if (bracket[1] == ':')
            port = bracket + 2;
        else if (bracket + 1 != end)
            return heddle_fail(err, HEDDLE_FATAL, "redis",
                               "redis address: only :PORT may follow ']'");
    } else {
        const char *colon = memchr(rest, ':', (size_t)(end - rest));
        if (colon) {
            host_end = colon;
            port = colon + 1;
        }
    }
    if (host_end == rest)
        return heddle_fail(err, HEDDLE_FATAL, "redis", "redis address has no host");
    address->host = memory_copy(rest, (size_t)(host_end - rest));
    if (strpbrk(address->host, "[]"))
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "redis address: brackets stand around the whole host");
    if (port) {
        char *digits = memory_copy(port, (size_t)(end - port));
        bool good = parse_number(digits, 1, 65535, &address->port);
        free(digits);
        if (!good)
            return heddle_fail(err, HEDDLE_FATAL, "redis",
                               "redis address: the port must be a number from 1 to 65535");
    }
    return HEDDLE_OK;
}

static heddle_status parse_unix(const char *rest, struct redis_address *address,
                                struct heddle_error *err)
{
    const char *query = strchr(rest, '?');
    size_t size = query ? (size_t)(query - rest) : strlen(rest);

    if (size == 0 || *rest != '/')
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "redis address needs an absolute path: unix:///path");
    if (query &&
        (strncmp(query, "?db=", 4) != 0 || !parse_number(query + 4, 0, 65535, &address->database)))
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "redis address: only ?db=NUMBER may follow the path");
    address->socket_path = memory_copy(rest, size);
    return HEDDLE_OK;
}

static bool parse_number(const char *text, int64_t least, int64_t most, int *number)
{
    int64_t value;
    if (!text_parse_integer(text, &value) || value < least || value > most)
        return false;
    *number = (int)value;
    return true;
}

static char *percent_decoded(const char *text, size_t size)
{
    char *decoded = memory_take(size + 1);
    size_t used = 0;

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '%' && i + 2 < size && isxdigit((unsigned char)text[i + 1]) &&
            isxdigit((unsigned char)text[i + 2])) {
            char digits[3] = {text[i + 1], text[i + 2], '\0'};
            decoded[used++] = (char)strtol(digits, NULL, 16);
            i += 2;
        } else {
            decoded[used++] = text[i];
        }
    }
    decoded[used] = '\0';
    return decoded;
}
