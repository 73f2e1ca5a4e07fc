/* See messages.h. A thread's messages have the seqs 1 to last_seq, without
 * gaps: the lock that an append holds on its thread's row gives them out. So
 * to leave out n messages and to begin after seq n is the same. */
#include "workers/messages.h"

#include "workers/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_JSON                                                                               \
    "json_build_object('id', m.id, 'thread_id', m.thread_id, 'seq', m.seq, 'role', m.role,"        \
    " 'content', m.content, 'metadata', m.metadata, 'created_at', " SQL_TIME("m.created_at") ")"

enum { NUMBER_SIZE = 24 };

static char *message_json(struct heddle_task *task, const struct new_message *message,
                          const struct heddle_rows *rows, int row);
static const char *text_or(const char *text, const char *other);
static char *put(char *out, const char *text);
static char *put_uuid(char *out, const char *text);
static size_t escaped_size(const char *text);
static char *put_escaped(char *out, const char *text);

/* What the insert says of a message; the rest is known. */
#define APPENDED "m.seq, nullif(m.metadata, '{}')::text, " SQL_TIME("m.created_at")

heddle_status messages_append(struct heddle_uow *uow, struct heddle_task *task,
                              const struct new_message *message, const char **json,
                              struct heddle_error *err)
{
    static const struct heddle_statement append = {
        .name = "messages_append",
        .sql = "with t as (update chat.threads"
               "  set last_seq = last_seq + 1, updated_at = clock_timestamp()"
               "  where id = $1::uuid and user_id = $2 and status = 'active'"
               "  returning id, last_seq, updated_at)"
               " insert into chat.messages as m"
               "  (id, thread_id, seq, role, content, metadata, created_at)"
               " select $4::uuid, id, last_seq, $5::text, $6::text, " SQL_METADATA ", updated_at"
               " from t returning " APPENDED,
        .param_count = 6,
    };
    const struct thread_key thread = message->thread;
    const char *const params[] = {thread.id,   thread.user,   message->payload,
                                  message->id, message->role, message->content};
    const struct heddle_rows *rows;
    heddle_status status = heddle_uow_query(uow, &append, params, &rows, err);

    if (status != HEDDLE_OK)
        return status;
    if (heddle_rows_count(rows) == 0)
        return threads_explain(uow, thread, err);
    *json = message_json(task, message, rows, 0);
    return HEDDLE_OK;
}

