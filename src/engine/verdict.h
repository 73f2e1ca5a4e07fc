/* What becomes of an operation whose attempt failed, and of its lane. Pure. */
#ifndef ENGINE_VERDICT_H
#define ENGINE_VERDICT_H

#include "heddle/error.h"
#include "heddle/operation.h"
#include "ledger/ledger.h"
#include "queue/lanes.h"

#include <stdbool.h>
#include <stdint.h>

struct failure {
    heddle_status status; /* anything but HEDDLE_OK */
    enum ledger_reason reason;
    bool is_outage;       /* nothing could be tried: the operation is not to blame */
    bool is_cancel_asked; /* a client wants it to stop */
    bool has_expired;     /* before it was ever tried */
    const struct heddle_operation *operation;
    struct heddle_policy policy; /* in force; no `attempts`: it is tried without end */
    int64_t now_us;              /* since the epoch */
};

struct verdict {
    enum disposition
        disposition;     /* of the lane; LANE_RELEASE: it goes on with its next operation */
    bool is_decision;    /* the ledger is told first */
    bool is_expiry;      /* of HEDDLE_END_CANCELLED */
    enum heddle_end end; /* of a decision; HEDDLE_END_NONE: it goes on as `state` */
    const char *state;   /* of a decision: "retrying", "parked" or "halted" */
    int64_t wait_ms;     /* until it is tried again */
    const char *reason;  /* of LANE_HALT */
};

/* Gives `err` the kind that clients are told where the operation ends by it. */
struct verdict verdict_on(const struct failure *failure, struct heddle_error *err);

/* Of an operation whose name no handler has. */
struct verdict verdict_unknown_op(void);

/* Where what was decided can't be written: as if it had not been tried. */
struct verdict verdict_undecided(void);

#endif
