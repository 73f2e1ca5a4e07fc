/* See run_child.h. */
#include "app/run_child.h"

#include "app/options.h"
#include "app/serve.h"
#include "app/signals.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/board.h"
#include "engine/processor.h"
#include "engine/supervisor.h"
#include "heddle/version.h"
#include "workers/options.h"

struct supervisor_options run_supervision(const struct invocation *invocation)
{
    const struct options *options = invocation->options;

    return (struct supervisor_options){
        .processes = (int)options->processes,
        .workers = (int)options->workers,
        .redis = options->redis,
        .redis_timeout_ms = (int)options->redis_timeout_ms,
        .poison_crashes = (int)options->poison_crashes,
        .drain_ms = options->drain_ms,
        .argument = (void *)(uintptr_t)invocation,
    };
}

enum exit_code run_child(const struct invocation *invocation,
                         const struct heddle_handler *const *handlers,
                         const struct heddle_hooks *const *hooks, struct board *board,
                         bool is_quarantine)
{
    const struct options *options = invocation->options;
    const struct workers_options workers_options = options_for_workers(options);
    struct processor_options processor_options = options_for_processor(options, handlers);
    struct processor *processor;
    struct heddle_error err;

    signals_block();
    options_configure_log(options);
    workers_configure(&workers_options);
    processor_options.hooks = hooks;
    processor_options.board = board;
    processor_options.is_quarantine = is_quarantine;
    processor_options.workers = board->slot_count;
    if (is_quarantine)
        processor_options.bundle_max = 1; /* so that it is seen which operation is at fault */
    heddle_status status = processor_new(&processor_options, &processor, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    processor_start(processor);
    heddle_log(HEDDLE_LOG_INFO, is_quarantine ? "quarantine_ready" : "processor_ready",
               "version=%s pid=%d workers=%d lease_ms=%" PRId64, heddle_version(), (int)getpid(),
               processor_options.workers, options->lease_ms);
    return serve(processor, is_quarantine);
}
