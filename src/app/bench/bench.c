/* heddle bench: what Heddle does in a second on these servers, and what that costs. */
#include "app/bench/drain.h"
#include "app/bench/plan.h"
#include "app/bench/scene.h"
#include "app/bench/work.h"
#include "app/command.h"
#include "app/options.h"

#include "heddle/log.h"

static enum exit_code measure(const struct invocation *invocation, struct scene *scene,
                              const struct bench_plan *plan);

static enum exit_code run(const struct invocation *invocation)
{
    struct options options = *invocation->options;
    struct invocation ours = *invocation;
    struct bench_plan plan;
    struct scene scene;
    struct heddle_error err;

    if (!bench_plan_read(invocation->arguments, &plan))
        return EXIT_USAGE;
    /* That processors come and go is no news here. */
    if (options.log_level < HEDDLE_LOG_WARNING)
        options.log_level = HEDDLE_LOG_WARNING;
    ours.options = &options;
    options_configure_log(&options);
    heddle_status status = scene_open(&scene, &ours, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    enum exit_code code = measure(&ours, &scene, &plan);
    scene_close(&scene);
    return code;
}

const struct command command_bench = {
    .name = "bench",
    .usage = "noop|send_message|submit [--operations N] [--users N] [--order ORDER]",
    .summary = "measure rates, costs and memory on these servers",
    .details =
        "noop: operations whose handler does nothing; claims and settlements as always.\n"
        "send_message: messages to ten threads of each user, with their rows in the ledger.\n"
        "submit: as noop; what counts is the submission (--window 1: one at a time).\n\n"
        "Operations are submitted first and then worked off, by --processes of --workers each\n"
        "that this command starts; with --overlap or --durable, both at once. It writes to the\n"
        "configured Redis and Postgres, as users whose names begin with " BENCH_USER_PREFIX ",\n"
        "removes their rows at the end (a run that was interrupted: at the next start), and\n"
        "refuses where other work is there: exit 6.\n\n"
        "What is counted is verified: each operation once, each user's in order, in the ledger\n"
        "and the messages; exit 1 where it is not so. Quote no figure without its conditions.\n",
    .flags = bench_flags,
    .words_max = 1,
    .loads_settings = true,
    .run = run,
};

static enum exit_code measure(const struct invocation *invocation, struct scene *scene,
                              const struct bench_plan *plan)
{
    struct drain drain = {.plan = *plan};
    char conditions[512];
    struct heddle_error err;

    heddle_status status = plan->is_forced ? HEDDLE_OK : scene_judge(scene, &err);
    if (status == HEDDLE_OK)
        status = scene_conditions(scene, conditions, sizeof conditions, &err);
    if (status == HEDDLE_OK)
        status = drain_measure(invocation, scene, &drain, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    drain_print(&drain, invocation, conditions);
    return drain.is_right ? EXIT_DONE : EXIT_ENDED_BADLY;
}
