/* Heddle's settings (options.h). Runs on the main thread at start. */
#include "app/options.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/log.h"
#include "engine/processor.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/partitions.h"
#include "queue/strands.h"
#include "workers/options.h"

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,
    TEXT_BYTES_MAX = 4096,
};

static const char *const durabilities[] = {"durable", "direct", NULL};
static const char *const levels[] = {"debug", "info", "warning", "error", NULL};
static const char *const formats[] = {"text", "json", NULL};

#define OPTION(field) .offset = offsetof(struct options, field)

const struct setting options_table[] = {
    {"config", SETTING_TEXT, SETTING_NOT_IN_FILE, OPTION(config), .standard = "", .most = PATH_MAX,
     .help = "file to read settings from"},
    {"redis", SETTING_TEXT, SETTING_ADDRESS, OPTION(redis), .standard = "redis://127.0.0.1:6379/0",
     .least = 1, .most = TEXT_BYTES_MAX,
     .help = "Redis: redis://[user:password@]host[:port][/db] or unix:///path[?db=n]"},
    {"postgres", SETTING_TEXT, SETTING_ADDRESS, OPTION(postgres), .standard = "dbname=heddle",
     .most = TEXT_BYTES_MAX,
     .help = "Postgres: a libpq connection string or postgresql:// address"},
    {"partitions", SETTING_INTEGER, 0, OPTION(partitions), .standard = "16", .least = 1,
     .most = PARTITIONS_MAX, .help = "slices of the queue; fixed by the first `heddle migrate`"},
    {"processes", SETTING_INTEGER, 0, OPTION(processes), .standard = "1", .least = 1, .most = 1024,
     .help = "processors that one `heddle run` starts and watches"},
    {"workers", SETTING_INTEGER, 0, OPTION(workers), .standard = "8", .least = 1, .most = 1024,
     .help = "worker threads of a processor, each with a Postgres connection"},
    {"handlers", SETTING_TEXT, 0, OPTION(handlers), .standard = "", .most = TEXT_BYTES_MAX,
     .help = "shared objects with operations of your own, parted by commas"},
    {"lease", SETTING_DURATION, 0, OPTION(lease_ms), .standard = "5s", .least = 100,
     .most = 10 * MINUTE, .help = "how long a vanished processor's lanes stay its own"},
    {"drain", SETTING_DURATION, 0, OPTION(drain_ms), .standard = "30s", .least = 0, .most = HOUR,
     .help = "how long a stopping processor finishes what it has claimed"},
    {"soft_deadline", SETTING_DURATION, 0, OPTION(soft_deadline_ms), .standard = "30s",
     .least = 100, .most = HOUR,
     .help = "longest run of an operation; then it is told to end, its statement is cancelled, and "
             "it comes again"},
    {"hard_deadline", SETTING_DURATION, 0, OPTION(hard_deadline_ms), .standard = "60s",
     .least = 100, .most = DAY,
     .help = "then its process ends and another takes over; it alone is charged a crash"},
    {"poison_crashes", SETTING_INTEGER, 0, OPTION(poison_crashes), .standard = "3", .least = 1,
     .most = 100, .help = "crashes alone in quarantine after which an operation is given up"},
    {"durability", SETTING_CHOICE, 0, OPTION(durability), .standard = "durable",
     .choices = durabilities, .help = "what `heddle submit` does without --direct or --durable"},
    {"user_idle", SETTING_DURATION, 0, OPTION(user_idle_ms), .standard = "0s", .least = 0,
     .most = INT64_C(3650) * DAY,
     .help = "without an operation for so long, and a tenth of it at random, a user is told of as "
             "closed; 0: never"},
    {"result_ttl", SETTING_DURATION, 0, OPTION(result_ttl_ms), .standard = "10m", .least = SECOND,
     .most = 7 * DAY, .help = "how long Redis keeps results and replies"},
    {"result_max", SETTING_BYTES, 0, OPTION(result_bytes_max), .standard = "2MiB", .least = 1024,
     .most = 64 << 20, .help = "largest result; an operation with a larger one fails, too_large"},
    {"claim_lanes", SETTING_INTEGER, 0, OPTION(claim_lanes), .standard = "64", .least = 1,
     .most = 1000, .help = "lanes that one claim takes at most"},
    {"claim_operations", SETTING_INTEGER, 0, OPTION(claim_operations), .standard = "64", .least = 1,
     .most = 1000, .help = "operations of one lane that a claim takes at most"},
    {"user_concurrency", SETTING_INTEGER, 0, OPTION(user_concurrency), .standard = "1", .least = 1,
     .most = STRANDS_MAX,
     .help = "operations of one user at once at most; above 1 a user's order is that of each "
             "thread, and each operation has a transaction of its own"},
    {"bundle_max", SETTING_INTEGER, 0, OPTION(bundle_max), .standard = "128", .least = 1,
     .most = 1000, .help = "operations of one transaction at most; 1: each has its own"},
    {"bundle_time", SETTING_DURATION, 0, OPTION(bundle_time_ms), .standard = "50ms", .least = 1,
     .most = MINUTE, .help = "what such a transaction may take, so far as that can be known"},
    {"redis_timeout", SETTING_DURATION, 0, OPTION(redis_timeout_ms), .standard = "2s", .least = 10,
     .most = MINUTE, .help = "patience with one answer of Redis"},
    {"connect_timeout", SETTING_DURATION, 0, OPTION(connect_timeout_ms), .standard = "2s",
     .least = 10, .most = MINUTE, .help = "patience with a new connection to Postgres"},
    {"statement_timeout", SETTING_DURATION, 0, OPTION(statement_timeout_ms), .standard = "1500ms",
     .least = 1, .most = HOUR,
     .help = "longest statement; with idle_in_transaction_timeout it must stay below lease"},
    {"lock_timeout", SETTING_DURATION, 0, OPTION(lock_timeout_ms), .standard = "500ms", .least = 1,
     .most = HOUR, .help = "longest wait for a lock in Postgres; below statement_timeout"},
    {"idle_in_transaction_timeout", SETTING_DURATION, 0, OPTION(idle_in_transaction_timeout_ms),
     .standard = "2s", .least = 1, .most = HOUR,
     .help = "how long Postgres lets a transaction wait for its client"},
    {"commit_deadline", SETTING_DURATION, 0, OPTION(commit_deadline_ms), .standard = "4s",
     .least = 10, .most = HOUR,
     .help = "patience with one exchange with Postgres, COMMIT included"},
    {"retry_attempts", SETTING_INTEGER, 0, OPTION(retry_attempts), .standard = "5", .least = 0,
     .most = 100, .help = "retries of an operation in place, before its lane waits"},
    {"retry_base", SETTING_DURATION, 0, OPTION(retry_base_ms), .standard = "10ms", .least = 1,
     .most = MINUTE, .help = "longest wait before the first retry; doubles with each"},
    {"retry_cap", SETTING_DURATION, 0, OPTION(retry_cap_ms), .standard = "500ms", .least = 1,
     .most = MINUTE, .help = "longest wait before any retry"},
    {"attempts", SETTING_INTEGER, 0, OPTION(attempts), .standard = "20", .least = 1, .most = 1000,
     .help = "attempts after which an operation is given up, where it does not say"},
    {"backoff", SETTING_DURATION, 0, OPTION(backoff_ms), .standard = "100ms", .least = 1,
     .most = HOUR, .help = "longest wait before its second attempt; doubles with each"},
    {"backoff_max", SETTING_DURATION, 0, OPTION(backoff_max_ms), .standard = "30s", .least = 1,
     .most = HOUR, .help = "longest wait before any attempt"},
    {"prepared_statements", SETTING_BOOLEAN, 0, OPTION(prepared_statements), .standard = "true",
     .help = "prepare statements; false behind a pooler that can't"},
    {"payload_max", SETTING_BYTES, 0, OPTION(payload_bytes_max), .standard = "1MiB", .least = 1024,
     .most = 1024 * 1024, .help = "largest payload; told to Redis by `heddle migrate`"},
    {"reveal_forbidden", SETTING_BOOLEAN, 0, OPTION(reveal_forbidden), .standard = "false",
     .help = "answer forbidden, not not_found, for another user's thread"},
    {"title_url", SETTING_TEXT, SETTING_ADDRESS, OPTION(title_url), .standard = "",
     .most = TEXT_BYTES_MAX,
     .help = "OpenAI-compatible chat completions endpoint for titles; empty: a local rule"},
    {"title_model", SETTING_TEXT, 0, OPTION(title_model), .standard = "", .most = 256,
     .help = "model that is asked for titles; empty: the endpoint's own choice"},
    {"title_api_key", SETTING_TEXT, SETTING_SECRET, OPTION(title_api_key), .standard = "",
     .most = TEXT_BYTES_MAX, .help = "bearer token for title_url"},
    {"title_timeout", SETTING_DURATION, 0, OPTION(title_timeout_ms), .standard = "5s", .least = 100,
     .most = 5 * MINUTE, .help = "patience with title_url"},
    {"log_level", SETTING_CHOICE, 0, OPTION(log_level), .standard = "info", .choices = levels,
     .help = "least severe events that are logged"},
    {"log_format", SETTING_CHOICE, 0, OPTION(log_format), .standard = "text", .choices = formats,
     .help = "form of the log lines on stderr"},
    {0},
};

