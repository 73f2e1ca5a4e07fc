/* See meter.h. */
#include "app/bench/meter.h"

#include "app/bench/tally.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/pg.h"
#include "link/redis.h"

/* What /proc says of a process. */
struct status_line {
    char name[32];
    pid_t parent;
    int64_t reaped_us; /* CPU time of its children that have ended */
};

static int64_t info_number(const char *info, const char *name);
static heddle_status read_redis(const struct meter *meter, struct meter_reading *reading,
                                struct heddle_error *err);
static int64_t processors_us(const struct tally *tally);
static int64_t postgres_us(pid_t postmaster);
static int64_t machine_us(void);
static int64_t cpu_us(pid_t pid);
static int64_t clock_us(clockid_t clock);
static bool read_status(pid_t pid, struct status_line *line);

heddle_status meter_init(struct meter *meter, struct redis_link *redis, struct pg_link *pg,
                         struct heddle_error *err)
{
    static const struct heddle_statement statement = {
        "bench_is_local",
        "select coalesce(inet_server_addr() = inet_client_addr(), true)",
        0,
    };
    AUTO_ROWS rows = NULL;
    struct status_line line;

    *meter = (struct meter){.redis = redis};
    heddle_status status = pg_query(pg, &statement, NULL, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    const char *is_local = heddle_rows_text(rows, 0, 0);
    if (is_local && *is_local == 't' && read_status(pg_backend_pid(pg), &line) &&
        strcmp(line.name, "postgres") == 0)
        meter->postmaster = line.parent;
    return HEDDLE_OK;
}

heddle_status meter_read(const struct meter *meter, struct meter_reading *reading,
                         struct heddle_error *err)
{
    heddle_status status = read_redis(meter, reading, err);
    if (status != HEDDLE_OK)
        return status;
    reading->client_us = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    reading->processor_us = meter->tally ? processors_us(meter->tally) : 0;
    reading->postgres_us = meter->postmaster > 0 ? postgres_us(meter->postmaster) : -1;
    reading->machine_us = machine_us();
    reading->at_us = clock_now_us();
    return HEDDLE_OK;
}

int64_t meter_rss_max_kib(const struct tally *tally)
{
    int64_t most = 0;

    for (int i = 0; i < atomic_load(&tally->processor_count) && i < TALLY_PROCESSORS_MAX; i++) {
        char path[64], line[256];
        int64_t kib;
        snprintf(path, sizeof path, "/proc/%d/status", (int)tally->processors[i]);
        FILE *file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file))
            if (sscanf(line, "VmHWM: %" SCNd64, &kib) == 1 && kib > most)
                most = kib;
        if (file)
            fclose(file);
    }
    return most;
}

double meter_others(const struct meter_reading *from, const struct meter_reading *to)
{
    if (from->machine_us < 0 || to->machine_us < 0 || to->at_us <= from->at_us)
        return -1;
    int64_t ours_us = to->client_us + to->processor_us + to->redis_us - from->client_us -
                      from->processor_us - from->redis_us;
    if (from->postgres_us >= 0 && to->postgres_us >= 0)
        ours_us += to->postgres_us - from->postgres_us;
    double all_us = (double)(to->at_us - from->at_us) * (double)sysconf(_SC_NPROCESSORS_ONLN);
    double share = (double)(to->machine_us - from->machine_us - ours_us) / all_us;
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

static heddle_status read_redis(const struct meter *meter, struct meter_reading *reading,
                                struct heddle_error *err)
{
    AUTO_REPLY cpu = NULL;
    AUTO_REPLY memory = NULL;

    heddle_status status = redis_callf(meter->redis, &cpu, err, "INFO", "cpu", NULL);
    if (status == HEDDLE_OK)
        status = redis_callf(meter->redis, &memory, err, "INFO", "memory", NULL);
    if (status != HEDDLE_OK)
        return status;
    const char *text = redis_reply_text(cpu).data;
    reading->redis_us = info_number(text, "used_cpu_sys:") + info_number(text, "used_cpu_user:");
    reading->redis_bytes = info_number(redis_reply_text(memory).data, "used_memory:") / 1000000;
    return HEDDLE_OK;
}

/* A number of INFO, in millionths. */
static int64_t info_number(const char *info, const char *name)
{
    const char *line = strstr(info, name);
    return line ? (int64_t)(strtod(line + strlen(name), NULL) * 1e6) : 0;
}

static int64_t processors_us(const struct tally *tally)
{
    int64_t sum_us = 0;

    for (int i = 0; i < atomic_load(&tally->processor_count) && i < TALLY_PROCESSORS_MAX; i++)
        sum_us += cpu_us(tally->processors[i]);
    return sum_us;
}

/* Its backends, those that have ended, and what runs beside them. */
static int64_t postgres_us(pid_t postmaster)
{
    struct status_line line;
    int64_t sum_us = cpu_us(postmaster);
    DIR *folder = opendir("/proc");

    if (read_status(postmaster, &line))
        sum_us += line.reaped_us;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (isdigit((unsigned char)*entry->d_name) && read_status(pid, &line) &&
            line.parent == postmaster)
            sum_us += cpu_us(pid);
    }
    if (folder)
        closedir(folder);
    return sum_us;
}

static int64_t machine_us(void)
{
    int64_t user, nice, system, idle, wait, interrupt, soft, steal;
    FILE *file = fopen("/proc/stat", "re");

    if (!file)
        return -1;
    int count = fscanf(file,
                       "cpu %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
                       " %" SCNd64 " %" SCNd64,
                       &user, &nice, &system, &idle, &wait, &interrupt, &soft, &steal);
    fclose(file);
    if (count != 8)
        return -1;
    return (user + nice + system + interrupt + soft + steal) * 1000000 / sysconf(_SC_CLK_TCK);
}

static int64_t cpu_us(pid_t pid)
{
    clockid_t clock;
    return clock_getcpuclockid(pid, &clock) == 0 ? clock_us(clock) : 0;
}

static int64_t clock_us(clockid_t clock)
{
    struct timespec time = {0};

    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static bool read_status(pid_t pid, struct status_line *line)
{
    char path[64], text[512];
    int parent;
    long reaped_user, reaped_system;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    const char *name = strchr(text, '('), *behind = strrchr(text, ')');
    if (!name || !behind ||
        sscanf(behind + 1, " %*c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %ld %ld", &parent,
               &reaped_user, &reaped_system) != 3)
        return false;
    snprintf(line->name, sizeof line->name, "%.*s", (int)(behind - name - 1), name + 1);
    line->parent = parent;
    line->reaped_us = (reaped_user + reaped_system) * 1000000 / sysconf(_SC_CLK_TCK);
    return true;
}
