/* See scene.h. */
#include "app/bench/scene.h"

#include "app/bench/plan.h"
#include "app/bench/work.h"
#include "app/links.h"
#include "app/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/migrate.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/admin.h"

#define OURS "'" BENCH_USER_PREFIX "%'"

static heddle_status count_keys(struct scene *scene, const char *command, const char *name,
                                int64_t *count, struct heddle_error *err);
static heddle_status ask_number(struct scene *scene, const struct heddle_statement *statement,
                                const char *const *params, int64_t *number,
                                struct heddle_error *err);

heddle_status scene_open(struct scene *scene, const struct invocation *invocation,
                         struct heddle_error *err)
{
    struct queue_facts facts;
    int schema;

    *scene = (struct scene){0};
    heddle_status status = links_redis(invocation->options, &scene->redis, err);
    if (status == HEDDLE_OK)
        status = links_postgres_unbounded(invocation->options, &scene->pg, err);
    if (status == HEDDLE_OK)
        status = queue_facts_get(scene->redis, &facts, err);
    if (status == HEDDLE_OK)
        status = queue_facts_judge(&facts, err);
    if (status == HEDDLE_OK)
        status = migrate_current(scene->pg, &schema, err);
    if (status == HEDDLE_OK && schema < migrate_newest())
        status = heddle_fail(err, HEDDLE_FATAL, "postgres",
                             "the schema is not there, or old: run `heddle migrate`");
    if (status != HEDDLE_OK) {
        scene_close(scene);
        return status;
    }
    scene->partitions = facts.partitions;
    memcpy(scene->redis_version, facts.redis_version, sizeof scene->redis_version);
    return HEDDLE_OK;
}

void scene_close(struct scene *scene)
{
    redis_free(scene->redis);
    pg_free(scene->pg);
    *scene = (struct scene){0};
}

heddle_status scene_judge(struct scene *scene, struct heddle_error *err)
{
    static const struct heddle_statement statement = {
        "bench_others",
        "select count(*) from (select from heddle.operations where user_id not like " OURS
        " limit 1) o",
        0,
    };
    int64_t queued = 0, processors = 0, recorded = 0;

    heddle_status status = scene_queued(scene, &queued, err);
    if (status == HEDDLE_OK)
        status = scene_processors(scene, &processors, err);
    if (status == HEDDLE_OK)
        status = ask_number(scene, &statement, NULL, &recorded, err);
    if (status != HEDDLE_OK || (queued == 0 && processors == 0 && recorded == 0))
        return status;
    heddle_fail(err, HEDDLE_RETRY, "bench",
                "other work is there: %" PRId64 " operations in Redis, %" PRId64
                " processors, %s in the ledger; --force runs nevertheless",
                queued, processors, recorded ? "operations" : "none");
    err->kind = HEDDLE_KIND_TOO_LARGE;
    return HEDDLE_RETRY;
}

heddle_status scene_clean(struct scene *scene, struct heddle_error *err)
{
    return pg_script(scene->pg,
                     "delete from chat.messages m using chat.threads t"
                     " where t.id = m.thread_id and t.user_id like " OURS ";"
                     "delete from chat.threads where user_id like " OURS ";"
                     "delete from heddle.lane_heads where lane like " OURS ";"
                     "delete from heddle.lane_tails where lane like " OURS ";"
                     "delete from heddle.operations where user_id like " OURS
                     " and finished_at is not null",
                     err);
}

heddle_status scene_seed(struct scene *scene, int64_t users, struct heddle_error *err)
{
    static const struct heddle_statement statement = {
        "bench_seed",
        "insert into chat.threads (id, user_id, title)"
        " select (lpad(u::text, 8, '0') || '-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid,"
        " '" BENCH_USER_PREFIX "' || lpad(u::text, 7, '0'), 'bench'"
        " from generate_series(1, $1::int) u, generate_series(1, $2::int) t",
        2,
    };
    char count[24], threads[24];
    AUTO_ROWS rows = NULL;

    snprintf(count, sizeof count, "%" PRId64, users);
    snprintf(threads, sizeof threads, "%d", BENCH_THREADS);
    heddle_status status =
        pg_query(scene->pg, &statement, (const char *const[]){count, threads}, &rows, err);
    if (status == HEDDLE_OK)
        status = pg_script(scene->pg, "vacuum analyze chat.threads", err);
    return status;
}

heddle_status scene_queued(struct scene *scene, int64_t *count, struct heddle_error *err)
{
    return count_keys(scene, "HLEN", "ops", count, err);
}

heddle_status scene_processors(struct scene *scene, int64_t *count, struct heddle_error *err)
{
    int64_t beats = 0;
    heddle_status status = count_keys(scene, "ZCARD", "beats", &beats, err);

    /* Each beats in every partition. */
    if (status == HEDDLE_OK)
        *count = (beats + scene->partitions - 1) / scene->partitions;
    return status;
}

heddle_status scene_unfinished(struct scene *scene, int64_t *count, struct heddle_error *err)
{
    static const struct heddle_statement statement = {
        "bench_unfinished",
        "select count(*) from (select from heddle.operations"
        " where finished_at is null and seq is not null limit 1) o",
        0,
    };
    return ask_number(scene, &statement, NULL, count, err);
}

heddle_status scene_conditions(struct scene *scene, char *text, size_t size,
                               struct heddle_error *err)
{
    static const struct heddle_statement statement = {
        "bench_conditions",
        "select format('Postgres %s, synchronous_commit=%s, fsync=%s',"
        " current_setting('server_version'), current_setting('synchronous_commit'),"
        " current_setting('fsync'))",
        0,
    };
    AUTO_ROWS rows = NULL;
    AUTO_REPLY reply = NULL;

    heddle_status status = pg_query(scene->pg, &statement, NULL, &rows, err);
    if (status == HEDDLE_OK)
        status = redis_callf(scene->redis, &reply, err, "CONFIG", "GET", "appendonly", NULL);
    if (status != HEDDLE_OK)
        return status;
    snprintf(text, size, "Redis %s, appendonly=%s; %s", scene->redis_version,
             redis_reply_text(redis_reply_at(reply, 1)).data, heddle_rows_text(rows, 0, 0));
    return HEDDLE_OK;
}

/* The sum over all partitions of what `command` says of the key `name`. */
static heddle_status count_keys(struct scene *scene, const char *command, const char *name,
                                int64_t *count, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    int64_t sum = 0;

    for (unsigned p = 0; status == HEDDLE_OK && p < scene->partitions; p++) {
        char key[64];
        snprintf(key, sizeof key, "heddle:{%u}:%s", p, name);
        status = redis_append(scene->redis, 2, (const char *const[]){command, key},
                              (const size_t[]){strlen(command), strlen(key)}, err);
    }
    for (unsigned p = 0; status == HEDDLE_OK && p < scene->partitions; p++) {
        AUTO_REPLY reply = NULL;
        status = redis_next(scene->redis, 0, &reply, err);
        if (status == HEDDLE_OK)
            status = redis_refusal(reply, err);
        sum += redis_reply_integer(reply);
    }
    if (status == HEDDLE_OK)
        *count = sum;
    return status;
}

static heddle_status ask_number(struct scene *scene, const struct heddle_statement *statement,
                                const char *const *params, int64_t *number,
                                struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;
    heddle_status status = pg_query(scene->pg, statement, params, &rows, err);

    if (status == HEDDLE_OK && !text_parse_integer(heddle_rows_text(rows, 0, 0), number))
        status = heddle_fail(err, HEDDLE_PERMANENT, "bench", "no number from Postgres");
    return status;
}
