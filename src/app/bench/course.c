/* See course.h. */
#include "app/bench/course.h"

#include "app/bench/scene.h"
#include "app/bench/tally.h"
#include "app/bench/work.h"
#include "app/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum {
    READY_MS = 15000,   /* patience with processors that start */
    STALLED_MS = 60000, /* patience with operations of which none ends */
    LOOK_MS_MAX = 20,   /* between two looks at what is left */
};

static heddle_status await_ready(struct course *course, struct heddle_error *err);
static int64_t short_users(const struct tally *tally, const struct bench_plan *plan);

heddle_status course_begin(struct course *course, const struct invocation *invocation,
                           struct scene *scene, const struct bench_plan *plan, bool is_quiet,
                           struct heddle_error *err)
{
    const int64_t users = plan->users + (plan->beside > 0);
    const int64_t watched = plan->scenario == BENCH_LATENCY ? plan->operations : 0;

    *course = (struct course){
        .invocation = invocation,
        .scene = scene,
        .plan = plan,
        .tally = tally_new((uint32_t)users, (uint32_t)plan->users, (uint64_t)watched),
    };
    if (!course->tally)
        return heddle_fail(err, HEDDLE_FATAL, "bench", "no memory for %" PRId64 " users", users);
    course->fleet = (struct fleet){
        .invocation = invocation,
        .tally = course->tally,
        .is_quiet = is_quiet,
    };
    heddle_status status = meter_init(&course->meter, scene->redis, scene->pg, err);
    course->meter.tally = course->tally;
    if (status == HEDDLE_OK)
        status = scene_clean(scene, err);
    if (status == HEDDLE_OK && plan->is_message)
        status = scene_seed(scene, users, err);
    if (status == HEDDLE_OK)
        status = fleet_start(&course->fleet, err);
    if (status == HEDDLE_OK)
        status = await_ready(course, err);
    return status;
}

heddle_status course_end(struct course *course, heddle_status status, struct heddle_error *err)
{
    if (!fleet_stop(&course->fleet) && status == HEDDLE_OK)
        status = heddle_fail(err, HEDDLE_PERMANENT, "bench", "the processors did not end cleanly");
    tally_free(course->tally);
    course->tally = NULL;
    if (status == HEDDLE_OK && !course->plan->keeps)
        status = scene_clean(course->scene, err);
    return status;
}

/* Looks seldom while much is left, and closely at the end. */
heddle_status course_await_drained(struct course *course, int64_t operations, bool is_durable,
                                   struct heddle_error *err)
{
    int64_t left = INT64_MAX, moved_ms = clock_now_ms();
    const int64_t start_ms = moved_ms;

    for (;;) {
        int64_t queued = 0, unfinished = 0;
        heddle_status status = scene_queued(course->scene, &queued, err);
        if (status == HEDDLE_OK && queued == 0 && is_durable)
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
        const int64_t done = operations - queued;
        int64_t rest_ms = done > 0 ? (now_ms - start_ms) * queued / done / 4 : LOOK_MS_MAX;
        clock_sleep_ms(rest_ms > LOOK_MS_MAX ? LOOK_MS_MAX : rest_ms < 1 ? 1 : rest_ms);
    }
}

heddle_status course_verify(struct course *course, struct heddle_error *err)
{
    const struct bench_plan *plan = course->plan;
    const struct tally *tally = course->tally;
    const int64_t operations = plan->operations + plan->beside;
    heddle_status status;

    if (plan->is_message || plan->corpus) {
        status = plan->corpus ? scene_verify_corpus(course->scene, plan, &course->is_right, err)
                              : scene_verify(course->scene, operations, &course->is_right, err);
        memcpy(course->verdict, course->scene->text, sizeof course->verdict);
        return status;
    }
    const int64_t incomplete = short_users(tally, plan);
    const int64_t runs = atomic_load(&tally->runs), early = atomic_load(&tally->early);
    const int64_t repeated = atomic_load(&tally->repeated), strange = atomic_load(&tally->strange);
    snprintf(course->verdict, sizeof course->verdict,
             "%" PRId64 " runs of %" PRId64 " operations, %" PRId64 " out of order, %" PRId64
             " repeated, %" PRId64 " strange; %" PRId64 " users not complete",
             runs, operations, early, repeated, strange, incomplete);
    course->is_right =
        runs == operations && early == 0 && repeated == 0 && strange == 0 && incomplete == 0;
    return HEDDLE_OK;
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

/* Users whose last operation has not come. The backlog's user stands behind the others. */
static int64_t short_users(const struct tally *tally, const struct bench_plan *plan)
{
    int64_t count = 0;

    for (int64_t user = 1; user <= plan->users; user++)
        count += (int64_t)atomic_load(&tally->last[user]) != work_of_user(plan, user);
    if (plan->beside > 0)
        count += (int64_t)atomic_load(&tally->last[plan->users + 1]) != plan->beside;
    return count;
}
