/* heddle check: is everything there, in a version that fits, and is the queue sound? */
#include "app/command.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ledger/migrate.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/admin.h"

enum { POSTGRES_LEAST = 150000, REDIS_LEAST = 7, FINDINGS_MAX = 20 };

struct findings {
    const struct invocation *invocation;
    json_t *checks;
    enum exit_code code;
    int lane_findings;
};

static void check_redis(struct findings *findings);
static void check_queue(struct findings *findings, struct redis_link *link);
static void check_lanes(struct findings *findings, struct redis_link *link, unsigned partitions);
static void note_lane(void *argument, unsigned partition, const char *finding);
static void check_postgres(struct findings *findings);
static void note(struct findings *findings, const char *name, bool is_ok, const char *format, ...)
    HEDDLE_PRINTF(4, 5);
static void note_unreachable(struct findings *findings, const char *name, heddle_status status,
                             const struct heddle_error *err);

static enum exit_code run(const struct invocation *invocation)
{
    struct findings findings = {.invocation = invocation, .checks = json_array()};
    const char *config = invocation->options->config;

    note(&findings, "configuration", true, "%s", *config ? config : "no file");
    check_redis(&findings);
    check_postgres(&findings);
    if (invocation->with_json)
        json_out(
            json_pack("{s:b, s:O}", "ok", findings.code == EXIT_DONE, "checks", findings.checks));
    json_decref(findings.checks);
    return findings.code;
}

const struct command command_check = {
    .name = "check",
    .usage = "",
    .summary = "check configuration, servers, versions and the queue's invariants",
    .details = "One line a check. Exit 0 where all is well, 1 where a check found something, 3\n"
               "where the configuration is bad, 4 where Redis or Postgres can't be reached.\n",
    .loads_settings = true,
    .run = run,
};

static void check_redis(struct findings *findings)
{
    struct redis_link *link;
    struct heddle_error err;
    heddle_status status = links_redis(findings->invocation->options, &link, &err);

    if (status != HEDDLE_OK) {
        note_unreachable(findings, "redis", status, &err);
        return;
    }
    check_queue(findings, link);
    redis_free(link);
}

static void check_queue(struct findings *findings, struct redis_link *link)
{
    unsigned wanted = (unsigned)findings->invocation->options->partitions;
    struct queue_facts facts;
    struct heddle_error err;
    heddle_status status = queue_facts_get(link, &facts, &err);

    if (status != HEDDLE_OK) {
        note_unreachable(findings, "redis", status, &err);
        return;
    }
    note(findings, "redis", strtol(facts.redis_version, NULL, 10) >= REDIS_LEAST,
         "version %s; at least %d.0 is needed", facts.redis_version, REDIS_LEAST);
    status = queue_facts_judge(&facts, &err);
    note(findings, "queue", status == HEDDLE_OK,
         "functions %d (this binary has %d), %u partitions, maxmemory-policy %s%s%s",
         facts.library_version, queue_library_version(), facts.partitions, facts.eviction_policy,
         status == HEDDLE_OK ? "" : ": ", status == HEDDLE_OK ? "" : err.text);
    if (facts.partitions > 0)
        note(findings, "partitions", facts.partitions == wanted, "%u in Redis, %u configured",
             facts.partitions, wanted);
    if (facts.library_version > 0 && facts.partitions > 0)
        check_lanes(findings, link, facts.partitions);
}

static void check_lanes(struct findings *findings, struct redis_link *link, unsigned partitions)
{
    struct queue_census census;
    struct heddle_error err;
    heddle_status status = queue_check(link, partitions, &census, note_lane, findings, &err);

    if (status != HEDDLE_OK) {
        note_unreachable(findings, "lanes", status, &err);
        return;
    }
    note(findings, "lanes", findings->lane_findings == 0,
         "%d broken; %" PRId64 " operations in %" PRId64 " lanes: %" PRId64 " ready, %" PRId64
         " claimed, %" PRId64 " waiting, %" PRId64 " halted; %" PRId64 " processors",
         findings->lane_findings, census.operations, census.lanes, census.ready, census.claimed,
         census.waiting, census.halted, census.processors);
}

static void note_lane(void *argument, unsigned partition, const char *finding)
{
    struct findings *findings = argument;

    if (findings->lane_findings++ < FINDINGS_MAX)
        note(findings, "lane", false, "partition %u: %s", partition, finding);
}

static void check_postgres(struct findings *findings)
{
    struct pg_link *link;
    struct heddle_error err;
    int number = 0;
    heddle_status status = links_postgres(findings->invocation->options, &link, &err);

    if (status != HEDDLE_OK) {
        note_unreachable(findings, "postgres", status, &err);
        return;
    }
    int version = pg_server_version(link);
    note(findings, "postgres", version >= POSTGRES_LEAST, "version %d.%d; at least %d is needed",
         version / 10000, version % 10000, POSTGRES_LEAST / 10000);
    status = migrate_current(link, &number, &err);
    if (status != HEDDLE_OK)
        note_unreachable(findings, "schema", status, &err);
    else
        note(findings, "schema", number >= migrate_newest(), "version %d, this binary has %d%s",
             number, migrate_newest(), number < migrate_newest() ? ": run `heddle migrate`" : "");
    pg_free(link);
}

static void note(struct findings *findings, const char *name, bool is_ok, const char *format, ...)
{
    char text[600];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!is_ok && findings->code == EXIT_DONE)
        findings->code = EXIT_ENDED_BADLY;
    if (!findings->invocation->with_json)
        printf("%-4s %-13s %s\n", is_ok ? "ok" : "FAIL", name, text);
    json_array_append_new(findings->checks,
                          json_pack("{s:s, s:b, s:s}", "name", name, "ok", is_ok, "text", text));
}

static void note_unreachable(struct findings *findings, const char *name, heddle_status status,
                             const struct heddle_error *err)
{
    const struct setting *row = settings_find(options_table, err->where);
    char shown[200];

    if (row)
        note(findings, name, false, "%s (%s): %s",
             settings_show(findings->invocation->settings, row, shown, sizeof shown),
             settings_origin(findings->invocation->settings, row), err->text);
    else
        note(findings, name, false, "%s", err->text);
    if (status == HEDDLE_RETRY)
        findings->code = report(findings->invocation, status, err);
}
