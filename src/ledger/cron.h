/* Recurring operations: table heddle.cron, whose rules stand in sql/0009_cron.sql. Each call is a
 * transaction of its own, on the caller's thread and link. */
#ifndef LEDGER_CRON_H
#define LEDGER_CRON_H

#include "heddle/error.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_link;

enum { CRON_NAME_SIZE = 65, CRON_PROBLEM_SIZE = 256, CRON_TIME_SIZE = 40 };

/* Of those that may be NULL, NULL is heddle.cron_add's default. */
struct cron_row {
    const char *name, *schedule;
    const char *zone;     /* or NULL */
    const char *catch_up; /* or NULL */
    const char *user, *op;
    const char *thread;  /* or NULL */
    const char *payload; /* a JSON object, or NULL */
    const char *options; /* of a submission, as JSON, or NULL */
};

/* In the place of what has its name. `next` is the next tick. HEDDLE_REFUSED, kind invalid: what
 * does not fit. */
heddle_status cron_add(struct pg_link *link, const struct cron_row *row, const char *by,
                       char next[CRON_TIME_SIZE], struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Called for each, in the order of names, with its row of heddle.cron as JSON. */
typedef void cron_found_function(void *argument, const char *json);
heddle_status cron_list(struct pg_link *link, cron_found_function *found, void *argument,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

/* HEDDLE_REFUSED, kind not_found: nothing recurs by this name. */
heddle_status cron_pause(struct pg_link *link, const char *name, bool pauses,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status cron_remove(struct pg_link *link, const char *name,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

struct cron_tick {
    char name[CRON_NAME_SIZE];       /* "": none was due */
    char problem[CRON_PROBLEM_SIZE]; /* why it is not submitted; or "" */
    int64_t next_ms;                 /* until the next one is due; INT64_MAX: never */
};

/* Submits the operation of a tick that is due. Several may call at the same time. */
heddle_status cron_fire(struct pg_link *link, struct cron_tick *tick,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
