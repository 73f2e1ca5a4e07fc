/* Rows of a query, and what an SQLSTATE asks for. Pure. */
#include "link/pg_internal.h"

#include <stdlib.h>
#include <string.h>

int heddle_rows_count(const struct heddle_rows *rows)
{
    return rows ? PQntuples(rows_inside(rows)) : 0;
}

const char *heddle_rows_text(const struct heddle_rows *rows, int row, int column)
{
    const PGresult *result = rows_inside(rows);

    if (!rows || row < 0 || row >= PQntuples(result) || column < 0 || column >= PQnfields(result))
        return NULL;
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

int heddle_rows_affected(const struct heddle_rows *rows)
{
    /* libpq wants it mutable and does not change it. */
    return rows ? atoi(PQcmdTuples((PGresult *)(uintptr_t)rows_inside(rows))) : 0;
}

void pg_rows_free(struct heddle_rows *rows)
{
    PQclear((PGresult *)(void *)rows);
}

void pg_rows_cleanup(struct heddle_rows **rows)
{
    pg_rows_free(*rows);
}

bool pg_is_outage(const struct heddle_error *err)
{
    /* 08 connection, 25006 read-only, 53 resources, 57P0x shutdown and start-up, 58 I/O. */
    static const char *const outages[] = {"08", "25006", "53", "57P0", "58", NULL};

    for (size_t i = 0; outages[i]; i++)
        if (strncmp(err->sqlstate, outages[i], strlen(outages[i])) == 0)
            return true;
    return *err->sqlstate == '\0' && strcmp(err->where, PG_WHERE) == 0;
}

heddle_status pg_classify(const char *sqlstate)
{
    /* Faults that pass: of concurrency, of our own timeouts, of the server's weather.
     * 55P03 lock not available, 57014 query canceled (statement_timeout), 25P03 idle in transaction
     * timeout, 25006 read-only (a standby after a failover), 40 rollback, 08 connection,
     * 53 resources (connections, disk, memory), 57P0x shutdown and start-up, 58 I/O. */
    static const char *const passing[] = {"55P03", "57014", "25P03", "25006", "40",
                                          "08",    "53",    "57P0",  "58",    NULL};

    /* Without a state the error is libpq's own: the connection. */
    if (*sqlstate == '\0')
        return HEDDLE_RETRY;
    for (size_t i = 0; passing[i]; i++)
        if (strncmp(sqlstate, passing[i], strlen(passing[i])) == 0)
            return HEDDLE_RETRY;
    return HEDDLE_PERMANENT;
}
