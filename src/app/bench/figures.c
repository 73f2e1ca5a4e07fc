/* See figures.h. */
#include "app/bench/figures.h"

#include "app/json_out.h"
#include "app/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "heddle/version.h"

static void print_cost(const char *name, double us);

struct figures figures_of(const struct meter_reading *from, const struct meter_reading *to,
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

void figures_print(const char *what, const struct figures *figures)
{
    printf("%-12s %.0f/s in %.3f s; CPU us an operation:", what, figures->rate, figures->seconds);
    print_cost("client", figures->client_us);
    print_cost("processor", figures->processor_us);
    print_cost("redis", figures->redis_us);
    print_cost("postgres", figures->postgres_us);
    putchar('\n');
}

json_t *figures_json(const struct figures *figures)
{
    return json_pack("{s:f, s:f, s:{s:f, s:f, s:f, s:f}}", "seconds", figures->seconds,
                     "operations_per_second", figures->rate, "cpu_us_per_operation", "client",
                     figures->client_us, "processor", figures->processor_us, "redis",
                     figures->redis_us, "postgres", figures->postgres_us);
}

void quantiles_print(const char *what, const int64_t quantiles[QUANTILES])
{
    printf("%-20s p50 %" PRId64 " us, p99 %" PRId64 " us, p99.9 %" PRId64 " us, most %" PRId64
           " us\n",
           what, quantiles[0], quantiles[1], quantiles[2], quantiles[3]);
}

json_t *quantiles_json(const int64_t quantiles[QUANTILES])
{
    return json_pack("{s:I, s:I, s:I, s:I}", "p50", (json_int_t)quantiles[0], "p99",
                     (json_int_t)quantiles[1], "p99.9", (json_int_t)quantiles[2], "max",
                     (json_int_t)quantiles[3]);
}

void conditions_print(const struct course *course, const char *conditions, double others)
{
    if (*course->verdict)
        printf("verified     %s: %s\n", course->is_right ? "right" : "WRONG", course->verdict);
    printf("conditions   Heddle %s; %" PRId64 " processors x %" PRId64 " workers; %s; %ld cores",
           heddle_version(), course->invocation->options->processes,
           course->invocation->options->workers, conditions, sysconf(_SC_NPROCESSORS_ONLN));
    if (others >= 0)
        printf(", of which others took %.0f %%", others * 100);
    putchar('\n');
}

void conditions_json(const struct course *course, const char *conditions, double others,
                     json_t *object)
{
    const struct bench_plan *plan = course->plan;
    const struct options *options = course->invocation->options;

    json_object_update_new(
        object,
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:f, s:b, s:s, s:s, s:s, s:i}",
                  "scenario", plan->name, "operations", (json_int_t)plan->operations, "users",
                  (json_int_t)plan->users, "content_bytes", (json_int_t)plan->content_bytes,
                  "burst", (json_int_t)plan->burst, "durable", (int)plan->is_durable, "processes",
                  (json_int_t)options->processes, "workers", (json_int_t)options->workers, "others",
                  others, "verified", (int)course->is_right, "verdict", course->verdict,
                  "conditions", conditions, "version", heddle_version(), "cores",
                  (int)sysconf(_SC_NPROCESSORS_ONLN)));
    json_out(object);
}

static void print_cost(const char *name, double us)
{
    if (us < 0)
        printf(" %s -", name);
    else
        printf(" %s %.2f", name, us);
}
