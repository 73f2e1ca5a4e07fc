/* What operators decide about operations: cancelling, and dead letters. The rules stand in
 * sql/0004_ends.sql. Each call is a transaction of its own, on the caller's thread and link. */
#ifndef LEDGER_ENDS_H
#define LEDGER_ENDS_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdint.h>

struct pg_link;

/* "cancelled" in `state` where it takes no effect any more; "running"; "unknown" where the ledger
 * has no row of it; else how it had ended before. */
heddle_status ends_cancel(struct pg_link *link, const char *id, char state[16],
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same for a direct operation that the ledger has no row of. HEDDLE_RETRY: it has one now, or
 * is being executed: ask ends_cancel again. */
heddle_status ends_cancel_direct(struct pg_link *link, const struct heddle_operation *operation,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Which dead letters and halted operations; NULL: all. */
struct ends_filter {
    const char *user, *op;
    int64_t most;
};

/* Called for each, the newest first, with its row of heddle.dead as JSON. */
typedef void ends_found_function(void *argument, const char *json);
heddle_status ends_list(struct pg_link *link, const struct ends_filter *filter,
                        ends_found_function *found, void *argument,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Has it tried again: `new_id` is its own where it halted its lane. HEDDLE_REFUSED, kind not_found:
 * it is no dead letter and halts nothing. */
heddle_status ends_retry(struct pg_link *link, const char *id, char new_id[HEDDLE_ID_SIZE + 1],
                         struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status ends_drop(struct pg_link *link, const char *id,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same with all that the filter finds, `most` of them at most, in the order of their
 * submission. */
heddle_status ends_retry_all(struct pg_link *link, const struct ends_filter *filter, int64_t *count,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status ends_drop_all(struct pg_link *link, const struct ends_filter *filter, int64_t *count,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
