/* heddle cron add|list|pause|resume|remove: operations that recur. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/controls.h"
#include "app/inputs.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/ops.h"
#include "app/options.h"
#include "app/submission.h"
#include "app/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/flow.h"
#include "base/json.h"
#include "base/text.h"
#include "ledger/cron.h"
#include "link/pg.h"

enum { WORDS_MAX = 2 };

struct verb {
    const char *name;
    bool takes_name, takes_flags;
    enum exit_code (*run)(const struct invocation *invocation, struct pg_link *ledger);
};

static enum exit_code add(const struct invocation *invocation, struct pg_link *ledger);
static enum exit_code list(const struct invocation *invocation, struct pg_link *ledger);
static enum exit_code suspend(const struct invocation *invocation, struct pg_link *ledger);
static enum exit_code resume(const struct invocation *invocation, struct pg_link *ledger);
static enum exit_code take_away(const struct invocation *invocation, struct pg_link *ledger);
static bool fits_form(const struct arguments *arguments, const struct verb *verb);
static heddle_status judge(const struct invocation *invocation,
                           const struct heddle_submission *submission, struct heddle_error *err);
static enum exit_code finish(const struct invocation *invocation, heddle_status status,
                             const struct heddle_error *err, const char *state, const char *next);
static void print_one(void *argument, const char *json);

static const struct verb verbs[] = {
    {"add", true, true, add},           {"list", false, false, list},
    {"pause", true, false, suspend},    {"resume", true, false, resume},
    {"remove", true, false, take_away},
};

static enum exit_code run(const struct invocation *invocation)
{
    const struct verb *verb = VERB_FIND(invocation, verbs);
    struct pg_link *ledger;
    struct heddle_error err;

    if (!verb || !fits_form(invocation->arguments, verb))
        return EXIT_USAGE;
    heddle_status status = links_postgres(invocation->options, &ledger, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    enum exit_code code = verb->run(invocation, ledger);
    pg_free(ledger);
    return code;
}

static const struct flag flags[] = {
    {"schedule", "'*/5 * * * *'", "when: minute hour day month weekday; '@every 10m'; @hourly …"},
    {"zone", "Europe/Berlin", "whose clock; default UTC"},
    {"catch-up", "skip|once|all", "what becomes of ticks that nobody was there for; default once"},
    {"user", "U", "whose operation it is"},
    {"op", "OP", "its kind, e.g. send_message"},
    {"thread", "T", "the conversation it is about"},
    {"payload", "JSON|@FILE|-", "a JSON object, itself, in a file or on stdin; default {}"},
    {"attempts", "N", "give an operation up after so many attempts"},
    {"backoff", "100ms", "longest wait before the second attempt; doubles with each"},
    {"backoff-max", "30s", "longest wait before any attempt"},
    {"deadline", "1h", "do not try it again later than this after its tick"},
    {"on-failure", "block|park|halt", "what a failed attempt does to the user's next operations"},
    {"delay", "5m", "it is to be executed so long after its tick"},
    {"expires", "1h", "if it has not begun by then, it ends cancelled"},
    {"priority", "interactive|normal|bulk", "how soon its turn comes; default normal"},
    {"batch", "NAME", "what it is counted with"},
    {"unique-key", "KEY", "a tick that finds the one before unfinished adds nothing"},
    {"unique-for", "1h", "how long the key counts; default until that one has ended"},
    {"replace", NULL, "the one that waits with the key gets this payload"},
    {"by", "WHO", "default: you, on this host"},
    {0},
};

const struct command command_cron = {
    .name = "cron",
    .usage = "add NAME --schedule S --user U --op OP [--thread T] [--payload JSON|@FILE|-]\n"
             "              [--zone Z] [--catch-up skip|once|all] [options of submit] [--by WHO]\n"
             "heddle cron list\n"
             "heddle cron pause|resume|remove NAME",
    .summary = "submit operations again and again, by a schedule",
    .details =
        "Each tick is one durable operation, whose id derives from NAME and the tick: whatever\n"
        "number of processors runs, it happens exactly once. Fields are minute, hour, day of the\n"
        "month, month (or jan), weekday (0 to 7, or sun), each *, a value, a range, a list, with\n"
        "/step; where day and weekday are both given, either will do. '@every 10m' counts from\n"
        "1970: at :00, :10, … Others are @hourly, @daily, @weekly, @monthly and @yearly.\n"
        "Where the clock is put forward, a tick at an hour that is named comes right after; where\n"
        "it is put back, once, the first time. Where the hour is * ticks go on through both.\n"
        "Ticks that no processor was there for: `once` submits the last one, `all` each of them,\n"
        "`skip` those that are no more than a minute late. While it is paused none happen. `add`\n"
        "with a name that there is replaces it. From SQL: heddle.cron_add(…), cron_pause(…),\n"
        "cron_remove(…), table heddle.cron.\n",
    .flags = flags,
    .words_max = WORDS_MAX,
    .loads_settings = true,
    .run = run,
};

static enum exit_code add(const struct invocation *invocation, struct pg_link *ledger)
{
    const struct arguments *arguments = invocation->arguments;
    struct heddle_submission submission = {
        .user = text_of(arguments_get(arguments, "user")),
        .op = text_of(arguments_get(arguments, "op")),
        .thread = text_of(arguments_get(arguments, "thread")),
    };
    char next[CRON_TIME_SIZE], *payload;
    struct heddle_error err;
    struct arena arena;

