/* The C client's durable side: operations that Postgres accepts before Redis hears of them, so that
 * they survive the loss of all of Redis.
 *
 * A journal holds one Postgres connection, opened at the first call and again after it was lost; it
 * works behind a pooler. It is not thread-safe: one thread at a time, or one journal a thread. An
 * application with a transaction of its own calls `select heddle.submit(…)` in it instead: then the
 * operation is accepted exactly when that commits. */
#ifndef HEDDLE_JOURNAL_H
#define HEDDLE_JOURNAL_H

#include "heddle/client.h"
#include "heddle/error.h"

#include <stddef.h>

struct heddle_journal;

/* `postgres` is a libpq connection string; copied. `timeout_ms` bounds every call. HEDDLE_FATAL
 * where the string makes no sense. */
heddle_status heddle_journal_new(const char *postgres, int timeout_ms,
                                 struct heddle_journal **journal,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Closes and frees; takes NULL. */
void heddle_journal_free(struct heddle_journal *journal);

/* Submits, up to 1000 in one transaction; one that is refused keeps no other back. A user's
 * operations are accepted in the order in which they stand. `reply` has no effect: call
 * heddle_client_want with the submission's own id before. HEDDLE_OK: every receipt is filled, look
 * at each status; partitions are not. HEDDLE_RETRY: the connection failed, or another one submitted
 * the same; an unknown part was accepted: submit again with the same ids, which repeats nothing. */
heddle_status heddle_journal_submit(struct heddle_journal *journal,
                                    const struct heddle_submission *submissions, size_t count,
                                    struct heddle_receipt *receipts,
                                    struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