static heddle_status judge(const struct settings *settings, const struct options *options,
                           struct heddle_error *err);
static heddle_status judge_deadlines(const struct settings *settings, const struct options *options,
                                     struct heddle_error *err);
static heddle_status judge_addresses(const struct settings *settings, const struct options *options,
                                     struct heddle_error *err);
static const char *or_null(const char *text);

heddle_status options_load(struct settings *settings, const struct options *options,
                           char *const *environment, struct heddle_error *err)
{
    heddle_status status = settings_read_environment(settings, environment, err);

    if (status == HEDDLE_OK && *options->config)
        status = settings_read_file(settings, options->config, err);
    return status == HEDDLE_OK ? judge(settings, options, err) : status;
}

void options_configure_log(const struct options *options)
{
    log_configure((enum heddle_log_level)options->log_level, (enum log_format)options->log_format);
}

void options_print_example(FILE *file)
{
    char allowed[200];

    fputs("; Heddle's settings with their defaults, as `heddle config --example` prints them.\n"
          "; What follows a ; or # at a line's start, or a blank and ; further on, is a comment.\n"
          "; The environment (HEDDLE_KEY) goes before this file, a flag (--key) before both.\n\n"
          "[heddle]\n",
          file);
    for (const struct setting *row = options_table; row->key; row++)
        if (!(row->flags & SETTING_NOT_IN_FILE))
            fprintf(file, "\n; %s\n; %s\n;%s =%s%s\n", row->help,
                    settings_allowed(row, allowed, sizeof allowed), row->key,
                    *row->standard ? " " : "", row->standard);
}

