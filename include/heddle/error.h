/* Statuses and errors.
 *
 * A status says what to do next, never what happened; what happened stands in
 * a caller-owned struct heddle_error. Functions of this file are thread-safe
 * as long as two threads do not share one error. */
#ifndef HEDDLE_ERROR_H
#define HEDDLE_ERROR_H

#include <stdbool.h>

#define HEDDLE_MUST_CHECK __attribute__((warn_unused_result))
#define HEDDLE_PRINTF(text, first) __attribute__((format(printf, text, first)))

typedef enum heddle_status {
    HEDDLE_OK,        /* go on */
    HEDDLE_RETRY,     /* nothing took effect; the same call may succeed later */
    HEDDLE_REFUSED,   /* a business answer: final, recorded, not an incident */
    HEDDLE_PERMANENT, /* will fail the same way every time: give up, report */
    HEDDLE_UNKNOWN,   /* a COMMIT whose outcome must be looked up, not assumed */
    HEDDLE_FATAL,     /* this process cannot go on (configuration, version, memory) */
} heddle_status;

/* The kind of a refusal or failure, as clients see it. */
enum heddle_kind {
    HEDDLE_KIND_NONE,
    HEDDLE_KIND_INVALID,   /* 400 */
    HEDDLE_KIND_FORBIDDEN, /* 403 */
    HEDDLE_KIND_NOT_FOUND, /* 404 */
    HEDDLE_KIND_CONFLICT,  /* 409 */
    HEDDLE_KIND_EXPIRED,   /* 410 */
    HEDDLE_KIND_TOO_LARGE, /* 413 */
    HEDDLE_KIND_CANCELLED, /* 499 */
    HEDDLE_KIND_INTERNAL,  /* 500 */
};

struct heddle_error {
    enum heddle_kind kind;
    char where[48];   /* the function or command that failed */
    char sqlstate[6]; /* Postgres' five characters, or empty */
    char text[400];   /* one line, for people; always valid UTF-8 */
};

/* Fills `err` (which may be NULL) and returns `status`, so that a caller can
 * write `return heddle_fail(err, HEDDLE_RETRY, "connect", "…")`. A text that
 * does not fit is cut at a character. */
heddle_status heddle_fail(struct heddle_error *err, heddle_status status, const char *where,
                          const char *format, ...) HEDDLE_PRINTF(4, 5);

/* Fills `err` with a business refusal and returns HEDDLE_REFUSED. */
heddle_status heddle_refuse(struct heddle_error *err, enum heddle_kind kind, const char *format,
                            ...) HEDDLE_PRINTF(3, 4);

/* "invalid", "not_found", …; static text. */
const char *heddle_kind_name(enum heddle_kind kind);

/* The HTTP-like code of a kind: 400, 404, …; 200 for HEDDLE_KIND_NONE. */
int heddle_kind_code(enum heddle_kind kind);

/* The kind with this name, or HEDDLE_KIND_INTERNAL for a name that is unknown. */
enum heddle_kind heddle_kind_from_name(const char *name);

/* "ok", "retry", …; static text, for logs. */
const char *heddle_status_name(heddle_status status);

#endif
