/* See top_frame.h. */
#include "app/top_frame.h"

#include "app/json_out.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/text.h"
#include "engine/report.h"
#include "link/redis.h"
#include "queue/fleet.h"
#include "queue/users.h"

enum { USERS_MAX = 50, PATIENCE_MS = 300 };

static const char *const ends[] = {"done", "failed", "dead", "cancelled"};

enum { ENDS = sizeof ends / sizeof *ends };

static heddle_status walk_users(struct top_source *source, int64_t walk_ms,
                                struct heddle_error *err);
static void note_user(void *argument, struct heddle_text row);
static double backlog_of(const json_t *row);
static double duration_of(const json_t *row);
static json_t *rates_of(const json_t *processors);
static json_t *latency_of(json_t *processors);
static json_t *running_of(const json_t *processors);
static json_t *lanes_of(const struct queue_census *census);

void top_source_init(struct top_source *source, struct redis_link *link, unsigned partitions)
{
    *source = (struct top_source){.link = link, .partitions = partitions};
    source->walk = users_walk_new(link, partitions);
    ranking_init(&source->backlogs, backlog_of, "user", USERS_MAX);
}

void top_source_done(struct top_source *source)
{
    users_walk_free(source->walk);
    ranking_done(&source->backlogs);
    json_decref(source->users);
}

heddle_status top_frame(struct top_source *source, int64_t walk_ms, json_t **frame,
                        struct heddle_error *err)
{
    struct fleet_members fleet = {0};
    struct queue_census census;

    heddle_status status = fleet_find(source->link, source->partitions, &fleet, err);
    if (status == HEDDLE_OK)
        status = fleet_ask(source->link, TEXT(""), PATIENCE_MS, &fleet, err);
    if (status == HEDDLE_OK)
        status = fleet_census(source->link, source->partitions, &census, err);
    if (status == HEDDLE_OK)
        status = walk_users(source, walk_ms, err);
    if (status == HEDDLE_OK) {
        json_t *processors = report_read_all(&fleet);
        json_t *rates = rates_of(processors), *latency = latency_of(processors);
        *frame =
            json_pack("{s:I, s:o, s:o, s:I, s:o, s:o, s:o, s:O}", "at_ms",
                      (json_int_t)(clock_wall_us() / 1000), "operations", rates, "latency_ms",
                      latency, "queued", (json_int_t)census.operations, "lanes", lanes_of(&census),
                      "running", running_of(processors), "processors", processors, "users",
                      source->users ? source->users : source->backlogs.rows);
    }
    fleet_members_done(&fleet);
    return status;
}

static heddle_status walk_users(struct top_source *source, int64_t walk_ms,
                                struct heddle_error *err)
{
    const int64_t deadline_ms = clock_now_ms() + walk_ms;
    heddle_status status = HEDDLE_OK;
    bool is_last = false;

    while (status == HEDDLE_OK && !is_last && clock_now_ms() < deadline_ms)
        status = users_walk_next(source->walk, note_user, source, &is_last, err);
    if (status == HEDDLE_OK && is_last) {
        json_decref(source->users);
        source->users = ranking_take(&source->backlogs);
    }
    return status;
}

static void note_user(void *argument, struct heddle_text row)
{
    struct top_source *source = argument;
    json_t *user = json_loadb(row.data, row.size, 0, NULL);

    if (user)
        ranking_offer(&source->backlogs, user);
}

static double backlog_of(const json_t *row)
{
    return json_number(row, "backlog");
}

static double duration_of(const json_t *row)
{
    return json_number(row, "for_ms");
}

/* Of the whole fleet, a second. */
static json_t *rates_of(const json_t *processors)
{
    json_t *rates = json_object();

    for (int e = 0; e < ENDS; e++) {
        const json_t *processor;
        double rate = 0;
        size_t i;
        json_array_foreach(processors, i, processor)
        {
            const json_t *told = json_object_get(processor, "operations");
            const double seconds = json_number(told, "seconds");
            if (seconds > 0)
                rate += json_number(told, ends[e]) / seconds;
        }
        json_object_set_new(rates, ends[e], json_real(rate));
    }
    return rates;
}

/* The counts of all are added up, and left out of the frame. */
static json_t *latency_of(json_t *processors)
{
    struct histogram histogram = {0};
    json_t *processor;
    size_t i, n;

    json_array_foreach(processors, i, processor)
    {
        json_t *latency = json_object_get(processor, "latency_us"), *count;
        json_array_foreach(json_object_get(latency, "counts"), n, count)
            histogram.counts[histogram_bucket(json_integer_value(json_array_get(count, 0)))] +=
            (uint64_t)json_integer_value(json_array_get(count, 1));
        json_object_del(latency, "counts");
    }
    return json_pack("{s:f, s:f}", "p50", (double)histogram_quantile(&histogram, 0.5) / 1000, "p99",
                     (double)histogram_quantile(&histogram, 0.99) / 1000);
}

static json_t *running_of(const json_t *processors)
{
    const json_t *processor, *worker;
    struct ranking longest;
    size_t i, n;

    ranking_init(&longest, duration_of, "", SIZE_MAX);
    json_array_foreach(processors, i, processor)
        json_array_foreach(json_object_get(processor, "workers"), n, worker)
    {
        if (strcmp(json_text(worker, "state"), "busy") != 0)
            continue;
        json_t *row = json_copy((json_t *)worker);
        json_object_del(row, "state");
        json_object_set(row, "processor", json_object_get(processor, "incarnation"));
        ranking_offer(&longest, row);
    }
    return ranking_take(&longest);
}

static json_t *lanes_of(const struct queue_census *census)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "ready", (json_int_t)census->ready, "claimed",
                     (json_int_t)census->claimed, "waiting", (json_int_t)census->waiting, "halted",
                     (json_int_t)census->halted);
}
