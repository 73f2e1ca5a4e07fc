/* See verdict.h. */
#include "engine/verdict.h"

#include "base/clock.h"
#include "ledger/outcome.h"

enum {
    OUTAGE_LEAST_MS = 50,
    OUTAGE_JITTER_MS = 200, /* so that lanes do not come back all at once */
    GAP_MS = 1000,          /* the net; a rebuilt lane is ready at once */
    BACKOFF_MS = 100,       /* where no policy says it */
    BACKOFF_MAX_MS = 30000,
};

static struct verdict on_place(enum ledger_reason reason);
static struct verdict on_retry(const struct failure *failure);
static struct verdict ended(enum heddle_end end);
static struct verdict expired(void);

struct verdict verdict_on(const struct failure *failure, struct heddle_error *err)
{
    if (failure->reason != LEDGER_IS_FREE)
        return on_place(failure->reason);
    const bool passes = failure->status == HEDDLE_RETRY || failure->status == HEDDLE_UNKNOWN;
    if (failure->status == HEDDLE_UNKNOWN || (passes && failure->is_outage))
        return verdict_undecided();
    if (passes && failure->is_cancel_asked)
        return ended(HEDDLE_END_CANCELLED);
    if (failure->has_expired)
        return expired();
    if (passes) {
        struct verdict verdict = on_retry(failure);
        if (verdict.end == HEDDLE_END_DEAD && err->kind == HEDDLE_KIND_NONE)
            err->kind = HEDDLE_KIND_INTERNAL;
        return verdict;
    }
    return ended(outcome_end_for(failure->status, err));
}

struct verdict verdict_unknown_op(void)
{
    return (struct verdict){.disposition = LANE_HALT, .reason = "op"};
}

struct verdict verdict_undecided(void)
{
    return (struct verdict){
        .disposition = LANE_PAUSE,
        .wait_ms = OUTAGE_LEAST_MS + (int64_t)clock_random(OUTAGE_JITTER_MS),
    };
}

/* The ledger would not have it run: that is no failure of the operation. */
static struct verdict on_place(enum ledger_reason reason)
{
    switch (reason) {
    case LEDGER_IS_GAP:
        return (struct verdict){.disposition = LANE_GAP, .wait_ms = GAP_MS};
    case LEDGER_IS_PARKED:
        return (struct verdict){.disposition = LANE_RELEASE};
    case LEDGER_IS_CANCELLED:
        return ended(HEDDLE_END_CANCELLED);
    case LEDGER_IS_HALTED:
        return (struct verdict){.disposition = LANE_HALT, .reason = LANE_HALTED_FAILED};
    case LEDGER_IS_FREE:
    case LEDGER_IS_ENDED:
    case LEDGER_IS_STRAY:
    case LEDGER_IS_TRIED:
    case LEDGER_IS_HELD:
        break;
    }
    return verdict_undecided();
}

static struct verdict on_retry(const struct failure *failure)
{
    const struct heddle_policy *policy = &failure->policy;
    const struct heddle_operation *operation = failure->operation;
    const int64_t base_ms = policy->backoff_ms ? policy->backoff_ms : BACKOFF_MS;
    const int64_t cap_ms = policy->backoff_max_ms ? policy->backoff_max_ms : BACKOFF_MAX_MS;
    const int64_t jitter_ms = clock_backoff_ms(operation->attempt, base_ms, cap_ms);
    const int64_t wait_ms = jitter_ms > 0 ? jitter_ms : 1;
    const int64_t age_ms = (failure->now_us - operation->submitted_us) / 1000;
    const bool is_last = (policy->attempts > 0 && operation->attempt >= policy->attempts) ||
                         (policy->deadline_ms > 0 && age_ms + wait_ms > policy->deadline_ms);

    if (is_last && policy->on_failure != HEDDLE_ON_FAILURE_HALT)
        return ended(HEDDLE_END_DEAD);
    if (is_last)
        return (struct verdict){.disposition = LANE_HALT,
                                .is_decision = true,
                                .state = "halted",
                                .reason = LANE_HALTED_FAILED};
    const bool parks = policy->on_failure == HEDDLE_ON_FAILURE_PARK;
    return (struct verdict){
        .disposition = parks ? LANE_RELEASE : LANE_WAIT,
        .is_decision = true,
        .state = parks ? "parked" : "retrying",
        .wait_ms = wait_ms,
    };
}

static struct verdict ended(enum heddle_end end)
{
    return (struct verdict){.disposition = LANE_RELEASE, .is_decision = true, .end = end};
}

static struct verdict expired(void)
{
    struct verdict verdict = ended(HEDDLE_END_CANCELLED);

    verdict.is_expiry = true;
    return verdict;
}
