/* A processor for the chaos harness, whose handlers leave traces which show a repetition, a
 * loss or a wrong order: see chaos.sql. Otherwise as those of `heddle run`, signals and exit codes
 * included.
 *
 *   heddle-chaos [--workers N] [--lease MS] [--patience MS] [--supervised]
 *               [--strands N] [--idle MS]
 *
 * --supervised puts a supervisor above it. --patience bounds every answer of Redis and of Postgres.
 * --strands is user_concurrency, --idle is user_idle.
 * Operations are chaos_work, which go alone, chaos_step, which are bundled in savepoints, and
 * chaos_set, which have a form for sets. What one does stands in its payload:
 *
 *   n        recorded
 *   ms       how long the transaction takes at least
 *   outside  how long prepare of chaos_work takes at least, in ms
 *   fails    attempts that fail in a way that passes
 *   refuse   true: refused after the effects, which must not stay
 *   follow   id of a chaos_step of the same user, which is enqueued with the same n */
#include "probe_life.h"

#include "heddle/client.h"
#include "heddle/uow.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DURATION_MS_MAX = 60000, FAILS_MAX = 100 };

static const struct heddle_statement record_statement = {
    "chaos_record",
    "insert into chaos.effects (lane, id, n, attempt, pid)"
    " values ($1, $2::uuid, $3::int, $4::int, $5::int)",
    5};
static const struct heddle_statement count_statement = {
    "chaos_count",
    "insert into chaos.counters (lane, count) values ($1, 1)"
    " on conflict (lane) do update set count = counters.count + 1",
    1};
static const struct heddle_statement sleep_statement = {"chaos_sleep",
                                                        "select pg_sleep($1::float8 / 1000)", 1};
static const struct heddle_statement fail_statement = {"chaos_fail",
                                                       "select chaos.fail($1::int, $2::int)", 2};
static const struct heddle_statement leave_statement = {
    "chaos_leave", "update chaos.effects set left_at = clock_timestamp() where id = $1::uuid", 1};

static const struct heddle_statement record_set_statement = {
    "chaos_record_set",
    "insert into chaos.effects (lane, id, n, attempt, pid)"
    " select lane, id, n::int, attempt::int, pid::int"
    " from unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])"
    " with ordinality as e (lane, id, n, attempt, pid, place) order by place",
    5};
static const struct heddle_statement count_set_statement = {
    "chaos_count_set",
    "insert into chaos.counters (lane, count) select lane, count(*) from unnest($1::text[]) as e "
    "(lane)"
    " group by lane on conflict (lane) do update set count = counters.count + excluded.count",
    1};
static const struct heddle_statement leave_set_statement = {
    "chaos_leave_set",
    "update chaos.effects set left_at = clock_timestamp() where id = any ($1::uuid[])", 1};

static heddle_status member(struct heddle_task *task, const char *name, int64_t most,
                            int64_t *value, struct heddle_error *err)
{
    bool found;

    *value = 0;
    return heddle_payload_integer(task, name, 0, most, value, &found, err);
}

static const char *number(struct heddle_task *task, int64_t value)
{
    return heddle_task_format(task, "%lld", (long long)value);
}

static heddle_status prepare(struct heddle_task *task, struct heddle_error *err)
{
    int64_t duration_ms;
    heddle_status status = member(task, "outside", DURATION_MS_MAX, &duration_ms, err);

    if (status == HEDDLE_OK && duration_ms > 0) {
        struct timespec left = {duration_ms / 1000, duration_ms % 1000 * 1000000};
        while (nanosleep(&left, &left) != 0)
            continue;
    }
    return status;
}

static heddle_status follow(struct heddle_task *task, int64_t n, struct heddle_error *err)
{
    const char *payload = heddle_task_format(task, "{\"n\":%lld}", (long long)n);
    struct heddle_submission next = {.user = heddle_task_operation(task)->user,
                                     .op = {"chaos_step", strlen("chaos_step")},
                                     .payload = {payload, strlen(payload)}};
    bool found = false;
    heddle_status status = heddle_payload_text(task, "follow", &next.id, &found, err);

    return status == HEDDLE_OK && found ? heddle_task_enqueue(task, &next, NULL, err) : status;
}

/* No branch between the statements: they may all be on the wire at once. */
static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    const struct heddle_operation *operation = heddle_task_operation(task);
    int64_t n, duration_ms, fails;
    bool is_refused = false, found;

    heddle_status status = member(task, "n", INT32_MAX, &n, err);
    if (status == HEDDLE_OK)
        status = member(task, "ms", DURATION_MS_MAX, &duration_ms, err);
    if (status == HEDDLE_OK)
        status = member(task, "fails", FAILS_MAX, &fails, err);
    if (status == HEDDLE_OK)
        status = heddle_payload_boolean(task, "refuse", &is_refused, &found, err);
    if (status == HEDDLE_OK)
        status = follow(task, n, err);
    if (status != HEDDLE_OK)
        return status;

    const char *const effect[] = {operation->user.data, operation->id, number(task, n),
                                  number(task, operation->attempt), number(task, getpid())};
    const char *const pause[] = {number(task, duration_ms)};
    const char *const failure[] = {number(task, operation->attempt), number(task, fails)};
    const char *const id[] = {operation->id};
    status = heddle_uow_send(uow, &record_statement, effect, err);
    if (status == HEDDLE_OK)
        status = heddle_uow_send(uow, &count_statement, effect, err);
    if (status == HEDDLE_OK && duration_ms > 0)
        status = heddle_uow_send(uow, &sleep_statement, pause, err);
    if (status == HEDDLE_OK && fails > 0)
        status = heddle_uow_send(uow, &fail_statement, failure, err);
    if (status == HEDDLE_OK)
        status = heddle_uow_send(uow, &leave_statement, id, err);
    if (status == HEDDLE_OK && is_refused)
        status = heddle_refuse(err, HEDDLE_KIND_CONFLICT, "refused as it was told");
    return status;
}