void options_print_flags(FILE *file)
{
    for (const struct setting *row = options_table; row->key; row++) {
        char flag[64], allowed[200];
        size_t i = 0;
        for (; row->key[i] && i + 1 < sizeof flag; i++)
            flag[i] = row->key[i] == '_' ? '-' : row->key[i];
        flag[i] = '\0';
        fprintf(file, "  --%s VALUE\n      %s\n      %s%s%s\n", flag, row->help,
                settings_allowed(row, allowed, sizeof allowed), *row->standard ? "; default " : "",
                row->standard);
    }
}

struct processor_options options_for_processor(const struct options *options,
                                               const struct heddle_handler *const *handlers)
{
    return (struct processor_options){
        .redis = options->redis,
        .postgres = options->postgres,
        .handlers = handlers,
        .workers = (int)options->workers,
        .user_concurrency = (int)options->user_concurrency,
        .claim_lanes_max = (int)options->claim_lanes,
        .claim_operations_max = (int)options->claim_operations,
        .bundle_max = (int)options->bundle_max,
        .bundle_us = options->bundle_time_ms * 1000,
        .lease_ms = options->lease_ms,
        .drain_ms = options->drain_ms,
        .soft_deadline_ms = options->soft_deadline_ms,
        .hard_deadline_ms = options->hard_deadline_ms,
        .user_idle_ms = options->user_idle_ms,
        .result_ttl_ms = options->result_ttl_ms,
        .result_bytes_max = options->result_bytes_max,
        .redis_timeout_ms = (int)options->redis_timeout_ms,
        .connect_timeout_ms = (int)options->connect_timeout_ms,
        .statement_timeout_ms = (int)options->statement_timeout_ms,
        .lock_timeout_ms = (int)options->lock_timeout_ms,
        .idle_transaction_timeout_ms = (int)options->idle_in_transaction_timeout_ms,
        .commit_deadline_ms = (int)options->commit_deadline_ms,
        .retry_attempts = (int)options->retry_attempts,
        .retry_base_ms = options->retry_base_ms,
        .retry_cap_ms = options->retry_cap_ms,
        .policy = {.attempts = options->attempts,
                   .backoff_ms = options->backoff_ms,
                   .backoff_max_ms = options->backoff_max_ms},
        .with_prepared_statements = options->prepared_statements,
    };
}

