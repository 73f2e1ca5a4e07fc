/* Operations through the real runner, in the test's own thread. What the runner hands to the
 * settler is kept here instead (`-Wl,--wrap=settler_take`). */
#ifndef RUNS_H
#define RUNS_H

#include "engine/processor.h"
#include "engine/runner.h"

struct runs {
    struct processor_options options;
    struct runner_shared shared;
    struct runner *runner;
};

/* With the operations that ship, no retry in place, and short timeouts; change `options` of the
 * result before runs_start. `postgres` is borrowed. */
void runs_init(struct runs *runs, const char *postgres);
void runs_start(struct runs *runs);
void runs_done(struct runs *runs);

/* A claim of one operation; texts are borrowed until claim_free. */
struct claim *runs_claim(const char *id, const char *user, const char *op, const char *thread,
                         const char *payload);

/* Executes the claim, which stays the caller's; what becomes of its lane is returned. */
enum disposition runs_execute(struct runs *runs, struct claim *claim);

/* Called with each settlement that the runner makes; NULL: nobody is. */
typedef void runs_listener(const struct settlement *settlement);
void runs_listen(runs_listener *listener);

/* What a new execution would find: the operations have not ended. */
void runs_rewind(struct claim *claim);

/* For the linker. */
void __wrap_settler_take(struct settler *settler, const struct settlement *settlement);

#endif
