/* heddle op list|register|remove: which operations there are, and those that are functions of the
 * database. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/controls.h"
#include "app/inputs.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/ops.h"
#include "app/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/registry.h"
#include "link/pg.h"
#include "workers/registry.h"

enum { WORDS_MAX = 3, LINE_SIZE = 600 };

struct job {
    const struct invocation *invocation;
    struct ops *ops;
    struct pg_link *ledger;
};

/* What is done, and with how many words behind the verb. */
struct verb {
    const char *name;
    size_t words;
    const char *form;
    enum exit_code (*run)(const struct job *job);
};

static enum exit_code list(const struct job *job);
static enum exit_code add(const struct job *job);
static enum exit_code take_away(const struct job *job);
static bool fits_form(const struct arguments *arguments, const struct verb *verb);
static void print_given(const struct job *job, const char *op, const char *from);
static void print_function(void *argument, const char *json);
static void say(char line[LINE_SIZE], const char *word, const char *value);

static const struct verb verbs[] = {
    {"list", 0, "list", list},
    {"register", 2, "register NAME SCHEMA.FUNCTION", add},
    {"remove", 1, "remove NAME", take_away},
};

static enum exit_code run(const struct invocation *invocation)
{
    const struct verb *verb = VERB_FIND(invocation, verbs);
    struct heddle_error err;
    struct ops ops;
    struct job job = {invocation, &ops, NULL};

    if (!verb || !fits_form(invocation->arguments, verb))
        return EXIT_USAGE;
    ops_init(&ops);
    heddle_status status = ops_load(&ops, invocation->settings, invocation->options, &err);
    if (status == HEDDLE_OK)
        status = links_postgres(invocation->options, &job.ledger, &err);
    enum exit_code code = status == HEDDLE_OK ? verb->run(&job) : report(invocation, status, &err);
    pg_free(job.ledger);
    ops_done(&ops);
    return code;
}

static const struct flag flags[] = {
    {"read-only", NULL, "it has no effects: READ ONLY, and its result is Redis' to keep"},
    {"never-bundle", NULL, "always a transaction of its own"},
    {"attempts", "N", "give an operation up after so many attempts"},
    {"backoff", "100ms", "longest wait before the second attempt; doubles with each"},
    {"backoff-max", "30s", "longest wait before any attempt"},
    {"deadline", "1h", "do not try it again later than this after its submission"},
    {"on-failure", "block|park|halt", "what a failed attempt does to the user's next operations"},
    {"by", "WHO", "default: you, on this host"},
    {0},
};

const struct command command_op = {
    .name = "op",
    .usage =
        "list\n"
        "heddle op register NAME SCHEMA.FUNCTION [--read-only] [--never-bundle] [--attempts N]\n"
        "              [--backoff D] [--backoff-max D] [--deadline D]\n"
        "              [--on-failure block|park|halt] [--by WHO]\n"
        "heddle op remove NAME [--by WHO]",
    .summary = "list the operations that there are; make functions of the database operations",
    .details =
        "The function is (user text, thread text, payload jsonb) returns jsonb. It is called in "
        "the\n"
        "operation's unit of work; what it returns is the result. It refuses an operation by\n"
        "raise exception using errcode = 'HE404', message = '…': HE and a code, 400, 403, 404,\n"
        "409, 410 or 413. Other errors are what they are in any operation: serialization, locks\n"
        "and timeouts are tried again, 22… and 23… end it failed, anything else dead.\n"
        "Processors hear of it within a second. Registering a name again replaces what it was.\n"
        "Operations of one that was removed halt their users' lanes until it is registered again\n"
        "or they are cancelled. From SQL: heddle.register_op(…), heddle.remove_op(…).\n",
    .flags = flags,
    .words_max = WORDS_MAX,
    .loads_settings = true,
    .run = run,
};

static enum exit_code list(const struct job *job)
{
    bool with_json = job->invocation->with_json;
    struct heddle_error err;
    size_t shipped = 0;

