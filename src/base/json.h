/* JSON at the boundary: is a payload one that Heddle takes? And what others have written. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "heddle/error.h"
#include "heddle/operation.h"

/* HEDDLE_OK where the bytes are one JSON object: RFC 8259 syntax, UTF-8, no
 * NUL (not as \u0000 either), no deeper than HEDDLE_PAYLOAD_DEPTH_MAX, no number beyond a double.
 * Else HEDDLE_REFUSED, kind invalid, saying where and why. Thread-safe; takes no more stack for
 * deep input than for flat. */
heddle_status json_check_payload(struct heddle_text payload,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same, and hands out what was read: the caller frees it by json_decref. Whole numbers beyond
 * 64 bits are in it as reals, and then all of them. */
struct json_t;
heddle_status json_read_payload(struct heddle_text payload, struct json_t **root,
                                struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Members of an object that somebody else has written. A text, "" where it is absent or something
 * else; borrowed. A number, whole or not; 0. */
const char *json_text(const struct json_t *object, const char *name);
double json_number(const struct json_t *object, const char *name);

#endif
