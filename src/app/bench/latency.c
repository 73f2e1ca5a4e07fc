/* See latency.h. */
#include "app/bench/latency.h"

#include "app/bench/figures.h"
#include "app/bench/load.h"
#include "app/bench/paced.h"
#include "app/bench/scene.h"
#include "app/bench/tally.h"
#include "app/bench/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

/* In µs. */
struct latency {
    struct meter_reading from, to;
    int64_t late[QUANTILES];     /* due to sent: the clients' own */
    int64_t accepted[QUANTILES]; /* sent to accepted */
    int64_t started[QUANTILES];  /* sent to start; of messages by the ledger, from submission */
    int64_t done[QUANTILES];     /* sent to result */
    int64_t due[QUANTILES];      /* due to result */
    int64_t bundle[QUANTILES];   /* of the backlog: what one takes; of messages only */
    int64_t left;                /* of the backlog, at the end */
    double rss_max_mib;
};

static heddle_status queue_backlog(const struct course *course, struct heddle_error *err);
static heddle_status run(struct course *course, struct latency *latency, struct heddle_error *err);
static void take_times(const struct course *course, const struct paced_times *times,
                       struct latency *latency);
static void print(const struct course *course, const struct latency *latency,
                  const char *conditions);
static void print_json(const struct course *course, const struct latency *latency,
                       const char *conditions);

heddle_status latency_measure(struct course *course, const char *conditions,
                              struct heddle_error *err)
{
    const struct bench_plan *plan = course->plan;
    struct latency latency = {0};

    heddle_status status = plan->beside > 0 ? queue_backlog(course, err) : HEDDLE_OK;
    fleet_go(&course->fleet);
    if (status == HEDDLE_OK)
        status = run(course, &latency, err);
    if (status == HEDDLE_OK)
        status = scene_queued(course->scene, &latency.left, err);
    if (status == HEDDLE_OK)
        status =
            course_await_drained(course, plan->operations + plan->beside, plan->is_durable, err);
    latency.rss_max_mib = (double)meter_rss_max_kib(course->tally) / 1024;
    if (status == HEDDLE_OK)
        status = course_verify(course, err);
    if (status == HEDDLE_OK && plan->is_message)
        status = scene_starts(course->scene, plan->users, latency.started, latency.bundle, err);
    if (status != HEDDLE_OK)
        return status;
    if (course->invocation->with_json)
        print_json(course, &latency, conditions);
    else
        print(course, &latency, conditions);
    return HEDDLE_OK;
}

/* Of one user, whose name stands behind the others. */
static heddle_status queue_backlog(const struct course *course, struct heddle_error *err)
{
    struct bench_plan backlog = *course->plan;
    struct load load;

    backlog.operations = backlog.beside;
    backlog.users_before = backlog.users;
    backlog.users = 1;
    return load_submit(course->invocation->options, &backlog, &load, err);
}

static heddle_status run(struct course *course, struct latency *latency, struct heddle_error *err)
{
    struct bench_plan plan = *course->plan;
    const size_t count = (size_t)plan.operations;
    struct heddle_submission *submissions = memory_take(count * sizeof *submissions);
    struct paced_times *times = memory_take_zeroed(count, sizeof *times);
    const struct heddle_submission *made;

    plan.window = plan.operations;
    struct work *work = work_new(&plan);
    work_next(work, &made);
    for (size_t i = 0; i < count; i++) {
        submissions[i] = made[i];
        submissions[i].reply = true;
    }
    const struct paced paced = {
        .options = course->invocation->options,
        .submissions = submissions,
        .count = count,
        .rate = plan.rate,
        .is_durable = plan.is_durable,
        .times = times,
    };
    heddle_status status = meter_read(&course->meter, &latency->from, err);
    if (status == HEDDLE_OK)
        status = paced_run(&paced, err);
    if (status == HEDDLE_OK)
        status = meter_read(&course->meter, &latency->to, err);
    if (status == HEDDLE_OK)
        take_times(course, times, latency);
    work_free(work);
    free(times);
    free(submissions);
    return status;
}

/* Without the first second, in which connections are opened and caches filled. */
static void take_times(const struct course *course, const struct paced_times *all,
                       struct latency *latency)
{
    const struct bench_plan *plan = course->plan;
    const size_t skipped = plan->operations > plan->rate ? (size_t)plan->rate : 0;
    const size_t count = (size_t)plan->operations - skipped;
    const struct paced_times *times = all + skipped;
    int64_t *late = memory_take(5 * count * sizeof *late), *accepted = late + count,
            *started = accepted + count, *done = started + count, *due = done + count;

    for (size_t i = 0; i < count; i++) {
        late[i] = times[i].sent_us - times[i].due_us;
        accepted[i] = times[i].accepted_us - times[i].sent_us;
        started[i] = atomic_load(&course->tally->started_us[skipped + i]) - times[i].sent_us;
        done[i] = times[i].done_us - times[i].sent_us;
        due[i] = times[i].done_us - times[i].due_us;
    }
    take_quantiles(late, count, latency->late);
    take_quantiles(accepted, count, latency->accepted);
    take_quantiles(started, count, latency->started);
    take_quantiles(done, count, latency->done);
    take_quantiles(due, count, latency->due);
    free(late);
}

static struct figures figures(const struct course *course, const struct latency *latency)
{
    return figures_of(&latency->from, &latency->to, latency->to.at_us - latency->from.at_us,
                      course->plan->operations);
}

static void print(const struct course *course, const struct latency *latency,
                  const char *conditions)
{
    const struct bench_plan *plan = course->plan;
    const struct figures told = figures(course, latency);

    printf("latency: %s, %" PRId64 "/s for %" PRId64 " s, %" PRId64 " users%s",
           plan->is_message ? "send_message" : "noop", plan->rate, plan->seconds, plan->users,
           plan->is_durable ? ", durable" : "");
    if (plan->beside > 0)
        printf("; beside %" PRId64 " operations of one user, of which %" PRId64
               " were left at the end",
               plan->beside, latency->left);
    putchar('\n');
    quantiles_print("due to sent", latency->late);
    quantiles_print("sent to accepted", latency->accepted);
    quantiles_print(plan->is_message ? "submitted to start" : "sent to start", latency->started);
    quantiles_print("sent to done", latency->done);
    quantiles_print("due to done", latency->due);
    if (plan->is_message && plan->beside > 0)
        quantiles_print("a bundle beside", latency->bundle);
    figures_print("run", &told);
    printf("memory       processor %.1f MiB at most\n", latency->rss_max_mib);
    conditions_print(course, conditions, meter_others(&latency->from, &latency->to));
}

static void print_json(const struct course *course, const struct latency *latency,
                       const char *conditions)
{
    const struct bench_plan *plan = course->plan;
    const struct figures told = figures(course, latency);

    conditions_json(
        course, conditions, meter_others(&latency->from, &latency->to),
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f}", "op",
                  plan->is_message ? "send_message" : "noop", "rate", (json_int_t)plan->rate,
                  "seconds", (json_int_t)plan->seconds, "beside", (json_int_t)plan->beside,
                  "beside_left", (json_int_t)latency->left, "due_to_sent_us",
                  quantiles_json(latency->late), "sent_to_accepted_us",
                  quantiles_json(latency->accepted), "to_start_us",
                  quantiles_json(latency->started), "sent_to_done_us",
                  quantiles_json(latency->done), "due_to_done_us", quantiles_json(latency->due),
                  "bundle_beside_us", quantiles_json(latency->bundle), "run", figures_json(&told),
                  "processor_rss_max_mib", latency->rss_max_mib));
}
