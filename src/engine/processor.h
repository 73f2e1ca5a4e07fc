/* A processor: the threads that claim, execute and settle, in this process.
 *
 * But for processor_quit, all of it is called by the thread that owns the processor, the one that
 * takes signals. */
#ifndef ENGINE_PROCESSOR_H
#define ENGINE_PROCESSOR_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct board;
struct heddle_hooks;
struct processor;

struct processor_options {
    const char *redis;                            /* address; borrowed until processor_free */
    const char *postgres;                         /* connection string; borrowed likewise */
    const struct heddle_handler *const *handlers; /* NULL-terminated; borrowed likewise */
    const struct heddle_hooks *const *hooks; /* NULL-terminated, or NULL: none; borrowed likewise */
    int workers;
    int user_concurrency;     /* operations of one user at once at most */
    int claim_lanes_max;      /* lanes a claim takes at most */
    int claim_operations_max; /* operations of one lane a claim takes at most */
    int bundle_max;           /* operations of a bundle at most; 1: no bundles */
    int64_t bundle_us;        /* what a bundle may take, so far as that can be known */
    int64_t lease_ms;
    int64_t drain_ms;
    int64_t soft_deadline_ms, hard_deadline_ms; /* of an operation; 0: none. See watchdog.h */
    int64_t user_idle_ms;                       /* 0: nobody is closed for being idle */
    int64_t result_ttl_ms;
    int64_t result_bytes_max; /* 0: any */
    int redis_timeout_ms;
    int connect_timeout_ms;
    int statement_timeout_ms;
    int lock_timeout_ms;
    int idle_transaction_timeout_ms;
    int commit_deadline_ms;
    int retry_attempts; /* in place, before the lane waits */
    int64_t retry_base_ms, retry_cap_ms;
    struct heddle_policy policy; /* where neither submission nor handler says */
    bool with_prepared_statements;
    struct board *board; /* what the supervisor watches; NULL: there is none */
    bool is_quarantine;  /* runs suspects: no lane but theirs is claimed */
};

/* Connects, checks versions and eviction policy, joins the queue; nothing is claimed yet.
 * HEDDLE_RETRY: Redis or Postgres can't be reached. HEDDLE_FATAL: they can, and are not fit. */
heddle_status processor_new(const struct processor_options *options, struct processor **processor,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Starts its threads. */
void processor_start(struct processor *processor);

/* Tells the supervisor, where there is one, that it has started. */
void processor_announce(struct processor *processor);

/* For a quarantine: no suspect is left. */
bool processor_is_idle(struct processor *processor);

/* Begins nothing more, gives back what was not begun, and lives on: until processor_resume. */
void processor_quiet(struct processor *processor);
void processor_resume(struct processor *processor);

/* Logs what every worker does. */
void processor_report(struct processor *processor);

/* What runs is cancelled, nothing more is begun: a processor_drain, under way or to come, has
 * little to wait for. From any thread, and async-signal-safe. */
void processor_quit(struct processor *processor);
bool processor_has_quit(const struct processor *processor);

/* Stops claiming, finishes what is claimed, settles and releases it: true where all of it was done
 * within drain_ms. What is left is released to others. */
bool processor_drain(struct processor *processor);

/* After a drain. Takes NULL. */
void processor_free(struct processor *processor);

#endif