    while (workers_registry()[shipped])
        shipped++;
    for (size_t i = 0; i < job->ops->handler_count; i++)
        print_given(job, job->ops->handlers[i]->op, i < shipped ? "shipped" : "shared object");
    heddle_status status = registry_list(job->ledger, print_function, &with_json, &err);
    return status == HEDDLE_OK ? EXIT_DONE : report(job->invocation, status, &err);
}

static enum exit_code add(const struct job *job)
{
    const struct arguments *arguments = job->invocation->arguments;
    struct registry_row row = {.op = arguments_word(arguments, 1),
                               .function = arguments_word(arguments, 2)};
    struct heddle_flow ignored = {0};
    struct heddle_error err;
    const char *name;

    if (ops_find(job->ops, text_of(row.op)))
        return report_text(EXIT_USAGE, "op %.64s: there is one already, and it is no function",
                           row.op);
    if (arguments_get(arguments, "read-only"))
        row.flags |= HEDDLE_HANDLER_READ_ONLY;
    if (arguments_get(arguments, "never-bundle"))
        row.flags |= HEDDLE_HANDLER_NEVER_BUNDLE;
    heddle_status status = input_options(arguments, &row.policy, &ignored, &err);
    if (status == HEDDLE_OK)
        status = registry_add(job->ledger, &row, controls_author(arguments), &job->ops->arena,
                              &name, &err);
    if (status != HEDDLE_OK)
        return report(job->invocation, status, &err);
    if (job->invocation->with_json)
        json_out(json_pack("{s:s, s:s}", "op", row.op, "function", name));
    else
        printf("%s %s\n", row.op, name);
    return EXIT_DONE;
}

static enum exit_code take_away(const struct job *job)
{
    const struct arguments *arguments = job->invocation->arguments;
    const char *op = arguments_word(arguments, 1);
    struct heddle_error err;

    heddle_status status = registry_remove(job->ledger, op, controls_author(arguments), &err);
    if (status != HEDDLE_OK)
        return report(job->invocation, status, &err);
    if (job->invocation->with_json)
        json_out(json_pack("{s:s, s:s}", "op", op, "state", "removed"));
    else
        printf("%s removed\n", op);
    return EXIT_DONE;
}

static bool fits_form(const struct arguments *arguments, const struct verb *verb)
{
    if (arguments->word_count != verb->words + 1) {
        report_text(EXIT_USAGE, "op %s: allowed is op %s", verb->name, verb->form);
        return false;
    }
    for (const struct flag *flag = flags; flag->name && verb->words < 2; flag++)
        if (arguments_get(arguments, flag->name) &&
            (verb->words == 0 || strcmp(flag->name, "by") != 0)) {
            report_text(EXIT_USAGE, "--%s: not with op %s", flag->name, verb->name);
            return false;
        }
    return true;
}

static void print_given(const struct job *job, const char *op, const char *from)
{
    if (job->invocation->with_json)
        json_out(json_pack("{s:s, s:s}", "op", op, "from", from));
    else
        printf("%s %s\n", op, from);
}

static void print_function(void *argument, const char *json)
{
    const bool *with_json = argument;
    json_t *row = json_loads(json, 0, NULL), *value;
    char line[LINE_SIZE] = "";
    const char *option;

    json_object_set_new(row, "from", json_string("function"));
    if (*with_json) {
        json_out(row);
        return;
    }
    say(line, "", json_string_value(json_object_get(row, "op")));
    say(line, " ", json_string_value(json_object_get(row, "function")));
    if (json_is_true(json_object_get(row, "read_only")))
        say(line, " ", "read_only");
    if (json_is_true(json_object_get(row, "never_bundle")))
        say(line, " ", "never_bundle");
    json_object_foreach(json_object_get(row, "options"), option, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        say(line, " ", option);
        say(line, "=", text);
        free(text);
    }
    say(line, " since=", json_string_value(json_object_get(row, "set_at")));
    say(line, " by=", json_string_value(json_object_get(row, "set_by")));
    text_make_line(line);
    puts(line);
    json_decref(row);
}

static void say(char line[LINE_SIZE], const char *word, const char *value)
{
    const size_t used = strlen(line);

    snprintf(line + used, LINE_SIZE - used, "%s%s", word, value);
}
