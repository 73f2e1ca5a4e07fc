/* Connections of a command (links.h). Runs on the main thread. */
#include "app/links.h"

#include "app/options.h"
#include "heddle/client.h"
#include "link/pg.h"
#include "link/redis.h"

enum { MIGRATION_DEADLINE_MS = 600000 };

static struct pg_options bounded(const struct options *options);
static heddle_status connect_postgres(const struct pg_options *pg_options, struct pg_link **link,
                                      struct heddle_error *err);

heddle_status links_redis(const struct options *options, struct redis_link **link,
                          struct heddle_error *err)
{
    struct redis_link *fresh;
    heddle_status status = redis_new(options->redis, (int)options->redis_timeout_ms, &fresh, err);

    if (status != HEDDLE_OK)
        return status;
    status = redis_connect(fresh, err);
    if (status != HEDDLE_OK) {
        redis_free(fresh);
        return status;
    }
    *link = fresh;
    return HEDDLE_OK;
}

heddle_status links_postgres(const struct options *options, struct pg_link **link,
                             struct heddle_error *err)
{
    const struct pg_options pg_options = bounded(options);

    return connect_postgres(&pg_options, link, err);
}

heddle_status links_idle(const struct options *options, struct pg_link **ledger,
                         struct redis_link **queue, struct heddle_error *err)
{
    const struct pg_options pg_options = bounded(options);

    heddle_status status = pg_new(&pg_options, ledger, err);
    return status == HEDDLE_OK
               ? redis_new(options->redis, (int)options->redis_timeout_ms, queue, err)
               : status;
}

heddle_status links_postgres_unbounded(const struct options *options, struct pg_link **link,
                                       struct heddle_error *err)
{
    return connect_postgres(
        &(struct pg_options){
            .conninfo = options->postgres,
            .application_name = "heddle migrate",
            .connect_timeout_ms = (int)options->connect_timeout_ms,
            .deadline_ms = MIGRATION_DEADLINE_MS,
        },
        link, err);
}

heddle_status links_client(const struct options *options, struct heddle_client **client,
                           struct heddle_error *err)
{
    return heddle_client_new(options->redis, (int)options->redis_timeout_ms, client, err);
}

static struct pg_options bounded(const struct options *options)
{
    return (struct pg_options){
        .conninfo = options->postgres,
        .application_name = "heddle",
        .connect_timeout_ms = (int)options->connect_timeout_ms,
        .statement_timeout_ms = (int)options->statement_timeout_ms,
        .lock_timeout_ms = (int)options->lock_timeout_ms,
        .idle_transaction_timeout_ms = (int)options->idle_in_transaction_timeout_ms,
        .deadline_ms = (int)options->commit_deadline_ms,
        .with_prepared_statements = options->prepared_statements,
    };
}

static heddle_status connect_postgres(const struct pg_options *pg_options, struct pg_link **link,
                                      struct heddle_error *err)
{
    struct pg_link *fresh;
    heddle_status status = pg_new(pg_options, &fresh, err);

    if (status != HEDDLE_OK)
        return status;
    status = pg_connect(fresh, err);
    if (status != HEDDLE_OK) {
        pg_free(fresh);
        return status;
    }
    *link = fresh;
    return HEDDLE_OK;
}
