/* See drain.h. */
#include "app/bench/drain.h"

#include "app/bench/fleet.h"
#include "app/bench/scene.h"
#include "app/bench/tally.h"
#include "app/bench/work.h"
#include "app/door.h"
#include "app/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"

enum {
    READY_MS = 15000,   /* patience with processors that start */
    STALLED_MS = 60000, /* patience with operations of which none ends */
    LOOK_MS_MAX = 20,   /* between two looks at what is left */
};

/* What one measurement needs. */
struct course {
    const struct invocation *invocation;
    struct scene *scene;
    struct drain *drain;
    struct tally *tally;
    struct fleet fleet;
    struct meter meter;
};

static heddle_status measure(struct course *course, struct heddle_error *err);
static heddle_status await_ready(struct course *course, struct heddle_error *err);
static heddle_status submit_all(struct course *course, struct heddle_error *err);
static heddle_status submit_window(struct door *door, const struct heddle_submission *submissions,
                                   size_t count, struct heddle_receipt *receipts,
                                   struct heddle_error *err);
static heddle_status await_drained(struct course *course, struct heddle_error *err);
static heddle_status verify(struct course *course, struct heddle_error *err);
static void take_quantiles(int64_t *values, size_t count, int64_t quantiles[3]);

heddle_status drain_measure(const struct invocation *invocation, struct scene *scene,
                            struct drain *drain, struct heddle_error *err)
{
    const bool is_message = drain->plan.scenario == BENCH_SEND_MESSAGE;
    struct course course = {
        .invocation = invocation,
        .scene = scene,
        .drain = drain,
        .tally = tally_new((uint32_t)drain->plan.users),
    };

    if (!course.tally)
        return heddle_fail(err, HEDDLE_FATAL, "bench", "no memory for %" PRId64 " users",
                           drain->plan.users);
    course.fleet = (struct fleet){
        .invocation = invocation,
        .tally = course.tally,
        .is_quiet = !drain->plan.is_overlapping,
    };
    heddle_status status = meter_init(&course.meter, scene->redis, scene->pg, err);
    course.meter.tally = course.tally;
    if (status == HEDDLE_OK)
        status = scene_clean(scene, err);
    if (status == HEDDLE_OK && is_message)
        status = scene_seed(scene, &drain->plan, err);
    if (status == HEDDLE_OK)
        status = measure(&course, err);
    if (!fleet_stop(&course.fleet) && status == HEDDLE_OK)
        status = heddle_fail(err, HEDDLE_PERMANENT, "bench", "the processors did not end cleanly");
    tally_free(course.tally);
    if (status == HEDDLE_OK && !drain->plan.keeps)
        status = scene_clean(scene, err);
    return status;
}

static heddle_status measure(struct course *course, struct heddle_error *err)
{
    struct drain *drain = course->drain;
    heddle_status status = fleet_start(&course->fleet, err);

    if (status == HEDDLE_OK)
        status = await_ready(course, err);
    if (status == HEDDLE_OK)
        status = meter_read(&course->meter, &drain->submit_from, err);
    if (status == HEDDLE_OK)
        status = submit_all(course, err);
    if (status == HEDDLE_OK)
        status = meter_read(&course->meter, &drain->submit_to, err);
    drain->run_from = drain->plan.is_overlapping ? drain->submit_from : drain->submit_to;
    fleet_go(&course->fleet);
    if (status == HEDDLE_OK)
        status = await_drained(course, err);
    if (status == HEDDLE_OK)
        status = meter_read(&course->meter, &drain->run_to, err);
    drain->rss_max_kib = meter_rss_max_kib(course->tally);
    return status == HEDDLE_OK ? verify(course, err) : status;
}

static heddle_status await_ready(struct course *course, struct heddle_error *err)
{
    const int64_t wanted = course->invocation->options->processes;
    const int64_t until_ms = clock_now_ms() + READY_MS;
    heddle_status status = HEDDLE_OK;
    int64_t count = 0;

    while (status == HEDDLE_OK && count < wanted) {
        if (!fleet_is_alive(&course->fleet))
            return heddle_fail(err, HEDDLE_PERMANENT, "bench", "the processors did not start");
        if (clock_now_ms() > until_ms)
            return heddle_fail(err, HEDDLE_PERMANENT, "bench",
                               "%" PRId64 " of %" PRId64 " processors have started", count, wanted);
        clock_sleep_ms(LOOK_MS_MAX);
        status = scene_processors(course->scene, &count, err);
    }
    return status;
}

