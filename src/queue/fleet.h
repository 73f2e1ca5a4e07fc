/* The fleet: the processors that Redis knows by their beats, and what each tells of itself. On the
 * caller's thread and link. */
#ifndef QUEUE_FLEET_H
#define QUEUE_FLEET_H

#include "heddle/error.h"
#include "heddle/operation.h"
#include "queue/check.h"

#include <stddef.h>
#include <stdint.h>

struct redis_link;

enum {
    FLEET_MEMBERS_MAX = 1024, /* others are left out */
    FLEET_PATIENCE_MS = 500,  /* with a healthy processor; it takes a few ms */
};

struct fleet_member {
    char incarnation[128];
    int64_t lease_left_ms; /* below 0: it has not beaten in time, and its lanes are taken over */
    char *report;          /* a JSON object (engine/report.h); NULL: it has not answered */
};

/* Embedded; zero is empty. */
struct fleet_members {
    struct fleet_member *members;
    size_t count;
};

void fleet_members_done(struct fleet_members *fleet);

/* Adds one that is known, unless it is there. */
void fleet_add(struct fleet_members *fleet, struct heddle_text incarnation, int64_t lease_left_ms);

/* Asks every partition who beats there. */
heddle_status fleet_find(struct redis_link *link, unsigned partitions, struct fleet_members *fleet,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Has those that were found report, about `lane` in particular where it is not empty; waits until
 * all have, `patience_ms` at most (less than the link's own time limit). That somebody has not is
 * no failure. */
heddle_status fleet_ask(struct redis_link *link, struct heddle_text lane, int patience_ms,
                        struct fleet_members *fleet, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* By a processor that was asked. */
heddle_status fleet_answer(struct redis_link *link, const char *token, struct heddle_text report,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Counts operations, lanes by their state, and processors of all partitions. */
heddle_status fleet_census(struct redis_link *link, unsigned partitions,
                           struct queue_census *census, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
