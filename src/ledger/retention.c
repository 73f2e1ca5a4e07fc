/* See retention.h. */
#include "ledger/retention.h"

#include "heddle/uow.h"
#include "link/pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct heddle_statement prune = {"heddle_prune", "select heddle.prune($1, $2, $3)", 3};
static const struct heddle_statement look = {
    "heddle_pruning",
    "select date_trunc('second', began_at), date_trunc('second', ended_at),"
    " date_trunc('second', next_at), operations, dead_letters, batches, controls"
    " from heddle.pruning",
    0};

static void copy_field(const struct heddle_rows *rows, int column, char text[40]);
static int64_t number(const struct heddle_rows *rows, int column);

heddle_status retention_prune(struct pg_link *link, const struct retention *retention,
                              int64_t *due_ms, struct heddle_error *err)
{
    char texts[3][24];
    const char *const params[] = {texts[0], texts[1], texts[2]};
    AUTO_ROWS rows = NULL;

    snprintf(texts[0], sizeof texts[0], "%" PRId64, retention->operations_ms);
    snprintf(texts[1], sizeof texts[1], "%" PRId64, retention->dead_ms);
    snprintf(texts[2], sizeof texts[2], "%" PRId64, retention->batches_ms);
    heddle_status status = pg_query(link, &prune, params, &rows, err);
    if (status == HEDDLE_OK)
        *due_ms = number(rows, 0);
    return status;
}

heddle_status retention_look(struct pg_link *link, struct retention_facts *facts,
                             struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &look, NULL, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    copy_field(rows, 0, facts->began_at);
    copy_field(rows, 1, facts->ended_at);
    copy_field(rows, 2, facts->next_at);
    facts->operations = number(rows, 3);
    facts->dead_letters = number(rows, 4);
    facts->batches = number(rows, 5);
    facts->controls = number(rows, 6);
    return HEDDLE_OK;
}

static void copy_field(const struct heddle_rows *rows, int column, char text[40])
{
    const char *field = heddle_rows_text(rows, 0, column);

    snprintf(text, 40, "%s", field ? field : "");
}

static int64_t number(const struct heddle_rows *rows, int column)
{
    return strtoll(heddle_rows_text(rows, 0, column), NULL, 10);
}
