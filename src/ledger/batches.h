/* Batches in Postgres (sql/0012_batches.sql). Each call is a transaction of its own, on the
 * caller's thread and link. */
#ifndef LEDGER_BATCHES_H
#define LEDGER_BATCHES_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stddef.h>

struct pg_link;

/* What is submitted once a batch has ended; without `op`: nothing. */
struct batch_completion {
    const char *op, *user, *thread, *payload; /* payload: NULL for {} */
    bool even_on_failure;
};

/* `id`: of the completion, empty where there is none. HEDDLE_PERMANENT: Postgres refuses it. */
heddle_status batches_close(struct pg_link *link, const char *name,
                            const struct batch_completion *completion, char id[HEDDLE_ID_SIZE + 1],
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Cancels up to some operations that have not begun; `*count` 0: none is left. */
heddle_status batches_cancel(struct pg_link *link, const char *name, int *count,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Called for each with its row of heddle.batch_status as JSON. */
typedef void batches_found_function(void *argument, const char *json);

/* The batch of this name, whether it is known or not. */
heddle_status batches_show(struct pg_link *link, const char *name, batches_found_function *found,
                           void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Up to `most`, the newest first. */
heddle_status batches_list(struct pg_link *link, int most, batches_found_function *found,
                           void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Up to `most` closed batches of which Postgres knows nothing that has not ended. Texts lie in the
 * arena. */
heddle_status batches_ending(struct pg_link *link, int most, struct arena *arena,
                             const char ***names, size_t *count,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Completes the batch unless something of it has not ended in Postgres. `*answer`, in the arena:
 * "complete", "not yet", or why it can't be. */
heddle_status batches_complete(struct pg_link *link, const char *name, struct arena *arena,
                               const char **answer, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
