/* See peer.h. */
#include "peer.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONTENT_BYTES = 200, STALLED_S = 60, WORKERS_MAX = 64 };

static struct {
    struct peer_plan plan;
    const struct peer *peer;
    atomic_uchar *times; /* by operation */
    int64_t *latencies_us;
    atomic_int_fast64_t runs, ended_us;
} the;

static int64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

void peer_fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static size_t make_job(char job[PEER_JOB_BYTES], int64_t i, int64_t sent_us)
{
    int size = snprintf(job, PEER_JOB_BYTES, "%" PRId64 " %" PRId64 " user-%" PRId64 " ", i,
                        sent_us, i / the.plan.burst % the.plan.users + 1);
    memset(job + size, 'x', CONTENT_BYTES - (size_t)size);
    job[CONTENT_BYTES] = '\0';
    return CONTENT_BYTES;
}

void peer_note(const char *job)
{
    char *rest;
    int64_t i = strtoll(job, &rest, 10), sent_us = strtoll(rest, NULL, 10);

    if (i < 0 || i >= the.plan.count)
        peer_fail("job", "not one of ours");
    if (sent_us > 0)
        the.latencies_us[i] = now_us() - sent_us;
    atomic_fetch_add_explicit(&the.times[i], 1, memory_order_relaxed);
    if (atomic_fetch_add(&the.runs, 1) + 1 == the.plan.count)
        atomic_store(&the.ended_us, now_us());
}

static void sleep_until(int64_t until_us)
{
    const struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void submit(void)
{
    const struct peer_plan *plan = &the.plan;
    const bool is_bulk = strcmp(plan->job, "bulk") == 0;
    static char jobs[PEER_WINDOW][PEER_JOB_BYTES];
    void *link = the.peer->connect(plan->socket);
    const int64_t begin_us = now_us() + (plan->rate > 0 ? 200000 : 0);

    for (int64_t i = 0; i < plan->count;) {
        size_t count = 0;
        if (plan->rate > 0)
            sleep_until(begin_us + i * 1000000 / plan->rate);
        do
            make_job(jobs[count++], i++, plan->rate > 0 ? now_us() : 0);
        while (is_bulk && count < PEER_WINDOW && i < plan->count);
        if (is_bulk)
            the.peer->add_all(link, jobs, count);
        else
            the.peer->add(link, jobs[0], strlen(jobs[0]));
    }
    printf("{\"seconds\": %.6f}\n", (double)(now_us() - begin_us) / 1e6);
}

static void *work(void *link)
{
    while (atomic_load(&the.runs) < the.plan.count)
        if (!the.peer->work(link, the.plan.rate > 0) && the.plan.rate == 0)
            break;
    return NULL;
}

static int64_t rss_max_kib(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    int64_t kib = 0;

    while (file && fgets(line, sizeof line, file))
        sscanf(line, "VmHWM: %" SCNd64, &kib);
    if (file)
        fclose(file);
    return kib;
}

static void tell(int64_t started_us)
{
    int64_t once = 0, repeated = 0;
    json_t *latencies = json_array();

    for (int64_t i = 0; i < the.plan.count; i++) {
        once += the.times[i] > 0;
        repeated += the.times[i] > 1;
        if (the.plan.rate > 0)
            json_array_append_new(latencies, json_integer(the.latencies_us[i]));
    }
    json_t *told = json_pack(
        "{s:f, s:I, s:I, s:I, s:I, s:o}", "seconds", (double)(the.ended_us - started_us) / 1e6,
        "runs", (json_int_t)the.runs, "once", (json_int_t)once, "repeated", (json_int_t)repeated,
        "rss_kib", (json_int_t)rss_max_kib(), "latencies_us", latencies);
    json_dumpf(told, stdout, 0);
    putchar('\n');
    json_decref(told);
}

/* A worker that finds nothing has seen the end, where a backlog is worked off. */
static void run(void)
{
    const struct peer_plan *plan = &the.plan;
    pthread_t threads[WORKERS_MAX];
    void *links[WORKERS_MAX];
    size_t count = plan->rate > 0 ? 1 : (size_t)plan->concurrency;

    if (count > the.peer->workers_max)
        count = the.peer->workers_max;
    if (count > WORKERS_MAX)
        count = WORKERS_MAX;
    the.times = calloc((size_t)plan->count, sizeof *the.times);
    the.latencies_us = calloc((size_t)plan->count, sizeof *the.latencies_us);
    if (!the.times || !the.latencies_us)
        peer_fail("memory", "exhausted");
    for (size_t i = 0; i < count; i++)
        links[i] = the.peer->connect(plan->socket);
    puts("{\"ready\": true}");
    fflush(stdout);
    const int64_t started_us = now_us();
    for (size_t i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, work, links[i]) != 0)
            peer_fail("thread", "not started");
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    tell(started_us);
}

int peer_compete(const struct peer *peer, int argc, char **argv)
{
    json_t *plan = argc == 2 ? json_loads(argv[1], 0, NULL) : NULL;
    json_int_t count = 0, users = 1, burst = 1, concurrency = 1, rate = 0;

    if (json_unpack(plan, "{s:s, s:s, s:I, s:I, s:I, s:I, s?I}", "job", &the.plan.job, "socket",
                    &the.plan.socket, "count", &count, "users", &users, "burst", &burst,
                    "concurrency", &concurrency, "rate", &rate) != 0)
        peer_fail("plan", "a JSON object is expected");
    the.peer = peer;
    the.plan.count = count;
    the.plan.users = users;
    the.plan.burst = burst;
    the.plan.concurrency = concurrency;
    the.plan.rate = rate;
    if (strcmp(the.plan.job, "run") == 0)
        run();
    else
        submit();
    json_decref(plan);
    return 0;
}
