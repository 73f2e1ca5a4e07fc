/* The roster: what each worker of this processor runs, since when, and in which phase.
 *
 * A worker has a *post*, which it keeps up to date; the watchdog and whoever reports look at it
 * from their threads. What it runs is shown on the supervisor's board too, where there is one. */
#ifndef ENGINE_ROSTER_H
#define ENGINE_ROSTER_H

#include "engine/board.h"
#include "queue/claim.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_link;
struct post;
struct roster;

/* Where an operation is on its way; see run.c. In prepare and apply it may be cancelled: what
 * comes after is a decision that was taken. */
enum phase { PHASE_CHECK, PHASE_PREPARE, PHASE_APPLY, PHASE_DECIDE, PHASE_AFTER };

/* `board` is NULL for a processor without supervisor. */
struct roster *roster_new(int post_count, struct board *board);
/* When no worker and no watchdog is left. Takes NULL. */
void roster_free(struct roster *roster);

/* The worker's own, with the link that it works on; borrowed until roster_free. */
struct post *roster_take(struct roster *roster, int number, struct pg_link *link);

/* An operation that a post runs; those of a claim stand side by side, the first one first. */
struct post_entry {
    const struct claim *claim;
    struct claimed_operation *claimed;
    int lane; /* counts the claims */
};

/* By the post's worker, around an operation and at each of its phases. All take NULL: a runner
 * that nobody looks at. */
void post_enter(struct post *post, const struct claim *claim, struct claimed_operation *claimed);
/* The same around a bundle; the entries are borrowed until post_leave. */
void post_enter_bundle(struct post *post, const struct post_entry *entries, size_t count);
/* It is this one of the bundle now; NULL: all of them. */
void post_point(struct post *post, const struct post_entry *entry);
/* Why all that it points at shall end early (enum cancel_cause); NULL without a post. */
const atomic_int *post_cause(const struct post *post);
void post_phase(struct post *post, enum phase phase);
void post_leave(struct post *post);

/* What is seen of a post. */
struct sight {
    uint64_t entry; /* counts what the post runs: tells this from the next */
    size_t count;   /* of operations; id, op and lane are the first one's */
    char id[HEDDLE_ID_SIZE + 1];
    char op[HEDDLE_OP_SIZE_MAX + 1];
    char lane[HEDDLE_USER_SIZE_MAX + 1];
    enum phase phase;
    enum cancel_cause cause;
    int64_t age_us;
};

/* From any thread. False where the post runs nothing. */
bool roster_see(struct roster *roster, int number, struct sight *sight);

/* The same of what the post runs of one lane: `count` operations, whose ids, `most` at most, go to
 * `ids`. False where it runs none of it. From any thread. */
bool roster_see_lane(struct roster *roster, int number, struct heddle_text lane,
                     struct sight *sight, char (*ids)[HEDDLE_ID_SIZE + 1], size_t most);

/* Asks for the early end of what was seen, if it still runs. From any thread. */
void roster_cancel(struct roster *roster, int number, const struct sight *sight,
                   enum cancel_cause cause);

/* Cancels the statement that the post's worker waits for, if its operation shall end early and is
 * in a phase that may be cancelled. Blocks while Postgres is asked. From any thread. */
void roster_interrupt(struct roster *roster, int number);

int roster_count(const struct roster *roster);

/* Logs a line a post. From any thread. */
void roster_report(struct roster *roster);

const char *phase_name(enum phase phase);

#endif
