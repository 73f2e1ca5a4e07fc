/* heddle pause, heddle resume: nothing more of a user, an op or everything begins until it is
 * resumed. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/controls.h"
#include "app/json_out.h"
#include "app/links.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "ledger/controls.h"
#include "link/pg.h"

static enum exit_code list(const struct invocation *invocation, struct pg_link *ledger);
static void print_one(void *argument, const char *json);

static enum exit_code run_pause(const struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    struct control_pause pause = {
        .refuses = arguments_get(arguments, "refuse") != NULL,
        .reason = arguments_get(arguments, "reason"),
        .by = controls_author(arguments),
    };
    bool is_said;
    struct pg_link *ledger;
    struct heddle_error err;

    if (!controls_target(arguments, &pause.target, &is_said))
        return EXIT_USAGE;
    if (!is_said && (pause.refuses || pause.reason || arguments_get(arguments, "by")))
        return report_text(EXIT_USAGE, "pause: say --user, --op or --all");
    heddle_status status = links_postgres(invocation->options, &ledger, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    enum exit_code code;
    if (!is_said) {
        code = list(invocation, ledger);
    } else {
        status = controls_pause(ledger, &pause, &err);
        code = status == HEDDLE_OK ? controls_tell(invocation, ledger)
                                   : report(invocation, status, &err);
        if (status == HEDDLE_OK)
            controls_print(invocation, NULL, &pause.target, "paused");
    }
    pg_free(ledger);
    return code;
}

static enum exit_code run_resume(const struct invocation *invocation)
{
    struct control_target target;
    bool is_said;
    struct pg_link *ledger;
    struct heddle_error err;

    if (!controls_target(invocation->arguments, &target, &is_said))
        return EXIT_USAGE;
    if (!is_said)
        return report_text(EXIT_USAGE, "resume: say --user, --op or --all");
    heddle_status status = links_postgres(invocation->options, &ledger, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    status = controls_resume(ledger, &target, controls_author(invocation->arguments), &err);
    enum exit_code code =
        status == HEDDLE_OK ? controls_tell(invocation, ledger) : report(invocation, status, &err);
    if (status == HEDDLE_OK)
        controls_print(invocation, NULL, &target, "resumed");
    pg_free(ledger);
    return code;
}

static const struct flag pause_flags[] = {
    {"user", "U", "this user's operations"},
    {"op", "OP", "operations of this kind: their users' later ones wait behind them"},
    {"all", NULL, "everything"},
    {"refuse", NULL, "accept no new ones either: exit 6, `HEDDLE paused`"},
    {"reason", "TEXT", "shown to whoever asks"},
    {"by", "WHO", "default: you, on this host"},
    {0},
};

static const struct flag resume_flags[] = {
    {"user", "U", "this user"},
    {"op", "OP", "this kind"},
    {"all", NULL, "everything, but users and ops that are paused themselves"},
    {"by", "WHO", "default: you, on this host"},
    {0},
};

const struct command command_pause = {
    .name = "pause",
    .usage = "[--user U | --op OP | --all] [--refuse] [--reason TEXT] [--by WHO]",
    .summary = "let nothing more of a user, an op or everything begin; without flags: show what is "
               "paused",
    .details =
        "What runs, or a processor's workers have in hand, is finished. Submission goes on,\n"
        "unless --refuse is given; what is submitted has the state paused. It lasts until it\n"
        "is resumed, through restarts and the loss of Redis. From SQL: heddle.pause(user_id =>\n"
        "…), heddle.resume(…), view heddle.paused; processors hear of those within a second.\n",
    .flags = pause_flags,
    .loads_settings = true,
    .run = run_pause,
};

const struct command command_resume = {
    .name = "resume",
    .usage = "--user U | --op OP | --all [--by WHO]",
    .summary = "let go on what was paused",
    .details = "Exit 1 where it is not paused.\n",
    .flags = resume_flags,
    .loads_settings = true,
    .run = run_resume,
};

static enum exit_code list(const struct invocation *invocation, struct pg_link *ledger)
{
    bool with_json = invocation->with_json;
    struct heddle_error err;

    heddle_status status = controls_list_paused(ledger, print_one, &with_json, &err);
    return status == HEDDLE_OK ? EXIT_DONE : report(invocation, status, &err);
}

static void print_one(void *argument, const char *json)
{
    const bool *with_json = argument;
    json_t *row = json_loads(json, 0, NULL);
    const char *reason = json_string_value(json_object_get(row, "reason"));
    char behind[300];

    snprintf(behind, sizeof behind, "%s%s%s",
             json_is_true(json_object_get(row, "refuses")) ? " refuses" : "", reason ? " " : "",
             reason ? reason : "");
    controls_print_row(*with_json, row, "", behind);
}
