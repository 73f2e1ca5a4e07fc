/* A processor and its threads: fetcher → run queue → workers → settler, and the beat.
 * Called by the thread that owns the processor; see processor.h. */
#include "engine/processor.h"

#include "base/arena.h"
#include "base/clock.h"
#include "engine/beat.h"
#include "engine/board.h"
#include "engine/bundle.h"
#include "engine/handlers.h"
#include "engine/fetcher.h"
#include "engine/functions.h"
#include "engine/holdings.h"
#include "engine/listener.h"
#include "engine/gauge.h"
#include "engine/reconcile.h"
#include "engine/relay.h"
#include "engine/reporter.h"
#include "engine/roster.h"
#include "engine/runqueue.h"
#include "engine/settler.h"
#include "engine/wakes.h"
#include "engine/watchdog.h"
#include "engine/worker.h"
#include "heddle/log.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What may wait for the workers: as much as they take at once, while they execute as much. */
enum { CLAIMS_AHEAD = 2 * BOARD_LANES_MAX };

struct processor {
    struct processor_options options;
    char incarnation[128];
    struct runner_shared shared;
    struct userlock_table *locks;
    struct runqueue *queue;
    struct settler *settler;
    struct fetcher *fetcher;
    struct wakes *wakes;
    struct beat *beat;
    struct holdings *holdings;
    struct relay *relay;
    struct roster *roster;
    struct watchdog *watchdog;
    struct gauge *gauge;
    struct report_parts report;
    struct reporter *reporter;
    struct worker **workers;
    atomic_bool has_quit;
    bool is_stuck; /* a worker did not end: its memory must stay */
};

static heddle_status inspect_queue(const struct processor *processor, unsigned *partitions,
                                   struct heddle_error *err);
static heddle_status set_up_again(const struct processor *processor, struct redis_link *redis,
                                  struct heddle_error *err);
static struct runqueue *queue_new(struct processor *processor);
static heddle_status build(struct processor *processor, unsigned partitions,
                           struct heddle_error *err);

heddle_status processor_new(const struct processor_options *options, struct processor **processor,
                            struct heddle_error *err)
{
    struct processor *fresh = memory_take_zeroed(1, sizeof *fresh);
    unsigned partitions;

    fresh->options = *options;
    fresh->shared.handlers = handlers_new(options->handlers);
    if (options->board)
        snprintf(fresh->incarnation, sizeof fresh->incarnation, "%s", options->board->incarnation);
    else
        incarnation_name(fresh->incarnation, sizeof fresh->incarnation);
    heddle_status status = inspect_queue(fresh, &partitions, err);
    if (status == HEDDLE_OK)
        status = build(fresh, partitions, err);
    if (status != HEDDLE_OK) {
        processor_free(fresh);
        return status;
    }
    *processor = fresh;
    return HEDDLE_OK;
}

void processor_start(struct processor *processor)
{
    if (processor->options.board && atomic_load(&processor->options.board->is_quiet))
        processor_quiet(processor);
    beat_start(processor->beat);
    /* A quarantine lives for moments: it is no place to lead from. */
    if (!processor->options.is_quarantine)
        relay_start(processor->relay);
    settler_start(processor->settler);
    watchdog_start(processor->watchdog);
    reporter_start(processor->reporter);
    for (int i = 0; i < processor->options.workers; i++)
        worker_start(processor->workers[i]);
    fetcher_start(processor->fetcher);
}

void processor_announce(struct processor *processor)
{
    if (processor->options.board)
        atomic_store(&processor->options.board->is_ready, true);
}

bool processor_is_idle(struct processor *processor)
{
    return fetcher_is_idle(processor->fetcher) && userlock_count(processor->locks) == 0;
}

void processor_quiet(struct processor *processor)
{
    atomic_store(&processor->shared.is_stopping, true);
    fetcher_set_quiet(processor->fetcher, true);
}