heddle_status messages_append_many(struct heddle_uow *uow, struct heddle_task *task,
                                   const struct new_message *messages, size_t count,
                                   const char **jsons, struct heddle_error *err)
{
    enum { COLUMNS = 6 };
    static const enum heddle_array_type types[COLUMNS] = {HEDDLE_ARRAY_UUID, HEDDLE_ARRAY_TEXT,
                                                          HEDDLE_ARRAY_JSON, HEDDLE_ARRAY_UUID,
                                                          HEDDLE_ARRAY_TEXT, HEDDLE_ARRAY_TEXT};
    static const struct heddle_statement append = {
        .name = "messages_append_many",
        .sql = "select * from chat.append_messages($1, $2, $3, $4, $5, $6)",
        .param_count = COLUMNS,
    };
    struct heddle_array *columns[COLUMNS];
    const struct heddle_rows *rows;

    for (int c = 0; c < COLUMNS; c++)
        columns[c] = heddle_array_new(task, types[c]);
    for (size_t i = 0; i < count; i++) {
        const struct new_message *m = &messages[i];
        const char *const row[] = {m->thread.id, m->thread.user, m->payload,
                                   m->id,        m->role,        m->content};
        for (int c = 0; c < COLUMNS; c++)
            heddle_array_add(columns[c], row[c]);
    }
    heddle_status status = heddle_uow_query_arrays(uow, &append, columns, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        jsons[i] = heddle_rows_text(rows, (int)i, 0)
                       ? message_json(task, &messages[i], rows, (int)i)
                       : NULL;
    return HEDDLE_OK;
}

heddle_status messages_list(struct heddle_uow *uow, struct thread_key thread, int64_t after,
                            int64_t limit, const char **list, struct heddle_error *err)
{
    static const struct heddle_statement select = {
        .name = "messages_list",
        .sql = "select json_build_object("
               "'messages', (select coalesce(json_agg(" MESSAGE_JSON " order by m.seq), '[]')"
               "  from chat.messages m where m.thread_id = t.id"
               "  and m.seq > $3::bigint and m.seq <= $3::bigint + $4::bigint),"
               "'total', t.last_seq,"
               "'next_cursor', case when t.last_seq > $3::bigint + $4::bigint"
               "  then 'm' || ($3::bigint + $4::bigint) end)"
               " from chat.threads t where t.id = $1::uuid and t.user_id = $2",
        .param_count = 4,
    };
    char after_text[NUMBER_SIZE], limit_text[NUMBER_SIZE];
    const char *const params[] = {thread.id, thread.user, after_text, limit_text};
    const struct heddle_rows *rows;

    snprintf(after_text, sizeof after_text, "%" PRId64, after);
    snprintf(limit_text, sizeof limit_text, "%" PRId64, limit);
    heddle_status status = heddle_uow_query(uow, &select, params, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    if (heddle_rows_count(rows) == 0)
        return threads_explain(uow, thread, err);
    *list = heddle_rows_text(rows, 0, 0);
    return HEDDLE_OK;
}

heddle_status messages_first_of_user(struct heddle_uow *uow, struct thread_key thread,
                                     const char **content, struct heddle_error *err)
{
    static const struct heddle_statement select = {
        .name = "messages_first_of_user",
        .sql = "select (select left(m.content, $3::integer) from chat.messages m"
               "  where m.thread_id = t.id and m.role = 'user' order by m.seq limit 1)"
               " from chat.threads t where t.id = $1::uuid and t.user_id = $2",
        .param_count = 3,
    };
    char characters[NUMBER_SIZE];
    const char *const params[] = {thread.id, thread.user, characters};
    const struct heddle_rows *rows;

    snprintf(characters, sizeof characters, "%d", MESSAGE_EXCERPT_CHARACTERS);
    heddle_status status = heddle_uow_query(uow, &select, params, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    if (heddle_rows_count(rows) == 0)
        return threads_explain(uow, thread, err);
    const char *first = heddle_rows_text(rows, 0, 0);
    if (!first)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "the thread has no message of role user");
    *content = first;
    return HEDDLE_OK;
}

/* MESSAGE_JSON of a message that was appended. Made here, because Postgres has more to do. */
static char *message_json(struct heddle_task *task, const struct new_message *message,
                          const struct heddle_rows *rows, int row)
{
    const char *seq = text_or(heddle_rows_text(rows, row, 0), "null");
    const char *metadata = text_or(heddle_rows_text(rows, row, 1), "{}");
    const char *at = text_or(heddle_rows_text(rows, row, 2), "");

    /* The names, and what is no longer than its bound. */
    const size_t fixed = 256 + 2 * HEDDLE_ID_SIZE + NUMBER_SIZE;
    char *json = heddle_task_alloc(task, fixed + strlen(metadata) + strlen(at) +
                                             escaped_size(message->content));
    char *out = put_uuid(put(json, "{\"id\" : \""), message->id);
    out = put_uuid(put(out, "\", \"thread_id\" : \""), message->thread.id);
    out = put(put(out, "\", \"seq\" : "), seq);
    out = put(put(out, ", \"role\" : \""), message->role);
    out = put_escaped(put(out, "\", \"content\" : \""), message->content);
    out = put(put(out, "\", \"metadata\" : "), metadata);
    out = put(put(out, ", \"created_at\" : \""), at);
    put(out, "\"}");
    return json;
}

static const char *text_or(const char *text, const char *other)
{
    return text ? text : other;
}

static char *put(char *out, const char *text)
{
    return stpcpy(out, text);
}

/* In lower case, as Postgres writes them. */
static char *put_uuid(char *out, const char *text)
{
    for (; *text; text++)
        *out++ = (char)(*text >= 'A' && *text <= 'F' ? *text | 0x20 : *text);
    *out = '\0';
    return out;
}

/* At most. */
static size_t escaped_size(const char *text)
{
    size_t size = 0;

    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        size += c < ' ' ? 6 : c == '"' || c == '\\' ? 2 : 1;
    }
    return size;
}

/* As Postgres escapes. */
static char *put_escaped(char *out, const char *text)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c >= ' ' && c != '"' && c != '\\') {
            *out++ = (char)c;
            continue;
        }
        const char *letter = letters;
        while (*letter && *letter != (char)c)
            letter += 2;
        if (*letter) {
            *out++ = '\\';
            *out++ = letter[1];
        } else {
            out += sprintf(out, "\\u%04x", c);
        }
    }
    *out = '\0';
    return out;
}