    if (!input_payload(arguments, invocation->options->payload_bytes_max, &payload,
                       &submission.payload))
        return EXIT_USAGE;
    arena_init(&arena, 0);
    heddle_status status = input_options(arguments, &submission.policy, &submission.flow, &err);
    if (status == HEDDLE_OK)
        status = judge(invocation, &submission, &err);
    if (status == HEDDLE_OK && payload)
        status = json_check_payload(submission.payload, &err);
    if (status == HEDDLE_OK) {
        const struct cron_row row = {
            .name = arguments_word(arguments, 1),
            .schedule = arguments_get(arguments, "schedule"),
            .zone = arguments_get(arguments, "zone"),
            .catch_up = arguments_get(arguments, "catch-up"),
            .user = submission.user.data,
            .op = submission.op.data,
            .thread = arguments_get(arguments, "thread"),
            .payload = payload,
            .options = flow_options_to_json(&submission.flow, &submission.policy, &arena),
        };
        status = cron_add(ledger, &row, controls_author(arguments), next, &err);
    }
    arena_done(&arena);
    free(payload);
    return finish(invocation, status, &err, "added", next);
}

static enum exit_code list(const struct invocation *invocation, struct pg_link *ledger)
{
    bool with_json = invocation->with_json;
    struct heddle_error err;

    heddle_status status = cron_list(ledger, print_one, &with_json, &err);
    return status == HEDDLE_OK ? EXIT_DONE : report(invocation, status, &err);
}

static enum exit_code suspend(const struct invocation *invocation, struct pg_link *ledger)
{
    struct heddle_error err;

    heddle_status status = cron_pause(ledger, arguments_word(invocation->arguments, 1), true, &err);
    return finish(invocation, status, &err, "paused", NULL);
}

static enum exit_code resume(const struct invocation *invocation, struct pg_link *ledger)
{
    struct heddle_error err;

    heddle_status status =
        cron_pause(ledger, arguments_word(invocation->arguments, 1), false, &err);
    return finish(invocation, status, &err, "resumed", NULL);
}

static enum exit_code take_away(const struct invocation *invocation, struct pg_link *ledger)
{
    struct heddle_error err;

    heddle_status status = cron_remove(ledger, arguments_word(invocation->arguments, 1), &err);
    return finish(invocation, status, &err, "removed", NULL);
}

static bool fits_form(const struct arguments *arguments, const struct verb *verb)
{
    static const char *const needed[] = {"schedule", "user", "op"};

    if (arguments->word_count != 1 + (size_t)verb->takes_name) {
        report_text(EXIT_USAGE, "cron %s: allowed is cron %s%s", verb->name, verb->name,
                    verb->takes_name ? " NAME" : "");
        return false;
    }
    for (const struct flag *flag = flags; flag->name && !verb->takes_flags; flag++)
        if (arguments_get(arguments, flag->name)) {
            report_text(EXIT_USAGE, "--%s: not with cron %s", flag->name, verb->name);
            return false;
        }
    for (size_t i = 0; verb->takes_flags && i < sizeof needed / sizeof *needed; i++)
        if (!arguments_get(arguments, needed[i])) {
            report_text(EXIT_USAGE, "cron %s: --%s is needed", verb->name, needed[i]);
            return false;
        }
    return true;
}

/* As an operation that is submitted now. */
static heddle_status judge(const struct invocation *invocation,
                           const struct heddle_submission *submission, struct heddle_error *err)
{
    struct ops ops;
    const struct submission_rules rules = {invocation->options->payload_bytes_max, &ops};

    ops_init(&ops);
    heddle_status status = ops_load(&ops, invocation->settings, invocation->options, err);
    if (status == HEDDLE_OK)
        status = submission_check(submission, &rules, err);
    ops_done(&ops);
    return status;
}

static enum exit_code finish(const struct invocation *invocation, heddle_status status,
                             const struct heddle_error *err, const char *state, const char *next)
{
    const char *name = arguments_word(invocation->arguments, 1);

    if (status != HEDDLE_OK)
        return report(invocation, status, err);
    if (invocation->with_json)
        json_out(json_pack("{s:s, s:s, s:s*}", "name", name, "state", state, "next", next));
    else
        printf("%s %s%s%s\n", name, state, next ? ", next " : "", next ? next : "");
    return EXIT_DONE;
}

static void print_one(void *argument, const char *json)
{
    const bool *with_json = argument;
    json_t *row = json_loads(json, 0, NULL);
    const char *problem = json_text(row, "error");
    char line[800];

    if (*with_json) {
        json_out(row);
        return;
    }
    snprintf(line, sizeof line, "%s '%s' %s user=%s op=%s catch_up=%s %s%s last=%s%s%s",
             json_text(row, "name"), json_text(row, "schedule"), json_text(row, "zone"),
             json_text(row, "user_id"), json_text(row, "op"), json_text(row, "catch_up"),
             json_is_true(json_object_get(row, "paused")) ? "paused" : "next=",
             json_is_true(json_object_get(row, "paused")) ? "" : json_text(row, "next_at"),
             *json_text(row, "last_at") ? json_text(row, "last_at") : "never",
             *problem ? " error=" : "", problem);
    text_make_line(line);
    puts(line);
    json_decref(row);
}
