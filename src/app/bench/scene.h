/* The Redis and Postgres that a benchmark is run against: whether it may, what it needs there, what
 * it has left, and the end of that. Main thread. */
#ifndef APP_BENCH_SCENE_H
#define APP_BENCH_SCENE_H

#include "app/command.h"

#include <stdbool.h>
#include <stdint.h>

struct bench_plan;
struct pg_link;
struct redis_link;

struct scene {
    struct redis_link *redis;
    struct pg_link *pg;
    unsigned partitions;
    char redis_version[32];
    char text[512]; /* of the last finding: see scene_verify */
};

/* Connects. HEDDLE_FATAL: one of them is not set up. */
heddle_status scene_open(struct scene *scene, const struct invocation *invocation,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;
void scene_close(struct scene *scene);

/* HEDDLE_RETRY, kind too_large: they hold work that is not a benchmark's. */
heddle_status scene_judge(struct scene *scene, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Removes what benchmarks have written in Postgres. */
heddle_status scene_clean(struct scene *scene, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Makes the threads that the messages go to. */
heddle_status scene_seed(struct scene *scene, int64_t users,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Operations that Redis has, in all partitions: one round trip. */
heddle_status scene_queued(struct scene *scene, int64_t *count,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Processors that live. */
heddle_status scene_processors(struct scene *scene, int64_t *count,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Operations of the journal that have not ended. */
heddle_status scene_unfinished(struct scene *scene, int64_t *count,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Every message once, in its thread, each user's in the order of submission; every operation in the
 * ledger, done. What was found stands in scene->text, and true in `is_right` where it is so. */
heddle_status scene_verify(struct scene *scene, int64_t operations, bool *is_right,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same of a corpus, whose operations tell less: all of them ended, done or failed; each user's
 * started in the order of submission. */
heddle_status scene_verify_corpus(struct scene *scene, const struct bench_plan *plan,
                                  bool *is_right, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* In µs, p50, p99, p99.9 and the highest by the ledger: from submission to start, of the first
 * `users`; and what a bundle takes, of the user behind them (0 where there is none). */
heddle_status scene_starts(struct scene *scene, int64_t users, int64_t started_us[4],
                           int64_t bundle_us[4], struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The settings of both servers that a figure means nothing without; `text` has one line. */
heddle_status scene_conditions(struct scene *scene, char *text, size_t size,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
