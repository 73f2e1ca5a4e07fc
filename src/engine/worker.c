/* See worker.h. */
#include "engine/worker.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/thread.h"

#include <stdio.h>
#include <stdlib.h>

enum { OUTAGE_BASE_MS = 20, OUTAGE_CAP_MS = 300 };

struct worker {
    pthread_t thread;
    int number;
    struct runqueue *queue;
    struct runner *runner;
    struct runner_shared *shared;
    struct settler *settler;
    struct board *board; /* NULL: nobody watches */
    void *crash_stack;

    struct mutex mutex;
    struct condition ended;
    bool has_ended GUARDED;
};

static void *worker_body(void *argument);
static void give_back(struct worker *worker, struct claim_list *claims);
static void sit_out(struct worker *worker);

heddle_status worker_new(int number, struct runqueue *queue, struct runner_shared *shared,
                         struct worker **worker, struct heddle_error *err)
{
    struct runner *runner;

    heddle_status status = runner_new(shared, &runner, err);
    if (status != HEDDLE_OK)
        return status;
    *worker = memory_take_zeroed(1, sizeof **worker);
    (*worker)->number = number;
    (*worker)->queue = queue;
    (*worker)->runner = runner;
    (*worker)->shared = shared;
    (*worker)->settler = shared->settler;
    (*worker)->board = shared->options->board;
    runner_show(runner, shared->roster, number);
    (*worker)->crash_stack = memory_take(BOARD_STACK_BYTES);
    mutex_init(&(*worker)->mutex);
    condition_init(&(*worker)->ended);
    return HEDDLE_OK;
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    runner_free(worker->runner);
    free(worker->crash_stack);
    condition_done(&worker->ended);
    mutex_done(&worker->mutex);
    free(worker);
}

heddle_status worker_connect(struct worker *worker, struct heddle_error *err)
{
    return runner_connect(worker->runner, err);
}

void worker_start(struct worker *worker)
{
    char name[16];

    snprintf(name, sizeof name, "heddle-work-%d", worker->number % 100);
    thread_start(&worker->thread, name, worker_body, worker);
}

bool worker_join(struct worker *worker, int64_t deadline_us)
{
    mutex_lock(&worker->mutex);
    while (!worker->has_ended && condition_wait_until(&worker->ended, &worker->mutex, deadline_us))
        ;
    bool has_ended = worker->has_ended;
    mutex_unlock(&worker->mutex);
    if (has_ended)
        thread_join(worker->thread);
    return has_ended;
}

static void *worker_body(void *argument)
{
    struct worker *worker = argument;
    struct claim_list claims;

    if (worker->board)
        board_watch(worker->board, worker->number, worker->crash_stack);
    runqueue_join(worker->queue);
    while (runqueue_pop(worker->queue, runner_appetite(worker->runner), &claims)) {
        runner_execute(worker->runner, &claims);
        give_back(worker, &claims);
        if (!runner_is_connected(worker->runner))
            sit_out(worker);
    }
    if (worker->board)
        board_unwatch();
    mutex_lock(&worker->mutex);
    worker->has_ended = true;
    mutex_unlock(&worker->mutex);
    condition_signal(&worker->ended);
    return NULL;
}

/* What it has not executed goes on here, or where we end elsewhere. */
static void give_back(struct worker *worker, struct claim_list *claims)
{
    if (!atomic_load(&worker->shared->is_stopping))
        runqueue_put_back(worker->queue, claims);
    settler_release_all(worker->settler, claims);
}

/* Without Postgres a worker takes no claim. Where all are in this state, those that wait go back:
 * perhaps another host has better weather. */
static void sit_out(struct worker *worker)
{
    struct heddle_error err;
    struct claim *claim;

    runqueue_leave(worker->queue);
    for (int failures = 1;
         !runqueue_is_closed(worker->queue) && runner_connect(worker->runner, &err) != HEDDLE_OK;
         failures++) {
        while ((claim = runqueue_pop_orphan(worker->queue)))
            settler_release(worker->settler, claim);
        clock_sleep_ms(clock_backoff_ms(failures, OUTAGE_BASE_MS, OUTAGE_CAP_MS));
    }
    runqueue_join(worker->queue);
}
