/* What a benchmark has left behind, by the ledger and the messages (scene.h). */
#include "app/bench/scene.h"

#include "app/bench/corpus.h"
#include "app/bench/plan.h"
#include "app/bench/work.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "link/pg.h"

#define OURS "'" BENCH_USER_PREFIX "%'"

static heddle_status ask_numbers(struct scene *scene, const struct heddle_statement *statement,
                                 const char *const *params, int64_t *numbers, int count,
                                 struct heddle_error *err);

heddle_status scene_verify(struct scene *scene, int64_t operations, bool *is_right,
                           struct heddle_error *err)
{
    /* A message's content begins with its number among its user's and its thread's. */
    static const struct heddle_statement messages = {
        "bench_messages",
        "with m as (select t.user_id, t.id as thread, m.seq, t.last_seq,"
        " left(m.content, 10)::bigint as number, substr(m.content, 12, 2)::int as place,"
        " lag(left(m.content, 10)::bigint) over (partition by t.id order by m.seq) as before,"
        " row_number() over (partition by t.id order by m.seq) as nth,"
        " count(*) over (partition by t.id) as size"
        " from chat.messages m join chat.threads t on t.id = m.thread_id"
        " where t.user_id like " OURS "),"
        " u as (select count(*) as n, count(distinct number) as d, min(number) as least,"
        " max(number) as most from m group by user_id)"
        " select (select count(*) from m),"
        " (select count(*) from m where before >= number or nth <> seq or last_seq <> size"
        " or right(thread::text, 12)::int <> place),"
        " (select count(*) from u where n <> d or least <> 1 or most <> n),"
        " (select count(*) from heddle.operations where user_id like " OURS
        " and op = 'send_message'),"
        " (select count(*) from heddle.operations where user_id like " OURS
        " and op = 'send_message' and state <> 'done')",
        0,
    };
    int64_t found[5];

    heddle_status status = ask_numbers(scene, &messages, NULL, found, 5, err);
    if (status != HEDDLE_OK)
        return status;
    snprintf(scene->text, sizeof scene->text,
             "%" PRId64 " messages of %" PRId64 ", %" PRId64 " out of order, %" PRId64
             " users with a gap or a repetition; %" PRId64 " rows in the ledger, %" PRId64
             " of them not done",
             found[0], operations, found[1], found[2], found[3], found[4]);
    *is_right = found[0] == operations && found[1] == 0 && found[2] == 0 &&
                found[3] == operations && found[4] == 0;
    return HEDDLE_OK;
}

heddle_status scene_verify_corpus(struct scene *scene, const struct bench_plan *plan,
                                  bool *is_right, struct heddle_error *err)
{
    /* The ids count. */
    static const struct heddle_statement statement = {
        "bench_corpus",
        "select count(*), count(*) filter (where state is distinct from 'done'"
        " and state is distinct from 'failed'), count(*) filter (where state = 'failed'),"
        " count(*) filter (where started_at < before)"
        " from (select state, started_at, lag(started_at) over (partition by user_id order by id)"
        " as before from heddle.operations where user_id like " OURS ") o",
        0,
    };
    const int64_t recorded = corpus_recorded(plan->corpus, plan->is_durable);
    int64_t found[4];

    heddle_status status = ask_numbers(scene, &statement, NULL, found, 4, err);
    if (status != HEDDLE_OK)
        return status;
    snprintf(scene->text, sizeof scene->text,
             "%" PRId64 " operations in the ledger of %" PRId64 " that belong there, %" PRId64
             " of them neither done nor failed, %" PRId64 " failed; %" PRId64 " out of order",
             found[0], recorded, found[1], found[2], found[3]);
    *is_right = found[0] == recorded && found[1] == 0 && found[3] == 0;
    return HEDDLE_OK;
}

heddle_status scene_starts(struct scene *scene, int64_t users, int64_t started_us[4],
                           int64_t bundle_us[4], struct heddle_error *err)
{
#define SHARES "array[0.5, 0.99, 0.999, 1]"
    static const struct heddle_statement statement = {
        "bench_starts",
        "select coalesce(v[1], 0), coalesce(v[2], 0), coalesce(v[3], 0), coalesce(v[4], 0),"
        " coalesce(b[1], 0), coalesce(b[2], 0), coalesce(b[3], 0), coalesce(b[4], 0) from (select"
        " (percentile_disc(" SHARES ") within group (order by"
        " (extract(epoch from started_at - submitted_at) * 1000000)::bigint)"
        " filter (where user_id <= $1)) as v,"
        " (percentile_disc(" SHARES ") within group (order by"
        " (extract(epoch from finished_at - started_at) * 1000000)::bigint)"
        " filter (where user_id > $1)) as b"
        " from heddle.operations where user_id like " OURS ") o",
        1,
    };
#undef SHARES
    char last[32];
    int64_t found[8];

    snprintf(last, sizeof last, BENCH_USER_PREFIX "%07" PRId64, users);
    heddle_status status =
        ask_numbers(scene, &statement, (const char *const[]){last}, found, 8, err);
    for (int i = 0; status == HEDDLE_OK && i < 4; i++) {
        started_us[i] = found[i];
        bundle_us[i] = found[4 + i];
    }
    return status;
}

static heddle_status ask_numbers(struct scene *scene, const struct heddle_statement *statement,
                                 const char *const *params, int64_t *numbers, int count,
                                 struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(scene->pg, statement, params, &rows, err);
    for (int i = 0; status == HEDDLE_OK && i < count; i++)
        if (!text_parse_integer(heddle_rows_text(rows, 0, i), &numbers[i]))
            status = heddle_fail(err, HEDDLE_PERMANENT, "bench", "no numbers from Postgres");
    return status;
}
