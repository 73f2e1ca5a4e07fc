/* heddle limit set|list|remove: how much of a user, an op or everything may begin. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/controls.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/verb.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "ledger/controls.h"
#include "link/pg.h"

enum { AMOUNT_MAX = 1000000 };

struct verb {
    const char *name;
    size_t words_max; /* behind it */
    bool has_target;
    heddle_status (*run)(struct pg_link *ledger, const struct control_limit *limit,
                         struct heddle_error *err);
    const char *state; /* afterwards */
};

static bool read_limit(const struct arguments *arguments, const struct verb *verb,
                       struct control_limit *limit);
static bool is_amount(const char *flag, const char *value);
static enum exit_code change(const struct invocation *invocation, const struct verb *verb,
                             const struct control_limit *limit, struct pg_link *ledger);
static enum exit_code list(const struct invocation *invocation, struct pg_link *ledger);
static void print_one(void *argument, const char *json);

static const struct verb verbs[] = {
    {"set", 1, true, controls_limit, "limited"},
    {"list", 0, false, NULL, NULL},
    {"remove", 0, true, controls_unlimit, "no longer limited"},
};

static enum exit_code run(const struct invocation *invocation)
{
    const struct verb *verb = VERB_FIND(invocation, verbs);
    struct control_limit limit;
    struct pg_link *ledger;
    struct heddle_error err;

    if (!verb || !read_limit(invocation->arguments, verb, &limit))
        return EXIT_USAGE;
    heddle_status status = links_postgres(invocation->options, &ledger, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    enum exit_code code =
        verb->run ? change(invocation, verb, &limit, ledger) : list(invocation, ledger);
    pg_free(ledger);
    return code;
}

static const struct flag flags[] = {
    {"user", "U", "this user, in place of what each user may"},
    {"users", NULL, "each user"},
    {"op", "OP", "operations of this kind, of all users together"},
    {"all", NULL, "everything together"},
    {"burst", "N", "so many may begin at once, then by the rate; default: the number in RATE"},
    {"concurrency", "N", "of an op: no more than so many run at once"},
    {"by", "WHO", "default: you, on this host"},
    {0},
};

const struct command command_limit = {
    .name = "limit",
    .usage = "set --user U | --users | --op OP | --all [RATE [--burst N]] [--concurrency N]\n"
             "heddle limit remove --user U | --users | --op OP | --all\n"
             "heddle limit list",
    .summary = "how much of a user, an op or everything may begin",
    .details =
        "RATE is a number per s, m, h or d: 10/s. What may not begin yet waits, its user's\n"
        "later operations behind it, and comes by itself when it may; nothing is refused.\n"
        "An operation counts when it is handed to a processor, again at each attempt. Rates and\n"
        "concurrency hold in the whole fleet. From SQL: heddle.set_limit(op => …, rate => "
        "'10/s'),\n"
        "heddle.remove_limit(…), view heddle.limits; processors hear of those within a second.\n",
    .flags = flags,
    .words_max = 2,
    .loads_settings = true,
    .run = run,
};

static bool is_amount(const char *flag, const char *value)
{
    int64_t amount;

    if (!value || text_parse_positive(text_of(value), AMOUNT_MAX, &amount))
        return true;
    report_text(EXIT_USAGE, "--%s %.60s: allowed is a whole number from 1 to %d", flag, value,
                AMOUNT_MAX);
    return false;
}

/* False: a line has said why not. */
static bool read_limit(const struct arguments *arguments, const struct verb *verb,
                       struct control_limit *limit)
{
    bool is_said;

    *limit = (struct control_limit){
        .is_users = arguments_get(arguments, "users") != NULL,
        .rate = arguments_word(arguments, 1),
        .burst = arguments_get(arguments, "burst"),
        .concurrency = arguments_get(arguments, "concurrency"),
        .by = controls_author(arguments),
    };
    if (!controls_target(arguments, &limit->target, &is_said) ||
        !is_amount("burst", limit->burst) || !is_amount("concurrency", limit->concurrency))
        return false;
    if (arguments->word_count > 1 + verb->words_max ||
        (verb->words_max == 0 && (limit->burst || limit->concurrency)))
        report_text(EXIT_USAGE, "limit %s: takes no RATE, --burst or --concurrency", verb->name);
    else if (verb->has_target != (is_said != limit->is_users) || (is_said && limit->is_users))
        report_text(EXIT_USAGE, "limit %s: %s", verb->name,
                    verb->has_target ? "say one of --user, --users, --op and --all"
                                     : "takes no --user, --users, --op or --all");
    else
        return true;
    return false;
}

static enum exit_code change(const struct invocation *invocation, const struct verb *verb,
                             const struct control_limit *limit, struct pg_link *ledger)
{
    struct heddle_error err;

    heddle_status status = verb->run(ledger, limit, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    enum exit_code code = controls_tell(invocation, ledger);
    controls_print(invocation, limit->is_users ? "each user" : NULL, &limit->target, verb->state);
    return code;
}

static enum exit_code list(const struct invocation *invocation, struct pg_link *ledger)
{
    bool with_json = invocation->with_json;
    struct heddle_error err;

    heddle_status status = controls_list_limits(ledger, print_one, &with_json, &err);
    return status == HEDDLE_OK ? EXIT_DONE : report(invocation, status, &err);
}

static void print_one(void *argument, const char *json)
{
    const bool *with_json = argument;
    json_t *row = json_loads(json, 0, NULL);
    const char *rate = json_string_value(json_object_get(row, "rate"));
    char said[80];

    if (rate)
        snprintf(said, sizeof said, " rate=%s burst=%lld", rate,
                 (long long)json_integer_value(json_object_get(row, "burst")));
    else
        snprintf(said, sizeof said, " concurrency=%lld",
                 (long long)json_integer_value(json_object_get(row, "concurrency")));
    controls_print_row(*with_json, row, said, "");
}
