/* heddle run: a supervisor and its processors, until a signal ends them.
 *
 * In a processor, the main thread owns it and does nothing but wait for signals. */
#include "app/command.h"
#include "app/options.h"
#include "app/signals.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/board.h"
#include "engine/processor.h"
#include "engine/supervisor.h"
#include "heddle/log.h"
#include "heddle/version.h"
#include "workers/registry.h"

enum { QUARANTINE_LOOK_MS = 100 };

static int processor_main(void *argument, struct board *board, bool is_quarantine);
static enum exit_code drain(struct processor *processor);

static enum exit_code run(const struct invocation *invocation)
{
    const struct options *options = invocation->options;
    const struct workers_options workers_options = options_for_workers(options);
    const struct supervisor_options supervisor_options = {
        .processes = (int)options->processes,
        .workers = (int)options->workers,
        .redis = options->redis,
        .redis_timeout_ms = (int)options->redis_timeout_ms,
        .poison_crashes = (int)options->poison_crashes,
        .drain_ms = options->drain_ms,
        .child = processor_main,
        .argument = (void *)(uintptr_t)invocation,
    };

    workers_configure(&workers_options);
    return (enum exit_code)supervisor_run(&supervisor_options);
}

const struct command command_run = {
    .name = "run",
    .usage = "[--processes N] [--workers N]",
    .summary = "claim and execute operations until a signal ends it",
    .details =
        "TERM or INT: claims no more, finishes what is claimed within `drain`, exit 0; what\n"
        "was not finished is left to other processors, exit 5. A second one, or QUIT:\n"
        "ends at once, exit 5; other processors take over after `lease`. Nothing is lost\n"
        "or repeated by any of these. `heddle run` may be started as often as wanted, on\n"
        "any number of hosts. Logs go to stderr.\n",
    .loads_settings = true,
    .lists_settings = true,
    .run = run,
};

/* The life of one processor. A quarantine ends when no suspect is left. */
static int processor_main(void *argument, struct board *board, bool is_quarantine)
{
    const struct invocation *invocation = argument;
    const struct options *options = invocation->options;
    struct processor_options processor_options = options_for_processor(options, workers_registry());
    enum signal_wish wish = SIGNAL_NONE;
    struct processor *processor;
    struct heddle_error err;

    signals_block();
    processor_options.board = board;
    processor_options.is_quarantine = is_quarantine;
    processor_options.workers = board->slot_count;
    if (is_quarantine)
        processor_options.claim_operations_max = 1;
    heddle_status status = processor_new(&processor_options, &processor, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    processor_start(processor);
    heddle_log(HEDDLE_LOG_INFO, is_quarantine ? "quarantine_ready" : "processor_ready",
               "version=%s pid=%d workers=%d lease_ms=%" PRId64, heddle_version(), (int)getpid(),
               processor_options.workers, options->lease_ms);

    while (wish == SIGNAL_NONE && !(is_quarantine && processor_is_idle(processor)))
        wish = signals_wait(is_quarantine ? QUARANTINE_LOOK_MS : -1);
    if (wish == SIGNAL_STOP) {
        /* The supervisor frees its lanes, as after a crash. */
        heddle_log(HEDDLE_LOG_WARNING, "stopped", "drained=false reason=quit");
        _exit(EXIT_TIME);
    }
    return drain(processor);
}

static enum exit_code drain(struct processor *processor)
{
    int64_t start_ms = clock_now_ms();

    heddle_log(HEDDLE_LOG_INFO, "draining", "%s", "");
    signals_arm_stop(EXIT_TIME);
    bool is_drained = processor_drain(processor);
    heddle_log(is_drained ? HEDDLE_LOG_INFO : HEDDLE_LOG_WARNING, "stopped",
               "drained=%s reason=%s duration_ms=%" PRId64, is_drained ? "true" : "false",
               is_drained ? "signal" : "timeout", clock_now_ms() - start_ms);
    /* Workers that are stuck hold what processor_free would free. */
    if (!is_drained)
        _exit(EXIT_TIME);
    processor_free(processor);
    return EXIT_DONE;
}
