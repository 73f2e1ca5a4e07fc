/* See users.h. */
#include "ledger/users.h"

#include "base/arena.h"
#include "heddle/uow.h"
#include "link/pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct heddle_statement told = {"heddle_user_told", "select heddle.user_told($1)", 1};
static const struct heddle_statement failing = {
    "heddle_failing_users", "select row_to_json(f) from heddle.failing_users($1) f", 1};

heddle_status users_told(struct pg_link *link, const char *user, char **json,
                         struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &told, &user, &rows, err);
    if (status == HEDDLE_OK)
        *json = memory_copy(heddle_rows_text(rows, 0, 0), strlen(heddle_rows_text(rows, 0, 0)));
    return status;
}

heddle_status users_failing(struct pg_link *link, int64_t most, users_failing_function *found,
                            void *argument, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;
    char text[24];
    const char *param = text;

    snprintf(text, sizeof text, "%" PRId64, most);
    heddle_status status = pg_query(link, &failing, &param, &rows, err);
    for (int i = 0; status == HEDDLE_OK && i < heddle_rows_count(rows); i++)
        found(argument, heddle_rows_text(rows, i, 0));
    return status;
}
