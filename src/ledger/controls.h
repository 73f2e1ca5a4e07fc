/* Controls: what operators have said of users, ops and everything (sql/0010_controls.sql). Each
 * call is a transaction of its own, on the caller's thread and link. */
#ifndef LEDGER_CONTROLS_H
#define LEDGER_CONTROLS_H

#include "base/arena.h"
#include "heddle/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_link;

/* What a control is about: exactly one of them. */
struct control_target {
    const char *user, *op; /* NULL: not it */
    bool is_all;
};

struct control_limit {
    struct control_target target;
    bool is_users;           /* each user, in place of the target */
    const char *rate;        /* such as 10/s; or NULL */
    const char *burst;       /* or NULL */
    const char *concurrency; /* or NULL */
    const char *by;
};

struct control_cap {
    struct control_target target;
    bool is_users, is_bulk; /* each user, or bulk, in place of the target */
    const char *most;
    const char *by;
};

struct control_pause {
    struct control_target target;
    bool refuses;       /* submissions, too */
    const char *reason; /* or NULL */
    const char *by;
};

heddle_status controls_pause(struct pg_link *link, const struct control_pause *pause,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* HEDDLE_REFUSED, kind not_found: it is not paused. */
heddle_status controls_resume(struct pg_link *link, const struct control_target *target,
                              const char *by, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* HEDDLE_PERMANENT, kind invalid: it makes no sense; the text says why. */
heddle_status controls_limit(struct pg_link *link, const struct control_limit *limit,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Takes back all limits of its target. HEDDLE_REFUSED, kind not_found: it has none. */
heddle_status controls_unlimit(struct pg_link *link, const struct control_limit *limit,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

/* HEDDLE_PERMANENT, kind invalid: it makes no sense; the text says why. */
heddle_status controls_cap(struct pg_link *link, const struct control_cap *cap,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* HEDDLE_REFUSED, kind not_found: it has none. */
heddle_status controls_uncap(struct pg_link *link, const struct control_cap *cap,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Called for each, the oldest first, with its row of heddle.paused, limits or caps as JSON. */
typedef void controls_found_function(void *argument, const char *json);
heddle_status controls_list_paused(struct pg_link *link, controls_found_function *found,
                                   void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

heddle_status controls_list_limits(struct pg_link *link, controls_found_function *found,
                                   void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

heddle_status controls_list_caps(struct pg_link *link, controls_found_function *found,
                                 void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Of a user, or of a plan: the other is NULL. `weight`: a number as text; NULL: none of its own any
 * more, and HEDDLE_REFUSED, kind not_found, where it had none. */
struct control_weight {
    const char *user, *plan, *weight, *by;
};
heddle_status controls_weigh(struct pg_link *link, const struct control_weight *weight,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The plan of a user; NULL: none any more, and the same where it had none. */
heddle_status controls_set_plan(struct pg_link *link, const char *user, const char *plan,
                                const char *by, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* As controls_list_paused, with rows of heddle.weights, plans first. */
heddle_status controls_list_weights(struct pg_link *link, controls_found_function *found,
                                    void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The version of the newest; 0: nothing was ever said. */
heddle_status controls_newest(struct pg_link *link, int64_t *version,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A control as the queue is told of it; `value` is JSON, empty where it was taken back. */
struct control {
    int64_t version;
    const char *kind, *key, *value;
};

/* Up to `most` of those behind `version`, in the order of their versions. Their texts lie in the
 * arena. */
heddle_status controls_since(struct pg_link *link, int64_t version, size_t most,
                             struct arena *arena, struct control **controls, size_t *count,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A limit that the partitions have to share: so many tokens, slots or places. */
struct shared_limit {
    const char *kind, *key;
    int64_t total;
    int64_t used; /* of a cap, as Postgres was told last; -1: it was not */
};

/* Those that there are, and a number that is larger than those of all earlier calls; where there
 * are none, 0. Their texts lie in the arena. */
heddle_status controls_shared(struct pg_link *link, struct arena *arena, int64_t *epoch,
                              const struct shared_limit **limits, size_t *count,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Tells Postgres, unless it knows, how many are queued that count for a cap. */
heddle_status controls_note_used(struct pg_link *link, const struct shared_limit *cap, int64_t used,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
