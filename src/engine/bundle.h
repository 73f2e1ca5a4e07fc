/* A bundle: operations of one lane or several, in one unit of work.
 *
 * It is as deep as the backlog, and waits for nothing to fill. A bundle that fails leaves nothing
 * behind and charges nobody: its operations go again, set-based ones in savepoints, the others
 * alone, where the runner finds out what is wrong with which. Confined to one worker. */
#ifndef ENGINE_BUNDLE_H
#define ENGINE_BUNDLE_H

#include "engine/runner.h"
#include "engine/runqueue.h"

struct arena;
struct bundle;
struct pg_link;
struct post;

/* How the next operations of the claim are to be executed: a runqueue_way whose argument is a
 * struct runner_shared. On any thread. */
enum claim_way bundle_way(void *shared, const struct claim *claim);

/* Borrows all of it, for its life; the arena is empty between bundles. */
struct bundle *bundle_new(struct runner_shared *shared, struct pg_link *link, struct arena *arena);
void bundle_free(struct bundle *bundle);

/* How much it takes now: what it executes within the latency bound, as it has seen so far. */
struct appetite bundle_appetite(const struct bundle *bundle);

/* False where the claims, which go one way, are better executed alone. */
bool bundle_is_worth(const struct bundle *bundle, const struct claim_list *claims);

/* Executes the first operations of each, and hands their ends to the settler. Claims of which
 * nothing is left go with them; the others stay in the list. */
void bundle_execute(struct bundle *bundle, struct claim_list *claims, struct post *post);

#endif
