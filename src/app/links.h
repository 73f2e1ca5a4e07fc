/* Connections of a command to Redis and Postgres, as the settings say. */
#ifndef APP_LINKS_H
#define APP_LINKS_H

#include "heddle/error.h"

struct heddle_client;
struct options;
struct pg_link;
struct redis_link;

/* Each connects before it returns (the client at its first call). HEDDLE_RETRY:
 * can't be reached. HEDDLE_FATAL: refuses us, or the address makes no sense. */
heddle_status links_redis(const struct options *options, struct redis_link **link,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status links_postgres(const struct options *options, struct pg_link **link,
                             struct heddle_error *err) HEDDLE_MUST_CHECK;
/* Both, which connect when they are used. HEDDLE_FATAL: an address makes no sense. */
heddle_status links_idle(const struct options *options, struct pg_link **ledger,
                         struct redis_link **queue, struct heddle_error *err) HEDDLE_MUST_CHECK;
/* Without time limits on statements: for migrations. */
heddle_status links_postgres_unbounded(const struct options *options, struct pg_link **link,
                                       struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status links_client(const struct options *options, struct heddle_client **client,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
