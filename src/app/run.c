/* heddle run: a supervisor and its processors, until a signal ends them.
 *
 * In a processor, the main thread owns it and does nothing but obey signals: serve.c. */
#include "app/command.h"
#include "app/ops.h"
#include "app/options.h"
#include "app/run_child.h"

#include <string.h>

#include "base/log.h"
#include "engine/supervisor.h"

static struct supervisor_options supervision_of(const struct invocation *invocation);
static int processor_main(void *argument, struct board *board, bool is_quarantine);
static bool reload(void *argument, struct supervisor_options *fresh);
static void discard(void *argument);

static enum exit_code run(const struct invocation *invocation)
{
    const struct supervisor_options supervisor_options = supervision_of(invocation);

    return (enum exit_code)supervisor_run(&supervisor_options);
}

const struct command command_run = {
    .name = "run",
    .usage = "[--processes N] [--workers N]",
    .summary = "claim and execute operations until a signal ends it",
    .details = "TERM or INT: claims no more, finishes what is begun within `drain`, exit 0; what\n"
               "was not finished is left to other processors, exit 5.\n"
               "A second one, or QUIT: ends now. Statements are cancelled, transactions rolled\n"
               "back, lanes given back; exit 5.\n"
               "TSTP: begins nothing more, but lives on, until CONT.\n"
               "HUP: reads the settings again and puts processors with the new ones in the place\n"
               "of the old, one after the other, each draining. Bad settings are refused with a\n"
               "line in the log; `redis` can't change.\n"
               "TTIN: logs what every worker does.\n"
               "Nothing is lost or repeated by any of these. `heddle run` may be started as often\n"
               "as wanted, on any number of hosts. Logs go to stderr.\n",
    .loads_settings = true,
    .lists_settings = true,
    .run = run,
};

static struct supervisor_options supervision_of(const struct invocation *invocation)
{
    struct supervisor_options options = run_supervision(invocation);

    options.child = processor_main;
    options.reload = reload;
    options.discard = discard;
    return options;
}

/* In the supervisor. The claims of its children are in the Redis that it knows. */
static bool reload(void *argument, struct supervisor_options *fresh)
{
    const struct invocation *invocation = argument;
    struct invocation *renewed = NULL;
    struct heddle_error err = {0};

    heddle_status status = invocation_renew(invocation, &renewed, &err);
    if (status == HEDDLE_OK && strcmp(renewed->options->redis, invocation->options->redis) != 0) {
        status =
            settings_refuse(renewed->settings, "redis", &err, "can't change while processors run");
        invocation_free(renewed);
    }
    if (status != HEDDLE_OK) {
        heddle_log(HEDDLE_LOG_ERROR, "reload_refused", "text=%s", LOG_TEXT(err.text));
        return false;
    }
    *fresh = supervision_of(renewed);
    return true;
}

static void discard(void *argument)
{
    invocation_free(argument);
}

static int processor_main(void *argument, struct board *board, bool is_quarantine)
{
    const struct invocation *invocation = argument;
    struct heddle_error err;
    struct ops ops;

    /* Here, and not in the supervisor: what a team's objects do can end nobody but a child, and
     * the next generation has them as they are then. */
    ops_init(&ops);
    heddle_status status = ops_load(&ops, invocation->settings, invocation->options, &err);
    if (status != HEDDLE_OK)
        return (int)report(invocation, status, &err);
    enum exit_code code = run_child(invocation, ops.handlers, ops.hooks, board, is_quarantine);
    ops_done(&ops);
    return (int)code;
}
