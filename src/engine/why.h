/* Why an operation does not run now, or a user's lane does not go on, and what would release it.
 *
 * Asked of all who know: the queue, the ledger, the processors. On the caller's thread and links.
 */
#ifndef ENGINE_WHY_H
#define ENGINE_WHY_H

#include "heddle/error.h"
#include "heddle/operation.h"

struct json_t;
struct pg_link;
struct redis_link;

struct why_sources {
    struct redis_link *queue;
    struct pg_link *ledger;
    unsigned partitions;
};

struct why_question {
    const char *id;          /* NULL: the next operation of the user's lane */
    struct heddle_text user; /* empty: whoever's `id` is */
};

/* `*answer`, which the caller releases: {id, user, op, state, reason, detail, release} and what
 * belongs to the reason (why_reason.h). An id that nobody knows has the reason `unknown`, a user of
 * whom nothing is queued `idle`, without id. */
heddle_status why_ask(const struct why_sources *sources, const struct why_question *question,
                      struct json_t **answer, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
