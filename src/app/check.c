/* heddle check: is everything there, in a version that fits, and is the queue sound? */
#include "app/arguments.h"
#include "app/check_lanes.h"
#include "app/command.h"
#include "app/findings.h"
#include "app/links.h"
#include "app/options.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ledger/migrate.h"
#include "ledger/registry.h"
#include "ledger/retention.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/admin.h"

enum { POSTGRES_LEAST = 150000, REDIS_LEAST = 7 };

static struct redis_link *check_redis(struct findings *findings, unsigned *partitions);
static bool check_queue(struct findings *findings, struct redis_link *link, unsigned *partitions);
static struct pg_link *check_postgres(struct findings *findings);
static bool check_schema(struct findings *findings, struct pg_link *link);
static void check_registered(struct findings *findings, struct pg_link *link);
static void add_broken(void *argument, const char *op, const char *problem);
static void note_retention(struct findings *findings, struct pg_link *link);

static enum exit_code run(const struct invocation *invocation)
{
    const char *config = invocation->options->config;
    struct findings findings;
    unsigned partitions = 0;

    findings_init(&findings, invocation, arguments_get(invocation->arguments, "repair") != NULL);
    findings_note(&findings, "configuration", true, "%s", *config ? config : "no file");
    struct redis_link *redis = check_redis(&findings, &partitions);
    struct pg_link *pg = check_postgres(&findings);
    if (redis)
        check_lanes(&findings, redis, partitions, pg);
    if (pg)
        note_retention(&findings, pg);
    redis_free(redis);
    pg_free(pg);
    return findings_done(&findings);
}

static const struct flag flags[] = {
    {"repair", NULL, "mend what is found; safe beside live traffic"},
    {0},
};

const struct command command_check = {
    .name = "check",
    .usage = "[--repair]",
    .summary = "check configuration, servers, versions and the queue's invariants",
    .details = "One line a check, and one a finding: its kind, partition and lane. With --repair,\n"
               "MENDED stands before what was found and mended, and nothing that is only on its\n"
               "way is touched. Exit 0 where all is well or mended, 1 where something was found\n"
               "and not mended, 3 where the configuration is bad, 4 where Redis or Postgres can't\n"
               "be reached.\n\n"
               "Kinds: ready_lost, a lane that nobody would come to; two_states, in two at once;\n"
               "ghost, in a state without operations; orphan_claim, stale_beat, stale_idle, held,\n"
               "beating or listening for a processor that does not live; no_record, record_lost,\n"
               "an entry without its operation or the reverse; missing, an operation of the\n"
               "journal that Redis has lost; numbers, a lane whose numbers in the journal\n"
               "contradict; stray_wish, a reply that nobody would send; stray_key, a unique\n"
               "key whose operation is gone; stray_count, one that is gone and counts for a\n"
               "cap; endless_key, a result that would stay for ever;\n"
               "endless_wait, a lane that waits for what will not happen; stray_reason,\n"
               "stray_in_line, stray_slot, one that is told why it waits, stands in a limit's\n"
               "line, or has a slot of one, and does not wait or run. A\n"
               "registered operation whose function is gone, or another one, is a check that\n"
               "fails.\n",
    .flags = flags,
    .loads_settings = true,
    .run = run,
};

/* NULL where it can't be reached, or has nothing to be looked through. */
static struct redis_link *check_redis(struct findings *findings, unsigned *partitions)
{
    struct redis_link *link;
    struct heddle_error err;
    heddle_status status = links_redis(findings->invocation->options, &link, &err);

    if (status != HEDDLE_OK) {
        findings_note_failed(findings, "redis", status, &err);
        return NULL;
    }
    if (check_queue(findings, link, partitions))
        return link;
    redis_free(link);
    return NULL;
}