void processor_resume(struct processor *processor)
{
    atomic_store(&processor->shared.is_stopping, false);
    fetcher_set_quiet(processor->fetcher, false);
}

void processor_report(struct processor *processor)
{
    roster_report(processor->roster);
}

void processor_quit(struct processor *processor)
{
    atomic_store(&processor->has_quit, true);
    atomic_store(&processor->shared.is_stopping, true);
    watchdog_quit(processor->watchdog);
}

bool processor_has_quit(const struct processor *processor)
{
    return atomic_load(&processor->has_quit);
}

bool processor_drain(struct processor *processor)
{
    const int64_t deadline_us = clock_now_us() + processor->options.drain_ms * 1000;
    struct claim_list rest;

    if (!processor->options.is_quarantine)
        relay_stop(processor->relay);
    fetcher_stop(processor->fetcher);
    struct listener *listener =
        listener_start(processor->wakes, processor->watchdog, processor->reporter);
    runqueue_close(processor->queue, &rest);
    atomic_store(&processor->shared.is_stopping, true);
    settler_release_all(processor->settler, &rest);
    for (int i = 0; i < processor->options.workers; i++)
        if (!worker_join(processor->workers[i], deadline_us))
            processor->is_stuck = true;
    listener_stop(listener);
    watchdog_stop(processor->watchdog);
    bool is_settled = settler_finish(processor->settler, deadline_us);
    beat_stop(processor->beat);
    reporter_stop(processor->reporter);
    return is_settled && !processor->is_stuck;
}

void processor_free(struct processor *processor)
{
    /* A worker that is stuck uses all of this; the process ends soon, and it with it. */
    if (!processor || processor->is_stuck)
        return;
    for (int i = 0; processor->workers && i < processor->options.workers; i++)
        worker_free(processor->workers[i]);
    free(processor->workers);
    fetcher_free(processor->fetcher);
    wakes_free(processor->wakes);
    reporter_free(processor->reporter);
    watchdog_free(processor->watchdog);
    roster_free(processor->roster);
    beat_free(processor->beat);
    relay_free(processor->relay);
    runqueue_free(processor->queue);
    settler_free(processor->settler);
    gauge_free(processor->gauge);
    handlers_free(processor->shared.handlers);
    userlock_table_free(processor->locks);
    holdings_free(processor->holdings);
    free(processor);
}

static heddle_status inspect_queue(const struct processor *processor, unsigned *partitions,
                                   struct heddle_error *err)
{
    const struct processor_options *options = &processor->options;
    struct queue_facts facts;
    struct redis_link *link;

    heddle_status status = redis_new(options->redis, options->redis_timeout_ms, &link, err);
    if (status != HEDDLE_OK)
        return status;
    status = set_up_again(processor, link, err);
    if (status == HEDDLE_OK)
        status = queue_facts_get(link, &facts, err);
    if (status == HEDDLE_OK)
        status = queue_facts_judge(&facts, err);
    *partitions = facts.partitions;
    redis_free(link);
    return status;
}

/* Redis may have lost everything while no processor ran. And what is registered is known before
 * anything is claimed. */
static heddle_status set_up_again(const struct processor *processor, struct redis_link *redis,
                                  struct heddle_error *err)
{
    const struct processor_options *options = &processor->options;
    const struct pg_options pg_options = {
        .conninfo = options->postgres,
        .application_name = "heddle start",
        .connect_timeout_ms = options->connect_timeout_ms,
        .deadline_ms = options->commit_deadline_ms,
    };
    struct pg_link *pg;
    bool is_new, has_changed;

    heddle_status status = pg_new(&pg_options, &pg, err);
    if (status != HEDDLE_OK)
        return status;
    status = pass_set_up(pg, redis, &is_new, err);
    if (status == HEDDLE_OK)
        status = functions_learn(processor->shared.handlers, pg, &has_changed, err);
    pg_free(pg);
    /* Of a journal that was never migrated, the judge of the queue says more. */
    return status == HEDDLE_PERMANENT ? HEDDLE_OK : status;
}

