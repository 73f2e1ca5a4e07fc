/* See serve.h. Runs on the main thread of a processor. */
#include "app/serve.h"

#include "app/signals.h"

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/processor.h"

enum { QUARANTINE_LOOK_MS = 100 };

static bool obey(struct processor *processor, enum signal_wish wish);
static enum exit_code end(struct processor *processor, bool at_once);
static void quit(void *processor);

enum exit_code serve(struct processor *processor, bool is_quarantine)
{
    enum signal_wish wish = SIGNAL_NONE;

    /* Behind the caller's word in the log: an older one that drains because of it says so later. */
    processor_announce(processor);
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
