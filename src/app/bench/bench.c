/* heddle bench: what Heddle does in a second on these servers, and what that costs. */
#include "app/bench/corpus.h"
#include "app/bench/drain.h"
#include "app/bench/idle.h"
#include "app/bench/latency.h"
#include "app/bench/plan.h"
#include "app/bench/scene.h"
#include "app/bench/work.h"
#include "app/command.h"
#include "app/options.h"

#include "heddle/log.h"

static enum exit_code measure(const struct invocation *invocation, struct scene *scene,
                              struct bench_plan *plan);
static bool is_quiet(const struct bench_plan *plan);
static heddle_status measure_scenario(struct course *course, const char *conditions,
                                      struct heddle_error *err);
static heddle_status read_corpus(struct bench_plan *plan, const struct options *options,
                                 struct heddle_error *err);

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
    corpus_free(plan.corpus);
    return code;
}

const struct command command_bench = {
    .name = "bench",
    .usage = "noop|send_message|submit|corpus|latency|idle [FLAG]...",
    .summary = "measure rates, costs and memory on these servers",
    .details =
        "noop: operations whose handler does nothing; claims and settlements as always.\n"
        "send_message: messages to ten threads of each user, with their rows in the ledger.\n"
        "submit: as noop; what counts is the submission (--window 1: one at a time).\n"
        "corpus: the operations of --file, any mixture.\n"
        "latency: from the call to the start and to the result, of operations that come at "
        "--rate;\n"
        "with --beside N while one more user's N operations are worked off.\n"
        "idle: what processors cost that have nothing to do.\n\n"
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
                              struct bench_plan *plan)
{
    char conditions[512];
    struct course course;
    struct heddle_error err;

    heddle_status status = plan->is_forced ? HEDDLE_OK : scene_judge(scene, &err);
    if (status == HEDDLE_OK)
        status = scene_conditions(scene, conditions, sizeof conditions, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    status = course_begin(&course, invocation, scene, plan, is_quiet(plan), &err);
    if (status == HEDDLE_OK)
        status = read_corpus(plan, invocation->options, &err);
    if (status == HEDDLE_OK)
        status = measure_scenario(&course, conditions, &err);
    status = course_end(&course, status, &err);
    if (status == HEDDLE_REFUSED)
        return report_text(EXIT_USAGE, "--file: %s", err.text);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    return course.is_right ? EXIT_DONE : EXIT_ENDED_BADLY;
}

/* Whether processors begin only when what they shall find is there. */
static bool is_quiet(const struct bench_plan *plan)
{
    return plan->scenario == BENCH_LATENCY ? plan->beside > 0
                                           : plan->scenario != BENCH_IDLE && !plan->is_overlapping;
}

static heddle_status measure_scenario(struct course *course, const char *conditions,
                                      struct heddle_error *err)
{
    switch (course->plan->scenario) {
    case BENCH_LATENCY:
        return latency_measure(course, conditions, err);
    case BENCH_IDLE:
        return idle_measure(course, conditions, err);
    case BENCH_NOOP:
    case BENCH_SEND_MESSAGE:
    case BENCH_SUBMIT:
    case BENCH_CORPUS:
        break;
    }
    return drain_measure(course, conditions, err);
}

/* Not before the processors are there, who would inherit its memory. */
static heddle_status read_corpus(struct bench_plan *plan, const struct options *options,
                                 struct heddle_error *err)
{
    const struct heddle_submission *submissions;

    if (!plan->path)
        return HEDDLE_OK;
    heddle_status status = corpus_read(plan->path, options->payload_bytes_max, &plan->corpus, err);
    if (status != HEDDLE_OK)
        return status;
    plan->operations = (int64_t)corpus_operations(plan->corpus, &submissions);
    plan->users = corpus_users(plan->corpus);
    return HEDDLE_OK;
}
