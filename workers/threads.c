/* See threads.h. Statements answer JSON, so nothing is built twice; the usual
 * case is one statement, and the reason for an unusual one is asked after it.
 *
 * Times are clock_timestamp(), not now(): a transaction may hold many
 * operations, and their threads keep the order in which they were made. */
#include "workers/threads.h"

#include "workers/options.h"
#include "workers/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define THREAD_JSON                                                                                \
    "json_build_object('id', id, 'user_id', user_id, 'title', title, 'status', status,"            \
    " 'metadata', metadata, 'created_at', " SQL_TIME(                                              \
        "created_at") ","                                                                          \
                      " 'updated_at', " SQL_TIME("updated_at") ", 'archived_at', " SQL_TIME(       \
                          "archived_at") ","                                                       \
                                         " 'message_count', last_seq)"

enum { NUMBER_SIZE = 24 };

static bool is_true(const struct heddle_rows *rows, int column);
static heddle_status query_own(struct heddle_uow *uow, const struct heddle_statement *statement,
                               struct thread_key key, const char *value, const char **json,
                               struct heddle_error *err);

struct thread_key thread_key_of(const struct heddle_operation *op)
{
    return (struct thread_key){.id = op->thread.data, .user = op->user.data};
}

heddle_status threads_insert(struct heddle_uow *uow, struct thread_key key, const char *fields,
                             const char **thread, struct heddle_error *err)
{
    /* A unique violation would fail the transaction, and with it its neighbours
     * in a bundle; no row is an answer. */
    static const struct heddle_statement insert = {
        .name = "threads_insert",
        .sql = "insert into chat.threads (id, user_id, title, metadata, created_at, updated_at)"
               " select $1::uuid, $2::text, $3::jsonb ->> 'title', " SQL_METADATA ", at, at"
               " from clock_timestamp() as at"
               " on conflict (id) do nothing returning " THREAD_JSON,
        .param_count = 3,
    };
    const char *const params[] = {key.id, key.user, fields};
    const struct heddle_rows *rows;
    heddle_status status = heddle_uow_query(uow, &insert, params, &rows, err);

    if (status != HEDDLE_OK)
        return status;
    if (heddle_rows_count(rows) == 0)
        return heddle_refuse(err, HEDDLE_KIND_CONFLICT, "a thread with this id exists");
    *thread = heddle_rows_text(rows, 0, 0);
    return HEDDLE_OK;
}

heddle_status threads_get(struct heddle_uow *uow, struct thread_key key, const char **thread,
                          struct heddle_error *err)
{
    static const struct heddle_statement get = {
        .name = "threads_get",
        .sql = "select " THREAD_JSON " from chat.threads where id = $1::uuid and user_id = $2",
        .param_count = 2,
    };
    return query_own(uow, &get, key, NULL, thread, err);
}

heddle_status threads_list(struct heddle_uow *uow, const char *user, const struct thread_page *page,
                           const char **list, struct heddle_error *err)
{
    /* One row more than the page tells whether there is a next one. The time
     * stands alone in `created_at <=`, so that the index begins at the cursor. */
    static const struct heddle_statement select = {
        .name = "threads_list",
        .sql = "with mark as materialized ("
               "  select coalesce(timestamptz 'epoch' + $3::bigint * interval '1 microsecond',"
               "                  'infinity') as at, $4::uuid as id),"
               " page as (select *, row_number() over (order by created_at desc, id) as n from ("
               "  select t.* from chat.threads t"
               "  where user_id = $1 and ($2::boolean or status = 'active')"
               "   and created_at <= (select at from mark)"
               "   and (created_at < (select at from mark) or t.id > (select id from mark))"
               "  order by created_at desc, t.id limit $5::bigint + 1 offset $6::bigint) as slice)"
               " select json_build_object("
               "'threads', (select coalesce(json_agg(" THREAD_JSON " order by n), '[]')"
               "  from page where n <= $5::bigint),"
               "'total', (select count(*) from chat.threads"
               "  where user_id = $1 and ($2::boolean or status = 'active')),"
               "'next_cursor', (select 't' ||"
               "  (extract(epoch from created_at) * 1000000)::bigint || '_' || id from page"
               "  where n = $5::bigint and exists (select from page where n > $5::bigint)))",
        .param_count = 6,
    };
    char created_us[NUMBER_SIZE], limit[NUMBER_SIZE], offset[NUMBER_SIZE];
    const char *const params[] = {
        user,
        page->with_archived ? "true" : "false",
        page->after_id ? created_us : NULL,
        page->after_id,
        limit,
        offset,
    };
    const struct heddle_rows *rows;

    snprintf(created_us, sizeof created_us, "%" PRId64, page->after_created_us);
    snprintf(limit, sizeof limit, "%" PRId64, page->limit);
    snprintf(offset, sizeof offset, "%" PRId64, page->offset);
    heddle_status status = heddle_uow_query(uow, &select, params, &rows, err);
    if (status == HEDDLE_OK)
        *list = heddle_rows_text(rows, 0, 0);
    return status;
}

