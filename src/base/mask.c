/* See mask.h. Called from any thread. */
#include "base/mask.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static bool is_url(const char *text);
static const char *login_of(const char *text, const char **end);
static const char *parameter_of(const char *text, const char **end);

const char *mask_address(const char *text, char *buffer, size_t size)
{
    const char *login_end, *parameter_end;
    const char *login = login_of(text, &login_end), *parameter = parameter_of(text, &parameter_end);
    const bool is_login = login && (!parameter || login < parameter);
    const char *begin = is_login ? login : parameter;
    const char *end = is_login ? login_end : parameter_end;

    if (!begin) {
        snprintf(buffer, size, "%s", text);
    } else {
        if (strstr(end, "password") || (!is_login && strchr(end, '@')))
            end = "";
        snprintf(buffer, size, "%.*s%s%s", (int)(begin - text), text, MASK_STARS, end);
    }
    /* What doesn't fit is cut, perhaps inside a character. */
    text_make_line(buffer);
    return buffer;
}

static bool is_url(const char *text)
{
    return strncmp(text + strspn(text, "abcdefghijklmnopqrstuvwxyz"), "://", 3) == 0;
}

/* The password of scheme://user:password@host; NULL where there is none. */
static const char *login_of(const char *text, const char **end)
{
    const char *authority = strstr(text, "://");

    *end = strrchr(text, '@');
    if (!authority || !*end || *end < authority + 3)
        return NULL;
    const char *colon = memchr(authority + 3, ':', (size_t)(*end - authority - 3));
    return colon ? colon + 1 : NULL;
}

/* The value of the first parameter whose name ends in "password"; NULL where there is none. */
static const char *parameter_of(const char *text, const char **end)
{
    const char *const blanks = is_url(text) ? "" : " \t\r\n";

    for (const char *name = text; (name = strstr(name, "password")); name++) {
        const char *value = name + strlen("password");
        value += strspn(value, blanks);
        if (*value != '=')
            continue;
        value++;
        value += strspn(value, blanks);
        *end = value + strcspn(value, *blanks ? blanks : "&");
        /* What ends a value with quotes or escapes is libpq's to know. */
        if (memchr(value, '\'', (size_t)(*end - value)) ||
            memchr(value, '\\', (size_t)(*end - value)))
            *end = "";
        return value;
    }
    return NULL;
}
