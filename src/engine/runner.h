/* The runner: executes the operations of claims, in order, each in its unit of work or several in
 * one (bundle.h).
 *
 * Confined to one worker, who owns it, its Postgres link and its arena. */
#ifndef ENGINE_RUNNER_H
#define ENGINE_RUNNER_H

#include "engine/processor.h"
#include "engine/relay.h"
#include "engine/roster.h"
#include "engine/runqueue.h"
#include "engine/settler.h"
#include "engine/userlock.h"
#include "queue/claim.h"

#include <stdatomic.h>

struct handlers;
struct runner;

/* What all workers of a processor share; outlives them. */
struct runner_shared {
    const struct processor_options *options;
    const char *incarnation;
    struct handlers *handlers;
    struct userlock_table *locks;
    struct settler *settler;
    struct relay *relay;
    struct roster *roster;
    atomic_bool is_stopping; /* end after the operation that runs */
};

heddle_status runner_new(struct runner_shared *shared, struct runner **runner,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;
void runner_free(struct runner *runner);

/* What it runs is shown at post `number` of the roster. */
void runner_show(struct runner *runner, struct roster *roster, int number);

/* Opens the Postgres connection, so that a start that can't work fails at once. */
heddle_status runner_connect(struct runner *runner, struct heddle_error *err) HEDDLE_MUST_CHECK;

bool runner_is_connected(const struct runner *runner);

/* How much it takes at once. */
struct appetite runner_appetite(const struct runner *runner);

/* Executes what comes first of the claims, which go one way (claim->way), and hands it to the
 * settler. Claims of which something is left stay in the list: for the next call, any runner's. */
void runner_execute(struct runner *runner, struct claim_list *claims);

#endif
