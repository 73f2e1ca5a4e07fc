/* See json_scan.h. Numbers that a double might not hold and escapes by number are left to the
 * parser. */
#include "base/json_scan.h"

#include "base/text.h"

#include <stdint.h>
#include <string.h>

enum { DIGITS_MAX = 15 };

struct scan {
    const char *at, *end;
    uint64_t objects; /* a bit a level, the innermost lowest: set where it is an object */
    int depth;
};

/* What may come next. */
enum next { NEXT_NAME_OR_END, NEXT_NAME, NEXT_VALUE_OR_END, NEXT_VALUE, NEXT_COMMA_OR_END };

static bool step(struct scan *scan, enum next *next);
static bool scan_name(struct scan *scan);
static bool scan_value(struct scan *scan, enum next *next);
static bool scan_string(struct scan *scan);
static bool scan_number(struct scan *scan);
static bool scan_digits(struct scan *scan);
static bool scan_word(struct scan *scan, const char *word);
static bool take(struct scan *scan, char c);
static void skip_blanks(struct scan *scan);

bool json_is_plain_object(struct heddle_text json)
{
    struct scan scan = {json.data, json.data + json.size, 1, 1};
    enum next next = NEXT_NAME_OR_END;

    if (!text_is_utf8(json.data, json.size))
        return false;
    skip_blanks(&scan);
    if (!take(&scan, '{'))
        return false;
    while (scan.depth > 0)
        if (!step(&scan, &next))
            return false;
    skip_blanks(&scan);
    return scan.at == scan.end;
}

bool json_is_plain_string(struct heddle_text json)
{
    if (json.size < 2 || json.data[0] != '"' || json.data[json.size - 1] != '"')
        return false;
    for (size_t i = 1; i < json.size - 1; i++)
        if (json.data[i] == '"' || json.data[i] == '\\' || (unsigned char)json.data[i] < 0x20)
            return false;
    return text_is_utf8(json.data, json.size);
}

static bool step(struct scan *scan, enum next *next)
{
    const bool in_object = scan->objects & 1;

    skip_blanks(scan);
    if (*next != NEXT_NAME && *next != NEXT_VALUE && take(scan, in_object ? '}' : ']')) {
        scan->depth--;
        scan->objects >>= 1;
        *next = NEXT_COMMA_OR_END;
        return true;
    }
    if (*next == NEXT_COMMA_OR_END) {
        *next = in_object ? NEXT_NAME : NEXT_VALUE;
        return take(scan, ',');
    }
    if (in_object && !scan_name(scan))
        return false;
    return scan_value(scan, next);
}

static bool scan_name(struct scan *scan)
{
    if (!take(scan, '"') || !scan_string(scan))
        return false;
    skip_blanks(scan);
    if (!take(scan, ':'))
        return false;
    skip_blanks(scan);
    return true;
}

static bool scan_value(struct scan *scan, enum next *next)
{
    const bool is_object = scan->at < scan->end && *scan->at == '{';

    if (is_object || (scan->at < scan->end && *scan->at == '[')) {
        scan->at++;
        scan->objects = scan->objects << 1 | is_object;
        *next = is_object ? NEXT_NAME_OR_END : NEXT_VALUE_OR_END;
        return ++scan->depth <= HEDDLE_PAYLOAD_DEPTH_MAX;
    }
    *next = NEXT_COMMA_OR_END;
    if (take(scan, '"'))
        return scan_string(scan);
    return scan_word(scan, "true") || scan_word(scan, "false") || scan_word(scan, "null") ||
           scan_number(scan);
}

/* Behind its first quote. */
static bool scan_string(struct scan *scan)
{
    for (; scan->at < scan->end; scan->at++) {
        const char c = *scan->at;
        if (c == '"') {
            scan->at++;
            return true;
        }
        if ((unsigned char)c < 0x20)
            return false;
        if (c == '\\' && (++scan->at == scan->end || !memchr("\"\\/bfnrt", *scan->at, 8)))
            return false;
    }
    return false;
}

static bool scan_number(struct scan *scan)
{
    (void)take(scan, '-');
    if (!take(scan, '0') && !scan_digits(scan))
        return false;
    if (take(scan, '.') && !scan_digits(scan))
        return false;
    /* An exponent, or a digit behind a zero. */
    return scan->at < scan->end && !memchr("eE0123456789", *scan->at, 12);
}

static bool scan_digits(struct scan *scan)
{
    const char *begin = scan->at;

    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > begin && scan->at - begin <= DIGITS_MAX;
}

static bool scan_word(struct scan *scan, const char *word)
{
    const size_t size = strlen(word);

    if ((size_t)(scan->end - scan->at) < size || memcmp(scan->at, word, size) != 0)
        return false;
    scan->at += size;
    return true;
}

static bool take(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static void skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
}