/* The same for all of them; one that fails fails them all, so that each is tried in a savepoint. */
static heddle_status apply_many(struct heddle_task *const *tasks, size_t count,
                                struct heddle_uow *uow, struct heddle_error *err)
{
    enum { LANES, IDS, NUMBERS, ATTEMPTS, PIDS, COLUMNS };
    static const enum heddle_array_type types[COLUMNS] = {HEDDLE_ARRAY_TEXT, HEDDLE_ARRAY_UUID,
                                                          HEDDLE_ARRAY_BIGINT, HEDDLE_ARRAY_BIGINT,
                                                          HEDDLE_ARRAY_BIGINT};
    struct heddle_array *columns[COLUMNS];
    int64_t longest_ms = 0, n, duration_ms, fails;
    heddle_status status = HEDDLE_OK;

    for (int c = 0; c < COLUMNS; c++)
        columns[c] = heddle_array_new(tasks[0], types[c]);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        const struct heddle_operation *operation = heddle_task_operation(tasks[i]);
        bool is_refused = false, found;
        status = member(tasks[i], "n", INT32_MAX, &n, err);
        if (status == HEDDLE_OK)
            status = member(tasks[i], "ms", DURATION_MS_MAX, &duration_ms, err);
        if (status == HEDDLE_OK)
            status = member(tasks[i], "fails", FAILS_MAX, &fails, err);
        if (status == HEDDLE_OK)
            status = heddle_payload_boolean(tasks[i], "refuse", &is_refused, &found, err);
        if (status == HEDDLE_OK && operation->attempt <= fails)
            status = heddle_fail(err, HEDDLE_RETRY, "chaos_set", "one of them is not to go yet");
        if (status == HEDDLE_OK && duration_ms > longest_ms)
            longest_ms = duration_ms;
        if (is_refused) {
            heddle_task_refuse(tasks[i], HEDDLE_KIND_CONFLICT, "refused as it was told");
            continue;
        }
        if (status == HEDDLE_OK)
            status = follow(tasks[i], n, err);
        heddle_array_add(columns[LANES], operation->user.data);
        heddle_array_add(columns[IDS], operation->id);
        heddle_array_add_number(columns[NUMBERS], n);
        heddle_array_add_number(columns[ATTEMPTS], operation->attempt);
        heddle_array_add_number(columns[PIDS], getpid());
    }
    const char *const pause[] = {number(tasks[0], longest_ms)};
    if (status == HEDDLE_OK)
        status = heddle_uow_query_arrays(uow, &record_set_statement, columns, NULL, err);
    if (status == HEDDLE_OK)
        status = heddle_uow_query_arrays(uow, &count_set_statement, columns, NULL, err);
    if (status == HEDDLE_OK && longest_ms > 0)
        status = heddle_uow_send(uow, &sleep_statement, pause, err);
    return status == HEDDLE_OK
               ? heddle_uow_query_arrays(uow, &leave_set_statement, &columns[IDS], NULL, err)
               : status;
}

static const struct heddle_handler work = {.op = "chaos_work", .prepare = prepare, .apply = apply};
static const struct heddle_handler step = {.op = "chaos_step", .apply = apply};
static const struct heddle_handler set = {
    .op = "chaos_set", .apply = apply, .apply_many = apply_many};
static const struct heddle_handler *const handlers[] = {&work, &step, &set, NULL};

static const struct option flags[] = {{"workers", required_argument, NULL, 'w'},
                                      {"lease", required_argument, NULL, 'l'},
                                      {"patience", required_argument, NULL, 'p'},
                                      {"supervised", no_argument, NULL, 's'},
                                      {"strands", required_argument, NULL, 'n'},
                                      {"idle", required_argument, NULL, 'i'},
                                      {0}};

static bool read_flags(int argc, char **argv, struct processor_options *options,
                       bool *is_supervised)
{
    int flag;

    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        int value = optarg ? (int)strtol(optarg, NULL, 10) : 0;
        if (flag == 'w') {
            options->workers = value;
        } else if (flag == 'l') {
            options->lease_ms = value;
            options->statement_timeout_ms = value / 2;
            options->idle_transaction_timeout_ms = value / 3;
        } else if (flag == 'p') {
            options->redis_timeout_ms = options->connect_timeout_ms = value;
            options->commit_deadline_ms = value;
        } else if (flag == 's') {
            *is_supervised = true;
        } else if (flag == 'n') {
            options->user_concurrency = value;
        } else if (flag == 'i') {
            options->user_idle_ms = value;
        } else {
            return false;
        }
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct processor_options options = probe_options;
    bool is_supervised = false;

    options.redis = getenv("HEDDLE_REDIS");
    options.postgres = getenv("HEDDLE_POSTGRES");
    options.handlers = handlers;
    /* What is slow on purpose is bundled all the same. */
    options.bundle_us = 400000;
    options.lease_ms = 1500;
    options.redis_timeout_ms = options.connect_timeout_ms = 1500;
    options.statement_timeout_ms = 750;
    options.lock_timeout_ms = 300;
    options.idle_transaction_timeout_ms = 500;
    options.commit_deadline_ms = 1500;
    options.retry_attempts = 3;
    if (!options.redis || !options.postgres || !read_flags(argc, argv, &options, &is_supervised)) {
        fprintf(stderr, "usage: see the head of tests/chaos/chaos_probe.c\n");
        return 2;
    }
    return probe_live(&options, is_supervised);
}
