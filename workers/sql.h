/* Pieces of SQL that the repositories share. */
#ifndef WORKERS_SQL_H
#define WORKERS_SQL_H

/* A timestamptz as ISO 8601 in UTC, whatever time zone the session has. */
#define SQL_TIME(column)                                                                           \
    "to_char(" column " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

/* The metadata of the payload in $3, {} where it has none. Read by Postgres and
 * not by us, because jsonb keeps its numbers as they were written. */
#define SQL_METADATA "coalesce(nullif($3::jsonb -> 'metadata', 'null'), '{}')"

#endif
