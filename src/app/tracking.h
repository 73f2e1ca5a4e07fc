/* What became of an operation: Redis is asked first, then the ledger. */
#ifndef APP_TRACKING_H
#define APP_TRACKING_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stdint.h>

struct heddle_client;
struct heddle_receipt;
struct options;
struct pg_link;

struct tracking {
    const struct options *options;
    struct heddle_client *client; /* borrowed, or NULL: Redis is not asked */
    struct pg_link *ledger;       /* opened at the first question; NULL before */
};

struct tracked {
    char state[16]; /* "done", "queued", …; "unknown" where nobody knows the id */
    char *result;   /* as in CONTRACT 7 where it has ended, else NULL; freed by the caller */
};

void tracking_init(struct tracking *tracking, const struct options *options,
                   struct heddle_client *client);

/* Closes the ledger; the client is the caller's. */
void tracking_done(struct tracking *tracking);

/* One question. HEDDLE_RETRY: whoever had to be asked can't be reached. */
heddle_status tracking_ask(struct tracking *tracking, struct heddle_text user, const char *id,
                           struct tracked *tracked, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The ledger's row as JSON, or `*json` NULL where it has none; freed by the caller. */
heddle_status tracking_ledger_row(struct tracking *tracking, const char *id, char **json,
                                  struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Waits until the operation has ended or `timeout_ms` has passed: then tracked->result is NULL. Its
 * end is pushed; what nobody knows is asked for now and then. A server that was there at the first
 * question may be away for a while. */
heddle_status tracking_wait(struct tracking *tracking, struct heddle_text user, const char *id,
                            int64_t timeout_ms, struct tracked *tracked,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same for a reply that is wanted already, and afterwards no more. */
heddle_status tracking_await(struct tracking *tracking, struct heddle_text user,
                             const struct heddle_receipt *receipt, int64_t timeout_ms,
                             struct tracked *tracked, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The state that a result tells: done, failed, dead or cancelled; "unknown" for
 * what is no result. */
void tracking_state_of(const char *result, size_t size, char state[16]);

#endif
