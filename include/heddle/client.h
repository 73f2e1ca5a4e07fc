/* The C client: submit operations to Heddle's queue and wait for their ends.
 *
 * A client holds one Redis connection, opened at the first call and again after
 * it was lost. It is not thread-safe: one thread at a time, or one client a
 * thread. Texts are borrowed for the call. */
#ifndef HEDDLE_CLIENT_H
#define HEDDLE_CLIENT_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stddef.h>
#include <stdint.h>

struct heddle_client;

struct heddle_submission {
    struct heddle_text user;
    struct heddle_text op;
    struct heddle_text thread;   /* may be empty */
    struct heddle_text payload;  /* a JSON object, or empty for {} */
    struct heddle_text id;       /* a UUID; empty: one is made */
    struct heddle_policy policy; /* zero: as the handler says */
    struct heddle_flow flow;     /* zero: at once, with normal priority */
    bool reply;                  /* the result is pushed: needed by heddle_client_await_many */
    bool is_journaled;    /* the journal has its row: set by Heddle's relay, by nobody else */
    int attempts;         /* that it has had: likewise */
    int64_t submitted_us; /* since the epoch; 0: now: likewise */
};

struct heddle_receipt {
    heddle_status status; /* HEDDLE_OK: accepted (again, or for the first time) */
    char id[HEDDLE_ID_SIZE + 1];
    char state[16]; /* "queued", … */
    unsigned partition;
    struct heddle_error error; /* where status is not HEDDLE_OK */
};

/* `redis` is a redis:// or unix:// address; copied. `timeout_ms` bounds every
 * call but the waiting ones. HEDDLE_FATAL where the address makes no sense. */
heddle_status heddle_client_new(const char *redis, int timeout_ms, struct heddle_client **client,
                                struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Closes and frees; takes NULL. */
void heddle_client_free(struct heddle_client *client);

/* Submits in order, in as few round trips as there are partitions and windows;
 * one receipt a submission. HEDDLE_OK: every receipt is filled, look at each
 * status: HEDDLE_REFUSED with its kind and text, HEDDLE_RETRY where Redis is
 * full or not ready. HEDDLE_RETRY: the connection failed and an unknown part
 * was accepted; submit again with the same ids, which repeats nothing. */
heddle_status heddle_client_submit(struct heddle_client *client,
                                   const struct heddle_submission *submissions, size_t count,
                                   struct heddle_receipt *receipts,
                                   struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Asks for the result of an operation that was submitted without `reply`, by heddle.submit for one:
 * fills a receipt for heddle_client_await_many. The state is "unknown" where Redis has not heard of
 * it, or no more: then ask the ledger too, after this call; it may have ended. `user` may be empty:
 * then it is looked for, and HEDDLE_REFUSED, kind not_found, where Redis does not have it. */
heddle_status heddle_client_want(struct heddle_client *client, struct heddle_text user,
                                 const char *id, struct heddle_receipt *receipt,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same for many in one round trip; of the submissions only user and id are looked at.
 * HEDDLE_OK: look at each receipt's status. HEDDLE_RETRY: the connection failed; an unknown part is
 * wanted. */
heddle_status heddle_client_want_many(struct heddle_client *client,
                                      const struct heddle_submission *submissions, size_t count,
                                      struct heddle_receipt *receipts,
                                      struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Takes that back, where nobody waits any more. */
heddle_status heddle_client_unwant(struct heddle_client *client,
                                   const struct heddle_receipt *receipt,
                                   struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Called for each result, in the order of the receipts. `json` is NULL where
 * the time ran out first. */
typedef void heddle_result_function(void *argument, size_t index, const char *json, size_t size);

/* Waits for the results of operations that were submitted with `reply`,
 * `timeout_ms` at most for all of them. HEDDLE_RETRY: the connection failed;
 * results from index `*next` on have not been delivered. */
heddle_status heddle_client_await_many(struct heddle_client *client,
                                       const struct heddle_receipt *receipts, size_t count,
                                       int64_t timeout_ms, heddle_result_function *deliver,
                                       void *argument, size_t *next,
                                       struct heddle_error *err) HEDDLE_MUST_CHECK;

/* What Redis knows of an operation: state ("unknown" where it has forgotten)
 * and result (JSON, or NULL; freed by the caller). `user` may be empty: then
 * the id's own partition is asked, and after it all of them. */
heddle_status heddle_client_status(struct heddle_client *client, struct heddle_text user,
                                   const char *id, char state[16], char **result,
                                   struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
