/* Text as bytes: UTF-8, parsing of numbers and durations. All functions are
 * pure and thread-safe. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "heddle/operation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text over a string literal. */
#define TEXT(literal) ((struct heddle_text){("" literal), sizeof(literal) - 1})

/* A borrowed text over a C string; NULL gives an empty text. */
struct heddle_text text_of(const char *string);

bool text_equal(struct heddle_text a, struct heddle_text b);

/* True where the bytes are well-formed UTF-8 without NUL: no overlong forms,
 * no surrogates, nothing above U+10FFFF. Source: RFC 3629, section 4. */
bool text_is_utf8(const char *data, size_t size);

/* Makes a C string one line of valid UTF-8 in place: control characters become
 * spaces, broken sequences '?', a trailing cut character is dropped, trailing
 * blanks go. */
void text_make_line(char *string);

/* How many of the bytes remain when a character that was cut at their end is dropped. */
size_t text_whole_size(const char *data, size_t size);

/* A whole decimal number, nothing before or after it. False leaves `value`. */
bool text_parse_integer(const char *string, int64_t *value);

/* A whole number from 1 to `most`, digits alone. False leaves `value`. */
bool text_parse_positive(struct heddle_text text, int64_t most, int64_t *value);

/* A number with a unit: us, ms, s, m, h, d. A bare number is refused. */
bool text_parse_duration_us(const char *string, int64_t *duration_us);

/* A time by RFC 3339, `2030-01-31T09:00:00Z`, perhaps with a fraction, or with an offset such as
 * +01:00 in place of the Z: in µs since the epoch. */
bool text_parse_time_us(const char *string, int64_t *time_us);

/* A number of bytes, with KiB, MiB or GiB behind it if wanted. */
bool text_parse_bytes(const char *string, int64_t *bytes);

enum { TEXT_WORDS_SIZE = 24 };

/* A duration for people: "3.2 ms", "870 ms", "4.5 s", "3 min", "30 h". Returns `text`. */
const char *text_in_words(double ms, char text[TEXT_WORDS_SIZE]);

#endif
