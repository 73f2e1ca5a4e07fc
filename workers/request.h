/* What several operations ask of their request: the THREAD argument, and the
 * page of a list. Pure, for the check phase; apply may call them again. */
#ifndef WORKERS_REQUEST_H
#define WORKERS_REQUEST_H

#include "heddle/operation.h"

/* HEDDLE_REFUSED, kind invalid, unless THREAD is a UUID. */
heddle_status request_check_thread(const struct heddle_task *task,
                                   struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same, for an operation whose payload has no members. */
heddle_status request_check_thread_only(struct heddle_task *task,
                                        struct heddle_error *err) HEDDLE_MUST_CHECK;

struct request_page {
    int64_t limit;             /* rows at most */
    int64_t offset;            /* rows to leave out; 0 where there is a cursor */
    struct heddle_text cursor; /* as the client gave it; empty where there is none */
};

/* The payload's `limit` (1–100), and `offset` or `cursor`. HEDDLE_REFUSED, kind
 * invalid, for anything else, both of them included. */
heddle_status request_page(struct heddle_task *task, int64_t limit, struct request_page *page,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Cursors are opaque to clients. One of list_threads names the last thread of
 * its page, `t<created_at in µs>_<id>`; one of get_messages its last message,
 * `m<seq>`. HEDDLE_REFUSED, kind invalid, for everything else. */
heddle_status request_thread_cursor(struct heddle_text cursor, int64_t *created_us,
                                    char id[HEDDLE_ID_SIZE + 1],
                                    struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status request_message_cursor(struct heddle_text cursor, int64_t *seq,
                                     struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
