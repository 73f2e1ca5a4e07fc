/* What a worker does with its claims: a bundle (bundle.c), or one operation after the other
 * (run.c). Runs on a worker's thread. */
#include "engine/runner.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/policy.h"
#include "engine/bundle.h"
#include "engine/run.h"
#include "link/pg.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_KEEP_BYTES = 1 << 20,
    SETTLE_EVERY_US = 20000, /* results of a long claim don't wait for its end */
};

static bool execute_alone(struct runner *runner, struct claim *claim);
static struct userlock *lock_lane(struct runner_shared *shared, const struct claim *claim);

heddle_status runner_new(struct runner_shared *shared, struct runner **runner,
                         struct heddle_error *err)
{
    const struct processor_options *options = shared->options;
    const struct pg_options pg_options = {
        .conninfo = options->postgres,
        .application_name = "heddle worker",
        .connect_timeout_ms = options->connect_timeout_ms,
        .statement_timeout_ms = options->statement_timeout_ms,
        .lock_timeout_ms = options->lock_timeout_ms,
        .idle_transaction_timeout_ms = options->idle_transaction_timeout_ms,
        .deadline_ms = options->commit_deadline_ms,
        .with_prepared_statements = options->with_prepared_statements,
    };
    struct pg_link *link;

    heddle_status status = pg_new(&pg_options, &link, err);
    if (status != HEDDLE_OK)
        return status;
    *runner = memory_take_zeroed(1, sizeof **runner);
    (*runner)->shared = shared;
    (*runner)->link = link;
    arena_init(&(*runner)->arena, ARENA_KEEP_BYTES);
    (*runner)->bundle = bundle_new(shared, link, &(*runner)->arena);
    return HEDDLE_OK;
}

void runner_free(struct runner *runner)
{
    if (!runner)
        return;
    bundle_free(runner->bundle);
    pg_free(runner->link);
    arena_done(&runner->arena);
    free(runner);
}

void runner_show(struct runner *runner, struct roster *roster, int number)
{
    runner->post = roster_take(roster, number, runner->link);
}

heddle_status runner_connect(struct runner *runner, struct heddle_error *err)
{
    return pg_connect(runner->link, err);
}

bool runner_is_connected(const struct runner *runner)
{
    return pg_is_connected(runner->link);
}

struct appetite runner_appetite(const struct runner *runner)
{
    return bundle_appetite(runner->bundle);
}

void runner_execute(struct runner *runner, struct claim_list *claims)
{
    struct claim *claim;

    if (bundle_is_worth(runner->bundle, claims)) {
        bundle_execute(runner->bundle, claims, runner->post);
        return;
    }
    claim = claim_list_pop(claims);
    if (execute_alone(runner, claim))
        claim_list_push(claims, claim);
}

/* One after the other, until something is left that need not go alone: then true. */
static bool execute_alone(struct runner *runner, struct claim *claim)
{
    struct runner_shared *shared = runner->shared;
    const size_t first = claim->done;
    struct settlement part = {.claim = claim, .first = first, .disposition = LANE_RELEASE};

    struct userlock *lock = lock_lane(shared, claim);
    int64_t started_us = clock_now_us();
    for (size_t i = first; i < claim->operation_count; i++) {
        if (atomic_load(&shared->is_stopping))
            break;
        claim->done = i;
        if (i > first && bundle_way(shared, claim) != WAY_ALONE) {
            userlock_release(shared->locks, lock);
            part.disposition = LANE_KEEP;
            if (part.count > 0)
                settler_take(shared->settler, &part);
            return true;
        }
        struct claimed_operation *claimed = &claim->operations[i];
        post_enter(runner->post, claim, claimed);
        run_operation(runner, claim, claimed, &part);
        post_leave(runner->post);
        part.cost_us = clock_now_us() - started_us;
        /* Not begun, as it were: somebody else goes on from here at once. */
        if (part.disposition != LANE_RELEASE && claimed_cancel_cause(claimed) == CANCEL_QUIT) {
            part.disposition = LANE_RELEASE;
            break;
        }
        if (part.disposition == LANE_GAP)
            relay_rebuild(shared->relay, claim->lane);
        if (part.disposition != LANE_RELEASE)
            break;
        part.count++;
        /* A parked one may be back soon: by then Redis has let go of it. */
        if ((part.cost_us < SETTLE_EVERY_US && !claimed->is_parked) ||
            i + 1 == claim->operation_count)
            continue;
        part.disposition = LANE_KEEP;
        settler_take(shared->settler, &part);
        fault_point("part_handed");
        started_us += part.cost_us;
        part = (struct settlement){.claim = claim, .first = i + 1, .disposition = LANE_RELEASE};
    }
    userlock_release(shared->locks, lock);
    fault_point("claim_done");
    settler_take(shared->settler, &part);
    return false;
}

/* A strand's section is that of its place. */
static struct userlock *lock_lane(struct runner_shared *shared, const struct claim *claim)
{
    char name[HEDDLE_USER_SIZE_MAX + 16];

    if (claim->places == 0)
        return userlock_acquire(shared->locks, claim->lane);
    /* No lane's name has a NUL. */
    const int size = snprintf(name, sizeof name, "%s%c%d", claim->lane.data, '\0', claim->place);
    return userlock_acquire(shared->locks, (struct heddle_text){name, (size_t)size});
}
