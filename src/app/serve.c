/* See serve.h. Runs on the main thread of a processor. */
#include "app/serve.h"

#include "app/options.h"
#include "app/signals.h"

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/board.h"
#include "engine/processor.h"
#include "engine/supervisor.h"
#include "heddle/version.h"
#include "workers/options.h"

enum { QUARANTINE_LOOK_MS = 100 };

static bool obey(struct processor *processor, enum signal_wish wish);
static enum exit_code end(struct processor *processor, bool at_once);
static void quit(void *processor);

struct supervisor_options serve_supervision(const struct invocation *invocation)
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

enum exit_code serve(const struct invocation *invocation,
                     const struct heddle_handler *const *handlers, struct board *board,
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

    return serve_processor(processor, is_quarantine);
}

enum exit_code serve_processor(struct processor *processor, bool is_quarantine)
{
    enum signal_wish wish = SIGNAL_NONE;

    while (obey(processor, wish) && !(is_quarantine && processor_is_idle(processor)))
        wish = signals_wait(is_quarantine ? QUARANTINE_LOOK_MS : -1);
    return end(processor, wish == SIGNAL_STOP);
}

/* False where it shall end. */
static bool obey(struct processor *processor, enum signal_wish wish)
{
    switch (wish) {
    case SIGNAL_NONE:
        return true;
    case SIGNAL_QUIET:
        heddle_log(HEDDLE_LOG_INFO, "quiet", "pid=%d", (int)getpid());
        processor_quiet(processor);
        return true;
    case SIGNAL_RESUME:
        heddle_log(HEDDLE_LOG_INFO, "resumed", "pid=%d", (int)getpid());
        processor_resume(processor);
        return true;
    case SIGNAL_REPORT:
        processor_report(processor);
        return true;
    case SIGNAL_DRAIN:
    case SIGNAL_STOP:
        break;
    }
    return false;
}

static enum exit_code end(struct processor *processor, bool at_once)
{
    int64_t start_ms = clock_now_ms();

    heddle_log(HEDDLE_LOG_INFO, at_once ? "stopping" : "draining", "pid=%d", (int)getpid());
    signals_arm_stop(quit, processor, EXIT_TIME);
    if (at_once)
        raise(SIGQUIT);
    bool is_drained = processor_drain(processor);
    signals_block();
    bool has_quit = processor_has_quit(processor);
    bool is_whole = is_drained && !has_quit;
    heddle_log(is_whole ? HEDDLE_LOG_INFO : HEDDLE_LOG_WARNING, "stopped",
               "drained=%s reason=%s duration_ms=%" PRId64, is_whole ? "true" : "false",
               has_quit     ? "quit"
               : is_drained ? "signal"
                            : "timeout",
               clock_now_ms() - start_ms);
    /* Workers that are stuck hold what processor_free would free. */
    if (!is_drained)
        _exit(EXIT_TIME);
    processor_free(processor);
    return is_whole ? EXIT_DONE : EXIT_TIME;
}

static void quit(void *processor)
{
    processor_quit(processor);
}
