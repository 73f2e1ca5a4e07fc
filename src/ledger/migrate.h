/* The schema: numbered migrations, embedded, applied in order, each in one
 * transaction, under an advisory lock so that two callers don't collide. */
#ifndef LEDGER_MIGRATE_H
#define LEDGER_MIGRATE_H

#include "heddle/error.h"

struct pg_link;

/* Number of the newest migration that this binary carries. */
int migrate_newest(void);

/* The database's number; 0 where Heddle was never installed. */
heddle_status migrate_current(struct pg_link *link, int *number,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Brings the database to migrate_newest(); `*applied` counts the migrations that
 * were missing. A database that is newer than the binary is left alone: HEDDLE_OK. */
heddle_status migrate_apply(struct pg_link *link, int *applied,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
