/* heddle migrate: Redis' functions and Postgres' schema in the versions of this
 * binary. Again is fine. */
#include "app/command.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/options.h"

#include <stdio.h>

#include "ledger/journal.h"
#include "ledger/migrate.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/admin.h"

static heddle_status migrate_postgres(const struct options *options, int *applied,
                                      struct heddle_error *err);
static heddle_status migrate_redis(const struct options *options, struct queue_facts *facts,
                                   struct heddle_error *err);
static heddle_status remember(const struct options *options, struct heddle_error *err);

static enum exit_code run(const struct invocation *invocation)
{
    struct queue_facts facts;
    struct heddle_error err;
    int applied;

    /* First the ledger: a queue without one would take what nobody can run. */
    heddle_status status = migrate_postgres(invocation->options, &applied, &err);
    if (status == HEDDLE_OK)
        status = migrate_redis(invocation->options, &facts, &err);
    if (status == HEDDLE_OK)
        status = remember(invocation->options, &err);
    if (status == HEDDLE_REFUSED) {
        struct heddle_error cause = err;
        status = settings_refuse(invocation->settings, "partitions", &err, "%s", cause.text);
    }
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    if (invocation->with_json) {
        json_out(json_pack("{s:i, s:i, s:i, s:i}", "schema", migrate_newest(), "applied", applied,
                           "functions", facts.library_version, "partitions",
                           (int)facts.partitions));
        return EXIT_DONE;
    }
    printf("Postgres: schema version %d, %d migration%s applied\n", migrate_newest(), applied,
           applied == 1 ? "" : "s");
    printf("Redis: functions version %d, %u partitions\n", facts.library_version, facts.partitions);
    return EXIT_DONE;
}

const struct command command_migrate = {
    .name = "migrate",
    .usage = "",
    .summary = "install or update Redis' functions and Postgres' schema",
    .details = "Installs what is missing and changes nothing else; to run it again is fine. The\n"
               "number of partitions is fixed by the first run.\n",
    .loads_settings = true,
    .run = run,
};

static heddle_status migrate_postgres(const struct options *options, int *applied,
                                      struct heddle_error *err)
{
    struct pg_link *link;
    heddle_status status = links_postgres_unbounded(options, &link, err);

    if (status != HEDDLE_OK)
        return status;
    status = migrate_apply(link, applied, err);
    pg_free(link);
    return status;
}

static heddle_status migrate_redis(const struct options *options, struct queue_facts *facts,
                                   struct heddle_error *err)
{
    struct redis_link *link;
    heddle_status status = links_redis(options, &link, err);

    if (status != HEDDLE_OK)
        return status;
    status = queue_install(link, (unsigned)options->partitions, options->payload_bytes_max, err);
    if (status == HEDDLE_OK)
        status = queue_facts_get(link, facts, err);
    if (status == HEDDLE_OK)
        status = queue_facts_judge(facts, err);
    redis_free(link);
    return status;
}

/* A Redis that has lost everything is set up again as it was. */
static heddle_status remember(const struct options *options, struct heddle_error *err)
{
    struct pg_link *link;
    heddle_status status = links_postgres(options, &link, err);

    if (status != HEDDLE_OK)
        return status;
    status = journal_set_partitions(link, (unsigned)options->partitions, options->payload_bytes_max,
                                    err);
    pg_free(link);
    return status;
}
