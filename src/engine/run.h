/* An operation under way, as the runner and its decisions see it. Confined to a worker. */
#ifndef ENGINE_RUN_H
#define ENGINE_RUN_H

#include "base/log.h"
#include "engine/roster.h"
#include "engine/runner.h"
#include "engine/task.h"
#include "engine/verdict.h"
#include "ledger/outcome.h"
#include "ledger/uow.h"

#include <stdbool.h>
#include <stdint.h>

struct heddle_uow;
struct pg_link;

/* Sessions that one operation has lost in a row. An outage takes one, and then there is none to be
 * had; what takes one after the other may be the operation itself. */
struct lost_sessions {
    char id[HEDDLE_ID_SIZE + 1];
    int count;
};

struct runner {
    struct runner_shared *shared;
    struct pg_link *link;
    struct arena arena;
    struct bundle *bundle;
    struct post *post; /* what others see of it; NULL: nobody looks */
    struct lost_sessions lost;
};

struct run {
    struct runner_shared *shared;
    struct pg_link *link;
    struct post *post; /* what others see of it; NULL: nobody looks */
    struct lost_sessions *lost;
    struct claimed_operation *claimed;
    const struct heddle_handler *handler;
    struct heddle_task task;
    struct lane_lock lock;
    bool is_prepared;
    bool has_expired;          /* before it was ever tried */
    bool is_recorded;          /* the ledger has a row of it that has not ended */
    bool is_in_ledger;         /* the ledger keeps the outcome */
    enum ledger_reason reason; /* why the ledger would not have it run */
    struct outcome outcome;
    struct verdict verdict; /* what is decided about it, where it could not be done */
    const char *error;      /* JSON, of a verdict */
};

/* Executes the operation and fills what becomes of its lane: LANE_RELEASE where it leaves it, so
 * that it goes on. */
void run_operation(struct runner *runner, struct claim *claim, struct claimed_operation *claimed,
                   struct settlement *part);

/* A step that is taken again while its failure is one that passes. */
typedef heddle_status run_step(struct run *run, struct heddle_error *err);

/* Begins a unit of work with what it takes of the lane; `what` follows in it. An operation that has
 * a row is entered: what is sent behind that fails where it may not run, or may not be decided
 * about. */
enum run_unit { RUN_READS, RUN_EFFECTS, RUN_DECISION, RUN_CHARGE };
heddle_status run_begin(struct run *run, struct heddle_uow *uow, enum run_unit what,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A run_step: fails as the unit of work of a recorded operation would that is not to run. */
heddle_status run_ask(struct run *run, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* What the failure of a unit of work means for the operation: a duplicate, or a COMMIT whose fate
 * nobody knows, is looked up, and may turn out to be an end (HEDDLE_OK: run->outcome). */
heddle_status run_resolve(struct run *run, heddle_status status,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A run_step: writes run->verdict into the ledger. */
heddle_status run_decide(struct run *run, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Has no effects on the database, was submitted directly and has not failed: its result lives in
 * Redis. */
bool run_leaves_no_row(const struct run *run);

void run_log(enum heddle_log_level level, const char *event, const struct run *run,
             const struct heddle_error *err);

#endif
