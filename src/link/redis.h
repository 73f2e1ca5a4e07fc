/* A connection to one Redis: deadlines, pipelining, errors translated.
 *
 * Confined to one thread. Opened at the first use; after any I/O error or time
 * out it is closed, never reused, and opened again at the next use. The only
 * user of hiredis. */
#ifndef LINK_REDIS_H
#define LINK_REDIS_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stddef.h>
#include <stdint.h>

struct redis_link;
struct redis_reply;

enum redis_type { REDIS_NIL, REDIS_TEXT, REDIS_INTEGER, REDIS_ARRAY, REDIS_STATUS, REDIS_ERROR };

/* `address` is redis://[user:password@]host[:port][/db] or unix:///path[?db=n];
 * copied. HEDDLE_FATAL with a text that names what is wrong with it. */
heddle_status redis_new(const char *address, int timeout_ms, struct redis_link **link,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;
void redis_free(struct redis_link *link);

/* Connects where it is not connected. HEDDLE_RETRY: can't be reached.
 * HEDDLE_FATAL: reached, but it refuses us (password, database). */
heddle_status redis_connect(struct redis_link *link, struct heddle_error *err) HEDDLE_MUST_CHECK;
void redis_close(struct redis_link *link);
bool redis_is_connected(const struct redis_link *link);

/* For poll(2); -1 where it is not connected. */
int redis_fd(const struct redis_link *link);

/* Appends a command to the output buffer, which is sent when it has grown large; arguments are
 * copied. HEDDLE_RETRY: lost; the link is closed. */
heddle_status redis_append(struct redis_link *link, int count, const char *const *arguments,
                           const size_t *sizes, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The next answer, in the order of the commands; sends what was appended first.
 * HEDDLE_OK with an answer of type REDIS_ERROR is possible: see redis_refusal.
 * The reply is the caller's: redis_reply_free. `timeout_ms` 0 means the link's
 * own. HEDDLE_RETRY: lost or timed out; the link is closed. */
heddle_status redis_next(struct redis_link *link, int timeout_ms, struct redis_reply **reply,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Takes an answer only if one has arrived (call it after poll said readable, until
 * `*reply` is NULL). */
heddle_status redis_poll(struct redis_link *link, struct redis_reply **reply,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* One command and its answer; an error answer becomes the status that
 * redis_refusal gives it, and no reply. */
heddle_status redis_call(struct redis_link *link, int count, const char *const *arguments,
                         const size_t *sizes, struct redis_reply **reply,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same for C strings, NULL-terminated. */
heddle_status redis_callf(struct redis_link *link, struct redis_reply **reply,
                          struct heddle_error *err, ...) HEDDLE_MUST_CHECK
    __attribute__((sentinel));

/* HEDDLE_OK where the reply is no error; else the status of the error:
 * `HEDDLE <code> <text>` is HEDDLE_REFUSED with kind invalid, conflict …
 * (code full or paused: HEDDLE_RETRY, kind too_large; version: HEDDLE_FATAL);
 * OOM, LOADING, READONLY, MOVED, CLUSTERDOWN … HEDDLE_RETRY; others HEDDLE_PERMANENT. */
heddle_status redis_refusal(const struct redis_reply *reply,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

void redis_reply_free(struct redis_reply *reply);
void redis_reply_cleanup(struct redis_reply **reply);
#define AUTO_REPLY __attribute__((cleanup(redis_reply_cleanup))) struct redis_reply *

/* Reading replies; all take NULL (REDIS_NIL). Borrowed from the reply. */
enum redis_type redis_reply_type(const struct redis_reply *reply);
struct heddle_text redis_reply_text(const struct redis_reply *reply); /* empty for other types */
int64_t redis_reply_integer(const struct redis_reply *reply); /* also of a numeric text; 0 */
int64_t redis_reply_amount(const struct redis_reply *reply);  /* the same of things: 0 to 10^12 */
size_t redis_reply_count(const struct redis_reply *reply);    /* elements of an array; 0 */
const struct redis_reply *redis_reply_at(const struct redis_reply *reply, size_t index);

#endif
