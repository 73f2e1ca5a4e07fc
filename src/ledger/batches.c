/* See batches.h. */
#include "ledger/batches.h"

#include "heddle/uow.h"
#include "link/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct heddle_statement close_it = {
    "heddle_batch_close",
    "select heddle.batch_close($1, $2, $3, coalesce($4, '{}')::jsonb, $5, $6)", 6};
static const struct heddle_statement cancel_some = {"heddle_batch_cancel",
                                                    "select heddle.batch_cancel($1)", 1};
static const struct heddle_statement show = {"heddle_batch_show",
                                             "select row_to_json(b) from heddle.batch($1) b", 1};
static const struct heddle_statement list = {
    "heddle_batch_list",
    "select row_to_json(b) from heddle.batch_status b order by coalesce(created_at, closed_at)"
    " desc limit $1",
    1};
static const struct heddle_statement ending = {"heddle_batches_ending",
                                               "select heddle.batches_ending($1)", 1};
static const struct heddle_statement complete = {"heddle_batch_complete",
                                                 "select heddle.batch_complete($1)", 1};

heddle_status batches_close(struct pg_link *link, const char *name,
                            const struct batch_completion *completion, char id[HEDDLE_ID_SIZE + 1],
                            struct heddle_error *err)
{
    const char *const params[] = {name,
                                  completion->op,
                                  completion->user,
                                  completion->payload,
                                  completion->thread,
                                  completion->even_on_failure ? "t" : "f"};
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &close_it, params, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    const char *completion_id = heddle_rows_text(rows, 0, 0);
    snprintf(id, HEDDLE_ID_SIZE + 1, "%s", completion_id ? completion_id : "");
    return HEDDLE_OK;
}

heddle_status batches_cancel(struct pg_link *link, const char *name, int *count,
                             struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &cancel_some, &name, &rows, err);
    if (status == HEDDLE_OK)
        *count = atoi(heddle_rows_text(rows, 0, 0));
    return status;
}

heddle_status batches_show(struct pg_link *link, const char *name, batches_found_function *found,
                           void *argument, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &show, &name, &rows, err);
    if (status == HEDDLE_OK)
        found(argument, heddle_rows_text(rows, 0, 0));
    return status;
}

heddle_status batches_list(struct pg_link *link, int most, batches_found_function *found,
                           void *argument, struct heddle_error *err)
{
    char limit[12];
    const char *const params[] = {limit};
    AUTO_ROWS rows = NULL;

    snprintf(limit, sizeof limit, "%d", most);
    heddle_status status = pg_query(link, &list, params, &rows, err);
    for (int i = 0; status == HEDDLE_OK && i < heddle_rows_count(rows); i++)
        found(argument, heddle_rows_text(rows, i, 0));
    return status;
}

heddle_status batches_ending(struct pg_link *link, int most, struct arena *arena,
                             const char ***names, size_t *count, struct heddle_error *err)
{
    char limit[12];
    const char *const params[] = {limit};
    AUTO_ROWS rows = NULL;

    snprintf(limit, sizeof limit, "%d", most);
    heddle_status status = pg_query(link, &ending, params, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    *count = (size_t)heddle_rows_count(rows);
    *names = arena_alloc(arena, (*count + 1) * sizeof **names);
    for (size_t i = 0; i < *count; i++) {
        const char *name = heddle_rows_text(rows, (int)i, 0);
        (*names)[i] = arena_copy(arena, name, strlen(name));
    }
    return HEDDLE_OK;
}

heddle_status batches_complete(struct pg_link *link, const char *name, struct arena *arena,
                               const char **answer, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &complete, &name, &rows, err);
    if (status == HEDDLE_OK) {
        const char *text = heddle_rows_text(rows, 0, 0);
        *answer = arena_copy(arena, text, strlen(text));
    }
    return status;
}
