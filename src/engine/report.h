/* The report of a processor: what it is, what it has in hand, what each of its workers runs, how
 * many operations it has ended in the last seconds. Takes no lock for longer than a copy: from any
 * thread. */
#ifndef ENGINE_REPORT_H
#define ENGINE_REPORT_H

#include "engine/gauge.h"
#include "engine/holdings.h"
#include "engine/relay.h"
#include "engine/roster.h"
#include "engine/runqueue.h"

#include <stdatomic.h>
#include <stdint.h>

enum { REPORT_TOKEN_SIZE_MAX = 32 };

struct fleet_members;

/* What somebody asks. */
struct report_request {
    char token[REPORT_TOKEN_SIZE_MAX + 1]; /* where the answer goes: fleet.h */
    char lane[HEDDLE_USER_SIZE_MAX + 1];   /* that it is about in particular; empty: none */
};

/* What a report is made of; all of it outlives whoever reports. */
struct report_parts {
    const char *incarnation;
    int64_t start_us; /* wall clock */
    bool is_quarantine;
    const atomic_bool *is_quiet;
    struct gauge *gauge;
    struct holdings *holdings;
    struct relay *relay;
    struct roster *roster;
    struct runqueue *queue;
};

/* One JSON object; freed by the caller (free). Members: incarnation, host, pid, version, state
 * (running or quiet), quarantine, leads, started_ms, at_ms, claims (in hand), queued (those that no
 * worker has begun), operations {seconds, done, failed, dead, cancelled}, latency_us {p50, p99,
 * counts: [most, number]…}, workers (idle or busy, with the first operation, how many, phase,
 * since_ms, for_ms); with a lane asked for also lane {user, operations (in hand), running: of each
 * worker that has some of it worker, op, phase, since_ms, for_ms, ids}. */
char *report_write(const struct report_parts *parts, const char *lane);

/* The reports of a fleet that was asked, an array that the caller releases; who has not answered
 * has incarnation and state alone: silent, or late where it does not beat in time either. */
struct json_t *report_read_all(const struct fleet_members *fleet);

#endif
