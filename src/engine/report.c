/* See report.h. */
#include "engine/report.h"

#include "base/clock.h"
#include "base/text.h"
#include "heddle/version.h"
#include "queue/fleet.h"

#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

static json_t *operations_of(const struct gauge_reading *reading);
static json_t *latency_of(const struct histogram *histogram);
static json_t *workers_of(const struct report_parts *parts, int64_t now_us);
static json_t *lane_of(const struct report_parts *parts, struct heddle_text lane, int64_t now_us);
static void set_times(json_t *object, const struct sight *sight, int64_t now_us);

char *report_write(const struct report_parts *parts, const char *lane)
{
    const int64_t now_us = clock_wall_us();
    struct gauge_reading reading;
    char host[65] = "";

    gethostname(host, sizeof host - 1);
    gauge_read(parts->gauge, &reading);
    json_t *report = json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "incarnation",
        parts->incarnation, "host", host, "pid", (int)getpid(), "version", HEDDLE_VERSION, "state",
        atomic_load(parts->is_quiet) ? "quiet" : "running", "quarantine", parts->is_quarantine,
        "leads", relay_is_leader(parts->relay), "started_ms", (json_int_t)(parts->start_us / 1000),
        "at_ms", (json_int_t)(now_us / 1000), "claims", (json_int_t)holdings_count(parts->holdings),
        "queued", (json_int_t)runqueue_count(parts->queue), "operations", operations_of(&reading),
        "latency_us", latency_of(&reading.latency_us), "workers", workers_of(parts, now_us));
    if (*lane)
        json_object_set_new(report, "lane", lane_of(parts, text_of(lane), now_us));
    char *text = json_dumps(report, JSON_COMPACT);
    json_decref(report);
    return text;
}

json_t *report_read_all(const struct fleet_members *fleet)
{
    json_t *processors = json_array();

    for (size_t i = 0; i < fleet->count; i++) {
        const struct fleet_member *member = &fleet->members[i];
        json_t *processor = member->report ? json_loads(member->report, 0, NULL) : NULL;
        if (!processor)
            processor = json_pack("{s:s, s:s}", "incarnation", member->incarnation, "state",
                                  member->lease_left_ms < 0 ? "late" : "silent");
        json_array_append_new(processors, processor);
    }
    return processors;
}

static json_t *operations_of(const struct gauge_reading *reading)
{
    return json_pack("{s:i, s:I, s:I, s:I, s:I}", "seconds", reading->seconds, "done",
                     (json_int_t)reading->done, "failed", (json_int_t)reading->failed, "dead",
                     (json_int_t)reading->dead, "cancelled", (json_int_t)reading->cancelled);
}

static json_t *latency_of(const struct histogram *histogram)
{
    json_t *counts = json_array();

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (histogram->counts[i] > 0)
            json_array_append_new(counts, json_pack("[I, I]", (json_int_t)histogram_most(i),
                                                    (json_int_t)histogram->counts[i]));
    return json_pack("{s:I, s:I, s:o}", "p50", (json_int_t)histogram_quantile(histogram, 0.5),
                     "p99", (json_int_t)histogram_quantile(histogram, 0.99), "counts", counts);
}

static json_t *workers_of(const struct report_parts *parts, int64_t now_us)
{
    json_t *workers = json_array();

    for (int i = 0; i < roster_count(parts->roster); i++) {
        struct sight sight;
        json_t *worker = json_pack("{s:i, s:s}", "number", i, "state", "idle");
        if (roster_see(parts->roster, i, &sight)) {
            json_object_update_new(worker,
                                   json_pack("{s:s, s:s, s:s, s:s, s:I, s:b}", "state", "busy",
                                             "id", sight.id, "op", sight.op, "user", sight.lane,
                                             "operations", (json_int_t)sight.count, "cancelled",
                                             sight.cause != CANCEL_NONE));
            set_times(worker, &sight, now_us);
        }
        json_array_append_new(workers, worker);
    }
    return workers;
}

static json_t *lane_of(const struct report_parts *parts, struct heddle_text lane, int64_t now_us)
{
    char ids[BOARD_LANES_MAX][HEDDLE_ID_SIZE + 1];
    json_t *running = json_array();
    struct sight sight;

    for (int i = 0; i < roster_count(parts->roster); i++) {
        if (!roster_see_lane(parts->roster, i, lane, &sight, ids, BOARD_LANES_MAX))
            continue;
        json_t *list = json_array();
        for (size_t n = 0; n < sight.count && n < BOARD_LANES_MAX; n++)
            json_array_append_new(list, json_string(ids[n]));
        json_t *run = json_pack("{s:i, s:s, s:o}", "worker", i, "op", sight.op, "ids", list);
        set_times(run, &sight, now_us);
        json_array_append_new(running, run);
    }
    return json_pack("{s:s, s:I, s:o}", "user", lane.data, "operations",
                     (json_int_t)holdings_of_lane(parts->holdings, lane), "running", running);
}

static void set_times(json_t *object, const struct sight *sight, int64_t now_us)
{
    json_object_update_new(object,
                           json_pack("{s:s, s:I, s:I}", "phase", phase_name(sight->phase),
                                     "since_ms", (json_int_t)((now_us - sight->age_us) / 1000),
                                     "for_ms", (json_int_t)(sight->age_us / 1000)));
}