static heddle_status submit_all(struct course *course, struct heddle_error *err)
{
    struct drain *drain = course->drain;
    const size_t calls_max = (size_t)(drain->plan.operations / drain->plan.window) + 1;
    struct heddle_receipt *receipts = memory_take((size_t)drain->plan.window * sizeof *receipts);
    int64_t *calls_us = memory_take(calls_max * sizeof *calls_us);
    struct work *work = work_new(&drain->plan);
    const struct heddle_submission *submissions;
    struct door door = {0};
    size_t calls = 0, count;

    heddle_status status =
        door_open(&door, course->invocation->options, drain->plan.is_durable, err);
    while (status == HEDDLE_OK && (count = work_next(work, &submissions)) > 0) {
        int64_t start_us = clock_now_us();
        status = submit_window(&door, submissions, count, receipts, err);
        calls_us[calls] = clock_now_us() - start_us;
        drain->submit_us += calls_us[calls++];
    }
    if (status == HEDDLE_OK)
        take_quantiles(calls_us, calls, drain->call_us);
    door_close(&door);
    work_free(work);
    free(calls_us);
    free(receipts);
    return status;
}

static heddle_status submit_window(struct door *door, const struct heddle_submission *submissions,
                                   size_t count, struct heddle_receipt *receipts,
                                   struct heddle_error *err)
{
    heddle_status status = door_submit(door, submissions, count, receipts, err);

    for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
        if (receipts[i].status != HEDDLE_OK) {
            *err = receipts[i].error;
            status = receipts[i].status;
        }
    return status;
}

/* Looks seldom while much is left, and closely at the end. */
static heddle_status await_drained(struct course *course, struct heddle_error *err)
{
    int64_t left = INT64_MAX, moved_ms = clock_now_ms();
    const int64_t start_ms = moved_ms;

    for (;;) {
        int64_t queued = 0, unfinished = 0;
        heddle_status status = scene_queued(course->scene, &queued, err);
        if (status == HEDDLE_OK && queued == 0 && course->drain->plan.is_durable)
            status = scene_unfinished(course->scene, &unfinished, err);
        if (status != HEDDLE_OK || queued + unfinished == 0)
            return status;
        if (!fleet_is_alive(&course->fleet))
            return heddle_fail(err, HEDDLE_PERMANENT, "bench", "the processors have ended");
        const int64_t now_ms = clock_now_ms();
        if (queued + unfinished < left)
            moved_ms = now_ms;
        left = queued + unfinished;
        if (now_ms - moved_ms > STALLED_MS)
            return heddle_fail(err, HEDDLE_PERMANENT, "bench",
                               "%" PRId64 " operations are left, and none has ended for %d s", left,
                               STALLED_MS / 1000);
        const int64_t done = course->drain->plan.operations - queued;
        int64_t rest_ms = done > 0 ? (now_ms - start_ms) * queued / done / 4 : LOOK_MS_MAX;
        clock_sleep_ms(rest_ms > LOOK_MS_MAX ? LOOK_MS_MAX : rest_ms < 1 ? 1 : rest_ms);
    }
}

static heddle_status verify(struct course *course, struct heddle_error *err)
{
    struct drain *drain = course->drain;
    const struct tally *tally = course->tally;
    int64_t short_users = 0;

    if (drain->plan.scenario == BENCH_SEND_MESSAGE) {
        heddle_status status = scene_verify(course->scene, &drain->plan, &drain->is_right, err);
        memcpy(drain->verdict, course->scene->text, sizeof drain->verdict);
        return status;
    }
    for (int64_t user = 1; user <= drain->plan.users; user++)
        short_users += (int64_t)atomic_load(&tally->last[user]) != work_of_user(&drain->plan, user);
    const int64_t runs = atomic_load(&tally->runs), early = atomic_load(&tally->early);
    const int64_t repeated = atomic_load(&tally->repeated), strange = atomic_load(&tally->strange);
    snprintf(drain->verdict, sizeof drain->verdict,
             "%" PRId64 " runs of %" PRId64 " operations, %" PRId64 " out of order, %" PRId64
             " repeated, %" PRId64 " strange; %" PRId64 " users not complete",
             runs, drain->plan.operations, early, repeated, strange, short_users);
    drain->is_right = runs == drain->plan.operations && early == 0 && repeated == 0 &&
                      strange == 0 && short_users == 0;
    return HEDDLE_OK;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void take_quantiles(int64_t *values, size_t count, int64_t quantiles[3])
{
    static const double shares[3] = {0.5, 0.99, 0.999};

    qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < 3 && count > 0; i++)
        quantiles[i] = values[(size_t)((double)(count - 1) * shares[i])];
}
