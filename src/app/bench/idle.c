/* See idle.h. A thread that sleeps and wakes by itself shows as a voluntary switch of context. */
#include "app/bench/idle.h"

#include "app/bench/figures.h"
#include "app/bench/tally.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { SETTLE_MS = 2000, THREADS_MAX = 256 };

struct thread_wakes {
    char name[20];
    int64_t id, count;
};

struct wakes {
    size_t thread_count;
    struct thread_wakes threads[THREADS_MAX];
};

struct idle {
    double cpu_percent;   /* of one core, all processors together */
    double wakes;         /* a second, all threads */
    double busiest_wakes; /* a second, of the thread that has most */
    char busiest[20];
    double redis_us; /* CPU time a second */
    double rss_max_mib;
};

static void read_wakes(const struct tally *tally, struct wakes *wakes);
static void read_threads(pid_t pid, struct wakes *wakes);
static void read_thread(pid_t pid, const char *id, struct wakes *wakes);
static void compare_wakes(const struct wakes *from, const struct wakes *to, double seconds,
                          struct idle *idle);
static void print(const struct course *course, const struct idle *idle, const char *conditions,
                  double others);

heddle_status idle_measure(struct course *course, const char *conditions, struct heddle_error *err)
{
    struct meter_reading from, to;
    struct wakes before, after;
    struct idle idle = {0};

    clock_sleep_ms(SETTLE_MS);
    heddle_status status = meter_read(&course->meter, &from, err);
    if (status != HEDDLE_OK)
        return status;
    read_wakes(course->tally, &before);
    clock_sleep_ms(course->plan->seconds * 1000);
    read_wakes(course->tally, &after);
    status = meter_read(&course->meter, &to, err);
    if (status != HEDDLE_OK)
        return status;
    const double seconds = (double)(to.at_us - from.at_us) / 1e6;
    idle.cpu_percent = (double)(to.processor_us - from.processor_us) / 1e4 / seconds;
    idle.redis_us = (double)(to.redis_us - from.redis_us) / seconds;
    idle.rss_max_mib = (double)meter_rss_max_kib(course->tally) / 1024;
    compare_wakes(&before, &after, seconds, &idle);
    course->is_right = true;
    print(course, &idle, conditions, meter_others(&from, &to));
    return HEDDLE_OK;
}

static void read_wakes(const struct tally *tally, struct wakes *wakes)
{
    wakes->thread_count = 0;
    for (int i = 0; i < atomic_load(&tally->processor_count) && i < TALLY_PROCESSORS_MAX; i++)
        read_threads(tally->processors[i], wakes);
}

static void read_threads(pid_t pid, struct wakes *wakes)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (isdigit((unsigned char)*entry->d_name) && wakes->thread_count < THREADS_MAX)
            read_thread(pid, entry->d_name, wakes);
    if (folder)
        closedir(folder);
}

static void read_thread(pid_t pid, const char *id, struct wakes *wakes)
{
    struct thread_wakes thread = {.id = strtol(id, NULL, 10)};
    char path[64], line[256];

    snprintf(path, sizeof path, "/proc/%d/task/%" PRId64 "/status", (int)pid, thread.id);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "Name: %19s", thread.name);
        sscanf(line, "voluntary_ctxt_switches: %" SCNd64, &thread.count);
    }
    if (!file)
        return;
    fclose(file);
    wakes->threads[wakes->thread_count++] = thread;
}

static void compare_wakes(const struct wakes *from, const struct wakes *to, double seconds,
                          struct idle *idle)
{
    for (size_t i = 0; i < to->thread_count; i++) {
        const struct thread_wakes *thread = &to->threads[i];
        double wakes = (double)thread->count;
        for (size_t k = 0; k < from->thread_count; k++)
            if (from->threads[k].id == thread->id)
                wakes -= (double)from->threads[k].count;
        wakes /= seconds;
        idle->wakes += wakes;
        if (wakes >= idle->busiest_wakes) {
            idle->busiest_wakes = wakes;
            memcpy(idle->busiest, thread->name, sizeof idle->busiest);
        }
    }
}

static void print(const struct course *course, const struct idle *idle, const char *conditions,
                  double others)
{
    if (course->invocation->with_json) {
        conditions_json(course, conditions, others,
                        json_pack("{s:I, s:f, s:f, s:f, s:s, s:f, s:f}", "seconds",
                                  (json_int_t)course->plan->seconds, "processor_cpu_percent",
                                  idle->cpu_percent, "wakes_per_second", idle->wakes,
                                  "busiest_thread_wakes_per_second", idle->busiest_wakes,
                                  "busiest_thread", idle->busiest, "redis_cpu_us_per_second",
                                  idle->redis_us, "processor_rss_max_mib", idle->rss_max_mib));
        return;
    }
    printf("idle: %" PRId64 " s\n", course->plan->seconds);
    printf("processor    %.2f %% of a core; %.1f wakes a second, most of them %s with %.1f;"
           " %.1f MiB at most\n",
           idle->cpu_percent, idle->wakes, idle->busiest, idle->busiest_wakes, idle->rss_max_mib);
    printf("redis        %.0f us of CPU time a second\n", idle->redis_us);
    conditions_print(course, conditions, others);
}