struct workers_options options_for_workers(const struct options *options)
{
    return (struct workers_options){
        .reveal_forbidden = options->reveal_forbidden,
        .title_url = or_null(options->title_url),
        .title_model = or_null(options->title_model),
        .title_api_key = or_null(options->title_api_key),
        .title_timeout_ms = (int)options->title_timeout_ms,
    };
}

/* What is unsafe only together with another value, or not available yet. */
static heddle_status judge(const struct settings *settings, const struct options *options,
                           struct heddle_error *err)
{
    int64_t held_ms = options->statement_timeout_ms + options->idle_in_transaction_timeout_ms;

    if (strchr(options->redis, ','))
        return settings_refuse(settings, "redis", err,
                               "Redis Cluster is not available yet; allowed is one address");
    if (options->lock_timeout_ms >= options->statement_timeout_ms)
        return settings_refuse(settings, "lock_timeout", err,
                               "must be below statement_timeout, which is %" PRId64 "ms",
                               options->statement_timeout_ms);
    if (held_ms >= options->lease_ms)
        return settings_refuse(settings, "lease", err,
                               "must be above statement_timeout + idle_in_transaction_timeout, "
                               "which are %" PRId64 "ms",
                               held_ms);
    if (options->retry_base_ms > options->retry_cap_ms)
        return settings_refuse(settings, "retry_base", err,
                               "must not be above retry_cap, which is %" PRId64 "ms",
                               options->retry_cap_ms);
    heddle_status status = judge_deadlines(settings, options, err);
    return status == HEDDLE_OK ? judge_addresses(settings, options, err) : status;
}

/* What is waited for once must have lost patience before the watchdog does. */
static heddle_status judge_deadlines(const struct settings *settings, const struct options *options,
                                     struct heddle_error *err)
{
    if (options->soft_deadline_ms >= options->hard_deadline_ms)
        return settings_refuse(settings, "soft_deadline", err,
                               "must be below hard_deadline, which is %" PRId64 "ms",
                               options->hard_deadline_ms);
    if (options->commit_deadline_ms >= options->hard_deadline_ms)
        return settings_refuse(settings, "commit_deadline", err,
                               "must be below hard_deadline, which is %" PRId64 "ms",
                               options->hard_deadline_ms);
    if (options->title_timeout_ms >= options->soft_deadline_ms)
        return settings_refuse(settings, "title_timeout", err,
                               "must be below soft_deadline, which is %" PRId64 "ms",
                               options->soft_deadline_ms);
    return HEDDLE_OK;
}

/* Their form alone; nothing connects. */
static heddle_status judge_addresses(const struct settings *settings, const struct options *options,
                                     struct heddle_error *err)
{
    struct redis_link *redis = NULL;
    struct pg_link *postgres = NULL;
    const struct pg_options pg_options = {.conninfo = options->postgres, .application_name = ""};
    struct heddle_error cause;

    if (redis_new(options->redis, (int)options->redis_timeout_ms, &redis, &cause) != HEDDLE_OK)
        return settings_refuse(settings, "redis", err, "%s", cause.text);
    redis_free(redis);
    if (pg_new(&pg_options, &postgres, &cause) != HEDDLE_OK)
        return settings_refuse(settings, "postgres", err, "%s", cause.text);
    pg_free(postgres);
    return HEDDLE_OK;
}

static const char *or_null(const char *text)
{
    return *text ? text : NULL;
}
