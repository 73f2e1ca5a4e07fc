/* A worker: one thread, one runner, claims from the run queue until it closes. */
#ifndef ENGINE_WORKER_H
#define ENGINE_WORKER_H

#include "engine/runner.h"
#include "engine/runqueue.h"

struct worker;

heddle_status worker_new(int number, struct runqueue *queue, struct runner_shared *shared,
                         struct worker **worker, struct heddle_error *err) HEDDLE_MUST_CHECK;
/* After worker_join, or where it was never started. Takes NULL. */
void worker_free(struct worker *worker);

/* Connects to Postgres: for a start that can't work to fail at once. */
heddle_status worker_connect(struct worker *worker, struct heddle_error *err) HEDDLE_MUST_CHECK;
void worker_start(struct worker *worker);

/* Waits for its end: false where `deadline_us` came first. */
bool worker_join(struct worker *worker, int64_t deadline_us);

#endif
