/* heddle rebuild: all of Redis from the journal. */
#include "app/command.h"
#include "app/json_out.h"
#include "app/links.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/pass.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/admin.h"

static heddle_status rebuild(struct pg_link *pg, struct redis_link *redis, bool *is_new,
                             struct queue_facts *facts, struct pass_counts *counts,
                             struct heddle_error *err);

static enum exit_code run(const struct invocation *invocation)
{
    struct redis_link *redis = NULL;
    struct pg_link *pg = NULL;
    struct queue_facts facts;
    struct pass_counts counts;
    struct heddle_error err;
    bool is_new = false;

    heddle_status status = links_redis(invocation->options, &redis, &err);
    if (status == HEDDLE_OK)
        status = links_postgres(invocation->options, &pg, &err);
    if (status == HEDDLE_OK)
        status = rebuild(pg, redis, &is_new, &facts, &counts, &err);
    redis_free(redis);
    pg_free(pg);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    if (invocation->with_json) {
        json_out(json_pack("{s:b, s:i, s:I, s:I, s:I}", "set_up", is_new, "partitions",
                           (int)facts.partitions, "lanes", (json_int_t)counts.lanes, "operations",
                           (json_int_t)counts.operations, "put_back", (json_int_t)counts.lost));
        return EXIT_DONE;
    }
    printf("Redis: %u partitions%s\n", facts.partitions, is_new ? ", set up again" : "");
    printf("Journal: %" PRId64 " unfinished operations in %" PRId64 " lanes; %" PRId64
           " put back\n",
           counts.operations, counts.lanes, counts.lost);
    return EXIT_DONE;
}

const struct command command_rebuild = {
    .name = "rebuild",
    .usage = "",
    .summary = "put back into Redis what it has lost of the journal",
    .details = "Sets Redis up again where it has lost its functions, then compares every durable\n"
               "operation that has not ended with Redis and puts back those that are not there,\n"
               "in the order of their lanes. Again is fine, and beside running processors too;\n"
               "they do the same, little by little, by themselves. Exit 0 where Redis has all of\n"
               "them, 3 where the configuration is bad, 4 where Redis or Postgres can't be\n"
               "reached.\n",
    .loads_settings = true,
    .run = run,
};

static heddle_status rebuild(struct pg_link *pg, struct redis_link *redis, bool *is_new,
                             struct queue_facts *facts, struct pass_counts *counts,
                             struct heddle_error *err)
{
    heddle_status status = pass_set_up(pg, redis, is_new, err);
    if (status == HEDDLE_OK)
        status = queue_facts_get(redis, facts, err);
    if (status == HEDDLE_OK)
        status = queue_facts_judge(facts, err);
    if (status != HEDDLE_OK)
        return status;
    const struct pass pass = {
        .pg = pg, .redis = redis, .partitions = facts->partitions, .takes_outbox = true};
    return pass_run(&pass, counts, err);
}
