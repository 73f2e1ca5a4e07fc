/* What a drain has measured, for people or as JSON (drain.h). */
#include "app/bench/drain.h"

#include "app/json_out.h"
#include "app/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "heddle/version.h"

/* A stretch of the measurement, by the operation. */
struct figures {
    double seconds, rate;
    double client_us, processor_us, redis_us, postgres_us; /* CPU time; -1: not known */
};

static struct figures figures_of(const struct meter_reading *from, const struct meter_reading *to,
                                 int64_t span_us, int64_t operations);
static json_t *to_json(const struct figures *figures);
static void print_row(const char *what, const struct figures *figures);
static void print_cost(const char *name, double us);

void drain_print(const struct drain *drain, const struct invocation *invocation,
                 const char *conditions)
{
    const struct bench_plan *plan = &drain->plan;
    const struct options *options = invocation->options;
    const int64_t run_us = drain->run_to.at_us - drain->run_from.at_us;
    const struct figures submit =
        figures_of(&drain->submit_from, &drain->submit_to, drain->submit_us, plan->operations);
    const struct figures run =
        figures_of(&drain->run_from, &drain->run_to, run_us, plan->operations);
    const double queued_bytes =
        plan->is_overlapping
            ? -1
            : (double)(drain->submit_to.redis_bytes - drain->submit_from.redis_bytes) /
                  (double)plan->operations;
    const double others = meter_others(&drain->run_from, &drain->run_to);

    if (invocation->with_json) {
        json_out(json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:o, s:{s:I, s:I, s:I}, s:o, s:f, s:f,"
            " s:f, s:b, s:s, s:s, s:s, s:i}",
            "scenario", plan->name, "operations", (json_int_t)plan->operations, "users",
            (json_int_t)plan->users, "content_bytes", (json_int_t)plan->content_bytes, "burst",
            (json_int_t)plan->burst, "window", (json_int_t)plan->window, "durable",
            (int)plan->is_durable, "processes", (json_int_t)options->processes, "workers",
            (json_int_t)options->workers, "submit", to_json(&submit), "submit_call_us", "p50",
            (json_int_t)drain->call_us[0], "p99", (json_int_t)drain->call_us[1], "p99.9",
            (json_int_t)drain->call_us[2], "run", to_json(&run), "processor_rss_max_mib",
            (double)drain->rss_max_kib / 1024, "redis_bytes_per_queued_operation", queued_bytes,
            "others", others, "verified", (int)drain->is_right, "verdict", drain->verdict,
            "conditions", conditions, "version", heddle_version(), "cores",
            (int)sysconf(_SC_NPROCESSORS_ONLN)));
        return;
    }
    printf("%s: %" PRId64 " operations of %" PRId64 " users, %" PRId64 " bytes, bursts of %" PRId64
           "%s; %" PRId64 " processors x %" PRId64 " workers\n",
           plan->name, plan->operations, plan->users, plan->content_bytes, plan->burst,
           plan->is_durable ? ", durable" : "", options->processes, options->workers);
    print_row("submitted", &submit);
    printf("             calls of %" PRId64 ": p50 %" PRId64 " us, p99 %" PRId64
           " us, p99.9 %" PRId64 " us\n",
           plan->window, drain->call_us[0], drain->call_us[1], drain->call_us[2]);
    print_row(plan->is_overlapping ? "submit+run" : "run", &run);
    printf("memory       processor %.1f MiB at most", (double)drain->rss_max_kib / 1024);
    if (queued_bytes >= 0)
        printf("; Redis %.0f bytes a queued operation", queued_bytes);
    printf("\nverified     %s: %s\n", drain->is_right ? "right" : "WRONG", drain->verdict);
    printf("conditions   Heddle %s; %s; %ld cores", heddle_version(), conditions,
           sysconf(_SC_NPROCESSORS_ONLN));
    if (others >= 0)
        printf(", of which others took %.0f %%", others * 100);
    putchar('\n');
}

static struct figures figures_of(const struct meter_reading *from, const struct meter_reading *to,
                                 int64_t span_us, int64_t operations)
{
    const double count = (double)operations;
    /* A backend that ended meanwhile is counted by the tick, and so a little less than before. */
    const int64_t postgres_us =
        to->postgres_us > from->postgres_us ? to->postgres_us - from->postgres_us : 0;

    return (struct figures){
        .seconds = (double)span_us / 1e6,
        .rate = count * 1e6 / (double)(span_us > 0 ? span_us : 1),
        .client_us = (double)(to->client_us - from->client_us) / count,
        .processor_us = (double)(to->processor_us - from->processor_us) / count,
        .redis_us = (double)(to->redis_us - from->redis_us) / count,
        .postgres_us =
            from->postgres_us >= 0 && to->postgres_us >= 0 ? (double)postgres_us / count : -1,
    };
}

static json_t *to_json(const struct figures *figures)
{
    return json_pack("{s:f, s:f, s:{s:f, s:f, s:f, s:f}}", "seconds", figures->seconds,
                     "operations_per_second", figures->rate, "cpu_us_per_operation", "client",
                     figures->client_us, "processor", figures->processor_us, "redis",
                     figures->redis_us, "postgres", figures->postgres_us);
}

static void print_row(const char *what, const struct figures *figures)
{
    printf("%-12s %.0f/s in %.3f s; CPU us an operation:", what, figures->rate, figures->seconds);
    print_cost("client", figures->client_us);
    print_cost("processor", figures->processor_us);
    print_cost("redis", figures->redis_us);
    print_cost("postgres", figures->postgres_us);
    putchar('\n');
}

static void print_cost(const char *name, double us)
{
    if (us < 0)
        printf(" %s -", name);
    else
        printf(" %s %.2f", name, us);
}