heddle_status threads_update(struct heddle_uow *uow, struct thread_key key, const char *fields,
                             const char **thread, struct heddle_error *err)
{
    static const struct heddle_statement update = {
        .name = "threads_update",
        .sql = "update chat.threads set"
               " title = case when $3::jsonb ? 'title' then $3::jsonb ->> 'title' else title end,"
               " metadata = metadata || " SQL_METADATA ", updated_at = clock_timestamp()"
               " where id = $1::uuid and user_id = $2 returning " THREAD_JSON,
        .param_count = 3,
    };
    return query_own(uow, &update, key, fields, thread, err);
}

heddle_status threads_rename(struct heddle_uow *uow, struct thread_key key, const char *title,
                             const char **thread, struct heddle_error *err)
{
    static const struct heddle_statement rename = {
        .name = "threads_rename",
        .sql = "update chat.threads set title = $3, updated_at = clock_timestamp()"
               " where id = $1::uuid and user_id = $2 returning " THREAD_JSON,
        .param_count = 3,
    };
    return query_own(uow, &rename, key, title, thread, err);
}

heddle_status threads_archive(struct heddle_uow *uow, struct thread_key key, const char **answer,
                              struct heddle_error *err)
{
    static const struct heddle_statement archive = {
        .name = "threads_archive",
        .sql = "update chat.threads set status = 'archived',"
               " archived_at = coalesce(archived_at, at),"
               " updated_at = case when status = 'active' then at else updated_at end"
               " from clock_timestamp() as at where id = $1::uuid and user_id = $2"
               " returning json_build_object('message', 'thread archived', 'id', id,"
               " 'status', status, 'archived_at', " SQL_TIME("archived_at") ")",
        .param_count = 2,
    };
    return query_own(uow, &archive, key, NULL, answer, err);
}

heddle_status threads_explain(struct heddle_uow *uow, struct thread_key key,
                              struct heddle_error *err)
{
    static const struct heddle_statement look = {
        .name = "threads_explain",
        .sql = "select user_id = $2, status = 'archived' from chat.threads where id = $1::uuid",
        .param_count = 2,
    };
    const char *const params[] = {key.id, key.user};
    const struct heddle_rows *rows;
    heddle_status status = heddle_uow_query(uow, &look, params, &rows, err);

    if (status != HEDDLE_OK)
        return status;
    bool is_there = heddle_rows_count(rows) > 0;
    bool is_own = is_there && is_true(rows, 0);
    if (is_there && !is_own && workers_options()->reveal_forbidden)
        return heddle_refuse(err, HEDDLE_KIND_FORBIDDEN, "the thread belongs to another user");
    if (!is_own)
        return heddle_refuse(err, HEDDLE_KIND_NOT_FOUND, "there is no such thread");
    if (is_true(rows, 1))
        return heddle_refuse(err, HEDDLE_KIND_CONFLICT, "the thread is archived");
    return heddle_fail(err, HEDDLE_RETRY, "threads_explain", "the thread changed meanwhile");
}

static bool is_true(const struct heddle_rows *rows, int column)
{
    const char *text = heddle_rows_text(rows, 0, column);
    return text && strcmp(text, "t") == 0;
}

/* Runs a statement that answers one row where the thread is the user's. Its
 * parameters are id, user and, where it has a third, `value`. */
static heddle_status query_own(struct heddle_uow *uow, const struct heddle_statement *statement,
                               struct thread_key key, const char *value, const char **json,
                               struct heddle_error *err)
{
    const char *const params[] = {key.id, key.user, value};
    const struct heddle_rows *rows;
    heddle_status status = heddle_uow_query(uow, statement, params, &rows, err);

    if (status != HEDDLE_OK)
        return status;
    if (heddle_rows_count(rows) == 0)
        return threads_explain(uow, key, err);
    *json = heddle_rows_text(rows, 0, 0);
    return HEDDLE_OK;
}
