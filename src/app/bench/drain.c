/* See drain.h. */
#include "app/bench/drain.h"

#include "app/bench/figures.h"
#include "app/bench/load.h"
#include "app/options.h"

#include <inttypes.h>
#include <stdio.h>

struct drain {
    struct meter_reading submit_from, submit_to; /* around the submission of all */
    struct meter_reading run_from, run_to;       /* around their execution */
    struct load load;
    double rss_max_mib, queued_bytes; /* of a processor; in Redis, an operation, or -1 */
};

static void print(const struct course *course, const struct drain *drain, const char *conditions);
static void print_json(const struct course *course, const struct drain *drain,
                       const char *conditions);

heddle_status drain_measure(struct course *course, const char *conditions, struct heddle_error *err)
{
    const struct bench_plan *plan = course->plan;
    struct drain drain = {.queued_bytes = -1};

    heddle_status status = meter_read(&course->meter, &drain.submit_from, err);
    if (status == HEDDLE_OK)
        status = load_submit(course->invocation->options, plan, &drain.load, err);
    if (status == HEDDLE_OK)
        status = meter_read(&course->meter, &drain.submit_to, err);
    drain.run_from = plan->is_overlapping ? drain.submit_from : drain.submit_to;
    fleet_go(&course->fleet);
    if (status == HEDDLE_OK)
        status = course_await_drained(course, plan->operations, plan->is_durable, err);
    if (status == HEDDLE_OK)
        status = meter_read(&course->meter, &drain.run_to, err);
    drain.rss_max_mib = (double)meter_rss_max_kib(course->tally) / 1024;
    if (!plan->is_overlapping)
        drain.queued_bytes = (double)(drain.submit_to.redis_bytes - drain.submit_from.redis_bytes) /
                             (double)plan->operations;
    if (status == HEDDLE_OK)
        status = course_verify(course, err);
    if (status != HEDDLE_OK)
        return status;
    if (course->invocation->with_json)
        print_json(course, &drain, conditions);
    else
        print(course, &drain, conditions);
    return HEDDLE_OK;
}

static struct figures submit_figures(const struct course *course, const struct drain *drain)
{
    return figures_of(&drain->submit_from, &drain->submit_to, drain->load.calls_us,
                      course->plan->operations);
}

static struct figures run_figures(const struct course *course, const struct drain *drain)
{
    return figures_of(&drain->run_from, &drain->run_to, drain->run_to.at_us - drain->run_from.at_us,
                      course->plan->operations);
}

static void print(const struct course *course, const struct drain *drain, const char *conditions)
{
    const struct bench_plan *plan = course->plan;
    const struct figures submit = submit_figures(course, drain), run = run_figures(course, drain);
    char calls[40];

    printf("%s: %" PRId64 " operations of %" PRId64 " users", plan->name, plan->operations,
           plan->users);
    if (!plan->corpus)
        printf(", %" PRId64 " bytes, bursts of %" PRId64, plan->content_bytes, plan->burst);
    puts(plan->is_durable ? ", durable" : "");
    figures_print("submitted", &submit);
    snprintf(calls, sizeof calls, "calls of %" PRId64, plan->window);
    quantiles_print(calls, drain->load.call_us);
    figures_print(plan->is_overlapping ? "submit+run" : "run", &run);
    printf("memory       processor %.1f MiB at most", drain->rss_max_mib);
    if (drain->queued_bytes >= 0)
        printf("; Redis %.0f bytes a queued operation", drain->queued_bytes);
    putchar('\n');
    conditions_print(course, conditions, meter_others(&drain->run_from, &drain->run_to));
}

static void print_json(const struct course *course, const struct drain *drain,
                       const char *conditions)
{
    const struct figures submit = submit_figures(course, drain), run = run_figures(course, drain);

    conditions_json(course, conditions, meter_others(&drain->run_from, &drain->run_to),
                    json_pack("{s:I, s:o, s:o, s:o, s:f, s:f}", "window",
                              (json_int_t)course->plan->window, "submit", figures_json(&submit),
                              "submit_call_us", quantiles_json(drain->load.call_us), "run",
                              figures_json(&run), "processor_rss_max_mib", drain->rss_max_mib,
                              "redis_bytes_per_queued_operation", drain->queued_bytes));
}