static struct runqueue *queue_new(struct processor *processor)
{
    const struct processor_options *options = &processor->options;
    const size_t workers = (size_t)options->workers;

    /* Without bundles workers take claims one by one. */
    if (options->bundle_max <= 1)
        return runqueue_new(workers * RUNQUEUE_CLAIMS_PER_WORKER, SIZE_MAX, bundle_way,
                            &processor->shared);
    return runqueue_new(workers * RUNQUEUE_CLAIMS_PER_WORKER + CLAIMS_AHEAD,
                        RUNQUEUE_CLAIMS_PER_WORKER * workers * (size_t)options->bundle_max,
                        bundle_way, &processor->shared);
}

static heddle_status build(struct processor *processor, unsigned partitions,
                           struct heddle_error *err)
{
    const struct processor_options *options = &processor->options;
    processor->gauge = gauge_new();
    const struct settler_options settler = {
        options->redis,         options->redis_timeout_ms, partitions,
        processor->incarnation, options->result_ttl_ms,    processor->gauge};
    const struct beat_options beat = {options->redis, options->redis_timeout_ms, partitions,
                                      processor->incarnation, options->lease_ms};
    const struct fetcher_options fetcher = {
        .redis = options->redis,
        .redis_timeout_ms = options->redis_timeout_ms,
        .partitions = partitions,
        .incarnation = processor->incarnation,
        .lease_ms = options->lease_ms,
        .lanes_max = options->claim_lanes_max,
        .operations_max = options->claim_operations_max,
        .user_concurrency = options->user_concurrency,
        .is_quarantine = options->is_quarantine,
    };

    const struct watchdog_options watchdog = {options->soft_deadline_ms, options->hard_deadline_ms,
                                              options->board};

    struct fetcher_parts parts;

    processor->shared.options = options;
    processor->shared.incarnation = processor->incarnation;
    processor->locks = userlock_table_new();
    processor->holdings = holdings_new();
    processor->queue = queue_new(processor);
    processor->roster = roster_new(options->workers, options->board);
    processor->watchdog = watchdog_new(&watchdog, processor->roster, processor->holdings);
    processor->workers = memory_take_zeroed((size_t)options->workers, sizeof *processor->workers);
    heddle_status status = settler_new(&settler, processor->holdings, &processor->settler, err);
    if (status == HEDDLE_OK)
        status = reporter_new(options->redis, options->redis_timeout_ms, &processor->report,
                              &processor->reporter, err);
    if (status == HEDDLE_OK)
        status = wakes_new(options->redis, options->redis_timeout_ms, processor->incarnation,
                           &processor->wakes, err);
    parts = (struct fetcher_parts){
        processor->shared.handlers, processor->queue,    processor->holdings, processor->settler,
        processor->watchdog,        processor->reporter, &processor->relay,   processor->wakes};
    if (status == HEDDLE_OK)
        status = beat_new(&beat, processor->holdings, &processor->beat, err);
    if (status == HEDDLE_OK)
        status = fetcher_new(&fetcher, &parts, &processor->fetcher, err);
    if (status == HEDDLE_OK)
        status = relay_new(options, partitions, processor->shared.handlers, processor->fetcher,
                           &processor->relay, err);
    processor->report =
        (struct report_parts){processor->incarnation, clock_wall_us(),
                              options->is_quarantine, &processor->shared.is_stopping,
                              processor->gauge,       processor->holdings,
                              processor->relay,       processor->roster,
                              processor->queue};
    processor->shared.relay = processor->relay;
    processor->shared.roster = processor->roster;
    processor->shared.locks = processor->locks;
    processor->shared.settler = processor->settler;
    for (int i = 0; status == HEDDLE_OK && i < options->workers; i++)
        status = worker_new(i, processor->queue, &processor->shared, &processor->workers[i], err);
    for (int i = 0; status == HEDDLE_OK && i < options->workers; i++)
        status = worker_connect(processor->workers[i], err);
    return status;
}
