/* The servers of a test program (support/with-servers), seen from beside: sessions of its own
 * that look at what others do, and arrange faults. One thread. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "heddle/error.h"
#include "link/pg.h"

#include <stdbool.h>

enum { FIXTURE_PATIENCE_MS = 20000 };

/* Addresses of the servers; the test fails where there are none. */
const char *fixture_redis(void);
const char *fixture_postgres(void);

/* The connection string with another user of Postgres, who may do anything. */
const char *fixture_superuser(void);

/* Installs the schema, the first time that it is called. */
void fixture_migrate(void);

/* Options as a processor's, with short timeouts. */
struct pg_options fixture_pg_options(const char *application_name);
struct pg_link *fixture_pg(const struct pg_options *options);

/* Runs a statement on the session that looks on, and returns its first field: "" where there is no
 * row, or null. It lives until the fourth call after this one. */
const char *ask(const char *format, ...) HEDDLE_PRINTF(1, 2);

/* A script, by the same session. */
void tell(const char *format, ...) HEDDLE_PRINTF(1, 2);

/* The same as superuser. */
void tell_as_superuser(const char *sql);

/* Asks again and again until the answer is this one; the test fails when it never is. */
void ask_until(const char *expected, const char *format, ...) HEDDLE_PRINTF(2, 3);

/* Ends the sessions of this file. */
void fixture_done(void);

#endif
