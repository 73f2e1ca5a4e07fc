/* heddle users close U: a user leaves. */
#include "app/arguments.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/ops.h"
#include "app/options.h"
#include "app/users.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "engine/leaving.h"
#include "link/pg.h"
#include "link/redis.h"

struct closing {
    const struct invocation *invocation;
    json_t *steps;
    char failed[200]; /* their names */
};

static const char *const pendings[] = {
    [LEAVING_KEEP] = "keep",
    [LEAVING_CANCEL] = "cancel",
    [LEAVING_PURGE] = "purge",
};

static bool read_wishes(const struct arguments *arguments, struct leaving *leaving);
static bool read_pending(const char *text, enum leaving_pending *pending);
static enum exit_code leave(const struct invocation *invocation, const struct leaving *leaving);
static void note_step(void *argument, const char *step, heddle_status status, int64_t count,
                      const struct heddle_error *err);

static enum exit_code run(const struct invocation *invocation)
{
    struct leaving leaving = {
        .user = arguments_word(invocation->arguments, 1),
        .result_ttl_ms = invocation->options->result_ttl_ms,
    };
    struct heddle_error err;
    struct ops ops;

    if (!users_name_fits(&users_close, leaving.user) ||
        !read_wishes(invocation->arguments, &leaving))
        return EXIT_USAGE;
    ops_init(&ops);
    heddle_status status = ops_load(&ops, invocation->settings, invocation->options, &err);
    if (status == HEDDLE_OK)
        status = links_idle(invocation->options, &leaving.ledger, &leaving.queue, &err);
    leaving.hooks = ops.hooks;
    enum exit_code code =
        status == HEDDLE_OK ? leave(invocation, &leaving) : report(invocation, status, &err);
    pg_free(leaving.ledger);
    redis_free(leaving.queue);
    ops_done(&ops);
    return code;
}

const struct users_verb users_close = {"close", 2, 2, "one user", run};

static bool read_wishes(const struct arguments *arguments, struct leaving *leaving)
{
    const char *reason = arguments_get(arguments, "reason");
    const char *pending = arguments_get(arguments, "pending");

    leaving->purges = arguments_get(arguments, "purge") != NULL;
    if (!reason || !leaving_reason_from_name(reason, &leaving->reason) ||
        leaving->reason == HEDDLE_CLOSING_IDLE) {
        report_text(EXIT_USAGE, "--reason = %.60s: allowed is logout | password_change | deleted",
                    reason ? reason : "(none)");
        return false;
    }
    if (!pending)
        leaving->pending = leaving->purges                             ? LEAVING_PURGE
                           : leaving->reason == HEDDLE_CLOSING_DELETED ? LEAVING_CANCEL
                                                                       : LEAVING_KEEP;
    else if (!read_pending(pending, &leaving->pending)) {
        report_text(EXIT_USAGE, "--pending = %.60s: allowed is keep | cancel | purge", pending);
        return false;
    }
    return true;
}

static bool read_pending(const char *text, enum leaving_pending *pending)
{
    for (size_t i = 0; i < sizeof pendings / sizeof *pendings; i++)
        if (strcmp(pendings[i], text) == 0) {
            *pending = (enum leaving_pending)i;
            return true;
        }
    return false;
}

static enum exit_code leave(const struct invocation *invocation, const struct leaving *leaving)
{
    struct closing closing = {.invocation = invocation, .steps = json_array()};

    const bool is_done = leaving_run(leaving, note_step, &closing);
    if (invocation->with_json)
        json_out(json_pack("{s:s, s:s, s:s, s:b, s:O}", "user", leaving->user, "reason",
                           leaving_reason_name(leaving->reason), "pending",
                           pendings[leaving->pending], "done", is_done, "steps", closing.steps));
    json_decref(closing.steps);
    return is_done ? EXIT_DONE
                   : report_text(EXIT_ENDED_BADLY,
                                 "users close: not done: %s; do it again, the rest is done",
                                 closing.failed);
}

static void note_step(void *argument, const char *step, heddle_status status, int64_t count,
                      const struct heddle_error *err)
{
    struct closing *closing = argument;
    const bool is_done = status == HEDDLE_OK;
    const size_t used = strlen(closing->failed);

    if (!is_done)
        snprintf(closing->failed + used, sizeof closing->failed - used, "%s%s", used ? ", " : "",
                 step);
    if (!closing->invocation->with_json)
        printf("%s: %s%" PRId64 "\n", step, is_done ? "" : "not done, ", count);
    json_array_append_new(closing->steps,
                          json_pack("{s:s, s:b, s:I, s:s*}", "step", step, "done", is_done, "count",
                                    (json_int_t)count, "error", is_done ? NULL : err->text));
}
