/* See text.h. */
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct unit {
    const char *name;
    int64_t factor;
};

static size_t utf8_length(const unsigned char *bytes, size_t size);
static bool parse_with_unit(const char *string, const struct unit *units, int64_t *value);

struct heddle_text text_of(const char *string)
{
    return string ? (struct heddle_text){string, strlen(string)} : TEXT("");
}

bool text_equal(struct heddle_text a, struct heddle_text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool text_is_utf8(const char *data, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)data;

    while (size > 0) {
        size_t length = utf8_length(bytes, size);
        if (length == 0 || *bytes == 0)
            return false;
        bytes += length;
        size -= length;
    }
    return true;
}

void text_make_line(char *string)
{
    unsigned char *bytes = (unsigned char *)string;
    size_t size = strlen(string), i = 0;

    while (i < size) {
        size_t length = utf8_length(bytes + i, size - i);
        if (length == 0) {
            bool cut = text_whole_size(string, size) <= i;
            if (cut)
                break;
            bytes[i] = '?';
            length = 1;
        } else if (bytes[i] < 0x20 || bytes[i] == 0x7F) {
            bytes[i] = ' ';
        }
        i += length;
    }
    while (i > 0 && bytes[i - 1] == ' ')
        i--;
    bytes[i] = '\0';
}

size_t text_whole_size(const char *data, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)data;
    size_t start = size;

    while (start > 0 && size - start < 3 && (bytes[start - 1] & 0xC0) == 0x80)
        start--;
    /* A lead byte whose character does not end where the bytes do. */
    if (start > 0 && bytes[start - 1] >= 0xC2 &&
        utf8_length(bytes + start - 1, size - start + 1) == 0)
        return start - 1;
    return size;
}

bool text_parse_integer(const char *string, int64_t *value)
{
    static const struct unit none[] = {{"", 1}, {NULL, 0}};
    return parse_with_unit(string, none, value);
}

bool text_parse_positive(struct heddle_text text, int64_t most, int64_t *value)
{
    int64_t total = 0;

    for (size_t i = 0; i < text.size; i++) {
        const int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9 || total > (most - digit) / 10)
            return false;
        total = total * 10 + digit;
    }
    if (total < 1)
        return false;
    *value = total;
    return true;
}

bool text_parse_duration_us(const char *string, int64_t *duration_us)
{
    static const struct unit units[] = {
        {"us", 1},         {"ms", 1000},       {"s", 1000000}, {"m", 60000000},
        {"h", 3600000000}, {"d", 86400000000}, {NULL, 0},
    };
    return parse_with_unit(string, units, duration_us);
}

bool text_parse_time_us(const char *string, int64_t *time_us)
{
    struct tm tm = {0};
    int offset_h = 0, offset_m = 0, size = 0;
    int64_t fraction_us = 0;

    const char *at = strptime(string, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!at)
        return false;
    if (*at == '.') {
        int64_t unit_us = 1000000;
        while (*++at >= '0' && *at <= '9')
            fraction_us += (*at - '0') * (unit_us /= 10);
    }
    const char sign = *at;
    if (sign == '+' || sign == '-') {
        if (sscanf(at + 1, "%2d:%2d%n", &offset_h, &offset_m, &size) != 2 || size != 5)
            return false;
        at += size;
    } else if (sign != 'Z') {
        return false;
    }
    if (at[1] != '\0')
        return false;
    const int64_t offset_s = (sign == '-' ? -1 : 1) * (offset_h * 3600 + offset_m * 60);
    *time_us = ((int64_t)timegm(&tm) - offset_s) * 1000000 + fraction_us;
    return true;
}

bool text_parse_bytes(const char *string, int64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0},
    };
    return parse_with_unit(string, units, bytes);
}

const char *text_in_words(double ms, char text[TEXT_WORDS_SIZE])
{
    if (ms < 0)
        ms = 0;
    if (ms < 1000)
        snprintf(text, TEXT_WORDS_SIZE, "%.*f ms", ms < 10 ? 1 : 0, ms);
    else if (ms < 100000)
        snprintf(text, TEXT_WORDS_SIZE, "%.1f s", ms / 1000);
    else if (ms < 6000000)
        snprintf(text, TEXT_WORDS_SIZE, "%.0f min", ms / 60000);
    else
        snprintf(text, TEXT_WORDS_SIZE, "%.0f h", ms / 3600000);
    return text;
}

static bool parse_with_unit(const char *string, const struct unit *units, int64_t *value)
{
    const char *digits = *string == '-' ? string + 1 : string;
    char *rest;

    if (*digits < '0' || *digits > '9')
        return false;
    errno = 0;
    long long number = strtoll(string, &rest, 10);
    if (errno != 0)
        return false;
    for (; units->name; units++) {
        int64_t product;
        if (strcmp(units->name, rest) != 0)
            continue;
        if (__builtin_mul_overflow((int64_t)number, units->factor, &product))
            return false;
        *value = product;
        return true;
    }
    return false;
}

/* Bytes of the well-formed character at `bytes`, 0 where there is none. */
static size_t utf8_length(const unsigned char *bytes, size_t size)
{
    unsigned char first = bytes[0], least = 0x80, most = 0xBF;
    size_t length;

    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first == 0xE0)
        least = 0xA0;
    else if (first == 0xED)
        most = 0x9F;
    else if (first == 0xF0)
        least = 0x90;
    else if (first == 0xF4)
        most = 0x8F;
    if (size < length || bytes[1] < least || bytes[1] > most)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
    return length;
}
