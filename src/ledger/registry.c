/* See registry.h. */
#include "ledger/registry.h"

#include "base/policy.h"
#include "heddle/uow.h"
#include "link/pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A removal is a row without a function. */
static const struct heddle_statement read_all = {
    "heddle_registry_read",
    "select op, function, read_only, never_bundle, options, version from heddle.handlers"
    " where (select max(version) from heddle.handlers) <> $1 order by op",
    1};
static const struct heddle_statement list = {
    "heddle_registry_list",
    "select row_to_json(h) from heddle.handlers h where function is not null order by op", 0};
static const struct heddle_statement broken = {"heddle_registry_broken",
                                               "select op, problem from heddle.broken_ops()", 0};
static const struct heddle_statement add = {
    "heddle_registry_add",
    "select heddle.register_op($1, $2, $3, $4, (o ->> 'attempts')::integer,"
    " (o ->> 'backoff_ms')::bigint * interval '1 ms', (o ->> 'backoff_max_ms')::bigint * interval "
    "'1 ms',"
    " (o ->> 'deadline_ms')::bigint * interval '1 ms', o ->> 'on_failure', $6)"
    " from (select $5::jsonb) as given (o)",
    6};
static const struct heddle_statement remove_it = {"heddle_registry_remove",
                                                  "select heddle.remove_op($1, $2)", 2};

static bool is_true(const struct heddle_rows *rows, int row, int column);
static struct registry_row read_row(const struct heddle_rows *rows, int row, struct arena *arena);

heddle_status registry_read(struct pg_link *link, int64_t version, struct arena *arena,
                            struct registry_page *page, struct heddle_error *err)
{
    char known[24];
    const char *const params[] = {known};
    AUTO_ROWS rows = NULL;

    snprintf(known, sizeof known, "%" PRId64, version);
    heddle_status status = pg_query(link, &read_all, params, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    const int count = heddle_rows_count(rows);
    *page = (struct registry_page){
        .version = count > 0 ? 0 : version,
        .rows = arena_alloc(arena, ((size_t)count + 1) * sizeof *page->rows),
    };
    for (int i = 0; i < count; i++) {
        const int64_t changed = strtoll(heddle_rows_text(rows, i, 5), NULL, 10);
        if (page->version < changed)
            page->version = changed;
        if (heddle_rows_text(rows, i, 1))
            page->rows[page->count++] = read_row(rows, i, arena);
    }
    return HEDDLE_OK;
}

heddle_status registry_list(struct pg_link *link, registry_found_function *found, void *argument,
                            struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &list, NULL, &rows, err);
    for (int i = 0; status == HEDDLE_OK && i < heddle_rows_count(rows); i++)
        found(argument, heddle_rows_text(rows, i, 0));
    return status;
}

heddle_status registry_find_broken(struct pg_link *link, registry_broken_function *found,
                                   void *argument, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &broken, NULL, &rows, err);
    for (int i = 0; status == HEDDLE_OK && i < heddle_rows_count(rows); i++)
        found(argument, heddle_rows_text(rows, i, 0), heddle_rows_text(rows, i, 1));
    return status;
}

heddle_status registry_add(struct pg_link *link, const struct registry_row *row, const char *by,
                           struct arena *arena, const char **name, struct heddle_error *err)
{
    char policy[POLICY_JSON_SIZE];
    const char *const params[] = {row->op,
                                  row->function,
                                  row->flags & HEDDLE_HANDLER_READ_ONLY ? "t" : "f",
                                  row->flags & HEDDLE_HANDLER_NEVER_BUNDLE ? "t" : "f",
                                  policy,
                                  by};
    AUTO_ROWS rows = NULL;

    policy_to_json(&row->policy, policy);
    heddle_status status = pg_query(link, &add, params, &rows, err);
    if (status == HEDDLE_OK)
        *name = arena_format(arena, "%s", heddle_rows_text(rows, 0, 0));
    return status;
}

heddle_status registry_remove(struct pg_link *link, const char *op, const char *by,
                              struct heddle_error *err)
{
    const char *const params[] = {op, by};
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &remove_it, params, &rows, err);
    if (status == HEDDLE_OK && !is_true(rows, 0, 0))
        return heddle_refuse(err, HEDDLE_KIND_NOT_FOUND, "op %.64s is not registered", op);
    return status;
}

static bool is_true(const struct heddle_rows *rows, int row, int column)
{
    return *heddle_rows_text(rows, row, column) == 't';
}

static struct registry_row read_row(const struct heddle_rows *rows, int row, struct arena *arena)
{
    const char *options = heddle_rows_text(rows, row, 4);
    struct registry_row read = {
        .op = arena_format(arena, "%s", heddle_rows_text(rows, row, 0)),
        .function = arena_format(arena, "%s", heddle_rows_text(rows, row, 1)),
        .version = strtoll(heddle_rows_text(rows, row, 5), NULL, 10),
    };

    if (is_true(rows, row, 2))
        read.flags |= HEDDLE_HANDLER_READ_ONLY;
    if (is_true(rows, row, 3))
        read.flags |= HEDDLE_HANDLER_NEVER_BUNDLE;
    if (options)
        read.policy = policy_from_json(options);
    return read;
}
