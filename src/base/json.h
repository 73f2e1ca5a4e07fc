/* JSON at the boundary: is a payload one that Heddle takes? */
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

#endif
