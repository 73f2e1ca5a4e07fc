/* The journal: operations that are accepted when a Postgres transaction commits, before Redis hears
 * of them. On the caller's thread and link, outside any unit of work. */
#ifndef LEDGER_JOURNAL_H
#define LEDGER_JOURNAL_H

#include "base/arena.h"
#include "heddle/client.h"
#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stddef.h>

struct heddle_uow;
struct pg_link;

/* Submits, one receipt each: see heddle_journal_submit. Those without an id get one. */
heddle_status journal_submit(struct pg_link *link, const struct heddle_submission *submissions,
                             size_t count, struct heddle_receipt *receipts,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Submits in a unit of work, without waiting, and fails it where one is refused: what its
 * operations enqueue, each with an id. Nothing but the ends of those comes behind it: it locks lane
 * tails. A user's submissions are accepted in the order in which they stand. */
heddle_status journal_follow_up(struct heddle_uow *uow,
                                const struct heddle_submission *const *submissions, size_t count,
                                struct arena *arena, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* An operation that has not ended; `attempt` counts those it has had. Its texts lie in the arena of
 * the call. */
struct journal_entry {
    int64_t seq;
    bool is_outbound; /* Redis has still to hear of it */
    struct heddle_operation operation;
};

struct journal_page {
    struct journal_entry *entries; /* in the arena of the call */
    size_t count;
};

/* What Redis has still to hear of, behind number `behind`, in the order of submission. Entries
 * whose operation has ended meanwhile have no user. `relayed`, a list `{SEQ,…}` or NULL: what Redis
 * has taken is first removed, in the same exchange. */
heddle_status journal_outbox(struct pg_link *link, const char *relayed, int64_t behind, size_t most,
                             struct arena *arena, struct journal_page *page,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A place in the journal's order: by lanes, in these by class, in that by number. */
struct journal_place {
    const char *lane;
    enum heddle_priority class;
    int64_t seq;
};

/* Unfinished operations behind a place, in the journal's order; without payloads. */
heddle_status journal_unfinished(struct pg_link *link, const struct journal_place *behind,
                                 size_t most, struct arena *arena, struct journal_page *page,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Unfinished operations of a lane's class, whole: from number `from->seq` on, with the one before
 * it, if any, at the front. */
heddle_status journal_lane(struct pg_link *link, const struct journal_place *from, size_t most,
                           struct arena *arena, struct journal_page *page,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Direct operations behind `id` that the ledger knows as unfinished, in the order of ids; without
 * payloads. */
heddle_status journal_adrift(struct pg_link *link, const char *id, size_t most, struct arena *arena,
                             struct journal_page *page, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Redis is to hear again of these: a list of ids, `{ID,…}`. */
heddle_status journal_nudge(struct pg_link *link, const char *ids,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Of operations that halt their lanes in Redis, lists of ids, `{ID,…}`, and of whether they have
 * failed, `{t,f,…}`: sets `is_decided` of those that are not to halt them any more. */
heddle_status journal_find_decided(struct pg_link *link, const char *ids, const char *has_failed,
                                   bool *is_decided, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Number of partitions that Redis must be set up with; 0 where it was never said. */
heddle_status journal_partitions(struct pg_link *link, unsigned *partitions,
                                 int64_t *payload_bytes_max,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status journal_set_partitions(struct pg_link *link, unsigned partitions,
                                     int64_t payload_bytes_max,
                                     struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Up to `most` parked or scheduled operations that are due enter their lanes. `*next_ms`: until the
 * next one is due; `*tick_ms`: until one that recurs is, see ledger/cron.h; INT64_MAX: there is
 * none. */
heddle_status journal_unpark(struct pg_link *link, int most, int64_t *next_ms, int64_t *tick_ms,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Drops the rows of up to `most` idle lanes. */
heddle_status journal_forget_idle(struct pg_link *link, int most, int *forgotten,
                                  struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
