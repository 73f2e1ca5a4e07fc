/* heddle run: a processor in this process, until a signal ends it.
 *
 * The main thread owns the processor and does nothing but wait for signals. */
#include "app/command.h"
#include "app/options.h"
#include "app/signals.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/processor.h"
#include "heddle/log.h"
#include "heddle/version.h"
#include "workers/registry.h"

static enum exit_code drain(struct processor *processor);

static enum exit_code run(const struct invocation *invocation)
{
    const struct options *options = invocation->options;
    const struct processor_options processor_options =
        options_for_processor(options, workers_registry());
    const struct workers_options workers_options = options_for_workers(options);
    struct processor *processor;
    struct heddle_error err;

    signals_block();
    workers_configure(&workers_options);
    heddle_status status = processor_new(&processor_options, &processor, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    processor_start(processor);
    heddle_log(HEDDLE_LOG_INFO, "ready", "version=%s pid=%d workers=%" PRId64 " lease_ms=%" PRId64,
               heddle_version(), (int)getpid(), options->workers, options->lease_ms);

    switch (signals_wait()) {
    case SIGNAL_DRAIN:
        return drain(processor);
    case SIGNAL_STOP:
        break;
    }
    /* Its lanes are taken over when the lease has passed, as after a crash. */
    heddle_log(HEDDLE_LOG_WARNING, "stopped", "drained=false reason=quit");
    _exit(EXIT_TIME);
}

const struct command command_run = {
    .name = "run",
    .usage = "[--workers N]",
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
