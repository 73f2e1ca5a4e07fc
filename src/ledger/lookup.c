/* See lookup.h. Runs on the caller's thread. */
#include "ledger/lookup.h"

#include "base/arena.h"
#include "heddle/uow.h"
#include "link/pg.h"

#include <string.h>

static const struct heddle_statement operation_row = {
    "heddle_lookup_operation", "select row_to_json(s) from heddle.status s where id = $1", 1};

static const struct heddle_statement operation_result = {
    "heddle_lookup_result",
    "select case when state = 'done'"
    " then json_build_object('id', id, 'state', state, 'code', code, 'data', result)"
    " else json_build_object('id', id, 'state', state, 'code', code, 'error', error) end"
    " from heddle.operations"
    " where id = $1 and state in ('done', 'failed', 'dead', 'cancelled')",
    1};

static const struct heddle_statement why = {"heddle_lookup_why", "select heddle.why($1)", 1};

static heddle_status ask(struct pg_link *link, const struct heddle_statement *statement,
                         const char *param, bool *found, char **json, struct heddle_error *err);

heddle_status lookup_operation(struct pg_link *link, const char *id, bool *found, char **json,
                               struct heddle_error *err)
{
    return ask(link, &operation_row, id, found, json, err);
}

heddle_status lookup_result(struct pg_link *link, const char *id, bool *found, char **json,
                            struct heddle_error *err)
{
    return ask(link, &operation_result, id, found, json, err);
}

heddle_status lookup_why(struct pg_link *link, const char *asked, char **json,
                         struct heddle_error *err)
{
    bool found;

    return ask(link, &why, asked, &found, json, err);
}

static heddle_status ask(struct pg_link *link, const struct heddle_statement *statement,
                         const char *param, bool *found, char **json, struct heddle_error *err)
{
    const char *const params[] = {param};
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, statement, params, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    const char *text = heddle_rows_text(rows, 0, 0);
    *found = text != NULL;
    if (text)
        *json = memory_copy(text, strlen(text));
    return HEDDLE_OK;
}