/* False where the queue is not set up. */
static bool check_queue(struct findings *findings, struct redis_link *link, unsigned *partitions)
{
    unsigned wanted = (unsigned)findings->invocation->options->partitions;
    struct queue_facts facts;
    struct heddle_error err;
    heddle_status status = queue_facts_get(link, &facts, &err);

    if (status != HEDDLE_OK) {
        findings_note_failed(findings, "redis", status, &err);
        return false;
    }
    findings_note(findings, "redis", strtol(facts.redis_version, NULL, 10) >= REDIS_LEAST,
                  "version %s; at least %d.0 is needed", facts.redis_version, REDIS_LEAST);
    status = queue_facts_judge(&facts, &err);
    findings_note(findings, "queue", status == HEDDLE_OK,
                  "functions %d (this binary has %d), %u partitions, maxmemory-policy %s%s%s",
                  facts.library_version, queue_library_version(), facts.partitions,
                  facts.eviction_policy, status == HEDDLE_OK ? "" : ": ",
                  status == HEDDLE_OK ? "" : err.text);
    if (facts.partitions > 0)
        findings_note(findings, "partitions", facts.partitions == wanted,
                      "%u in Redis, %u configured", facts.partitions, wanted);
    *partitions = facts.partitions;
    return facts.library_version >= queue_library_version() && facts.partitions > 0;
}

/* NULL where there is no ledger to be asked. */
static struct pg_link *check_postgres(struct findings *findings)
{
    struct pg_link *link;
    struct heddle_error err;
    heddle_status status = links_postgres(findings->invocation->options, &link, &err);

    if (status != HEDDLE_OK) {
        findings_note_failed(findings, "postgres", status, &err);
        return NULL;
    }
    int version = pg_server_version(link);
    findings_note(findings, "postgres", version >= POSTGRES_LEAST,
                  "version %d.%d; at least %d is needed", version / 10000, version % 10000,
                  POSTGRES_LEAST / 10000);
    if (check_schema(findings, link)) {
        check_registered(findings, link);
        return link;
    }
    pg_free(link);
    return NULL;
}

/* Whether registered functions are there, as they were. */
static void check_registered(struct findings *findings, struct pg_link *link)
{
    struct heddle_error err;

    heddle_status status = registry_find_broken(link, add_broken, findings, &err);
    if (status != HEDDLE_OK)
        findings_note_failed(findings, "registered ops", status, &err);
}

static void add_broken(void *argument, const char *op, const char *problem)
{
    findings_note(argument, "function", false, "of op %s: %s", op, problem);
}

static bool check_schema(struct findings *findings, struct pg_link *link)
{
    struct heddle_error err;
    int number = 0;
    heddle_status status = migrate_current(link, &number, &err);

    if (status != HEDDLE_OK) {
        findings_note_failed(findings, "schema", status, &err);
        return false;
    }
    findings_note(findings, "schema", number >= migrate_newest(),
                  "version %d, this binary has %d%s", number, migrate_newest(),
                  number < migrate_newest() ? ": run `heddle migrate`" : "");
    return number >= migrate_newest();
}

/* What is deleted once a day, and when that was. */
static void note_retention(struct findings *findings, struct pg_link *link)
{
    static const char *const keys[] = {"retention", "dead_retention", "batch_retention"};
    const struct settings *settings = findings->invocation->settings;
    struct retention_facts facts;
    struct heddle_error err;
    char shown[3][40];

    for (int i = 0; i < 3; i++)
        settings_show(settings, settings_find(options_table, keys[i]), shown[i], sizeof shown[i]);
    heddle_status status = retention_look(link, &facts, &err);
    if (status != HEDDLE_OK)
        findings_note_failed(findings, "retention", status, &err);
    else
        findings_note(findings, "retention", true,
                      "operations %s, dead letters %s, batches %s; %s%s: %" PRId64
                      " operations, %" PRId64 " dead letters, %" PRId64 " batches, %" PRId64
                      " controls deleted; next %s",
                      shown[0], shown[1], shown[2],
                      *facts.ended_at   ? "ended "
                      : *facts.began_at ? "under way since "
                                        : "not run yet",
                      *facts.ended_at ? facts.ended_at : facts.began_at, facts.operations,
                      facts.dead_letters, facts.batches, facts.controls, facts.next_at);
}
