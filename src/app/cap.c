/* heddle cap set|list|remove: how much of a user, an op or everything may be queued. */
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

enum { CAP_MAX = 1000000000, PERCENT_MAX = 100 };

struct verb {
    const char *name;
    size_t words; /* behind it */
    heddle_status (*run)(struct pg_link *ledger, const struct control_cap *cap,
                         struct heddle_error *err);
    const char *state; /* afterwards */
};

static bool read_cap(const struct arguments *arguments, const struct verb *verb,
                     struct control_cap *cap);
static bool is_count(const struct control_cap *cap);
static enum exit_code change(const struct invocation *invocation, const struct verb *verb,
                             const struct control_cap *cap, struct pg_link *ledger);
static enum exit_code list(const struct invocation *invocation, struct pg_link *ledger);
static void print_one(void *argument, const char *json);

static const struct verb verbs[] = {
    {"set", 1, controls_cap, "capped"},
    {"list", 0, NULL, NULL},
    {"remove", 0, controls_uncap, "no longer capped"},
};

static enum exit_code run(const struct invocation *invocation)
{
    const struct verb *verb = VERB_FIND(invocation, verbs);
    struct control_cap cap;
    struct pg_link *ledger;
    struct heddle_error err;

    if (!verb || !read_cap(invocation->arguments, verb, &cap))
        return EXIT_USAGE;
    heddle_status status = links_postgres(invocation->options, &ledger, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    enum exit_code code =
        verb->run ? change(invocation, verb, &cap, ledger) : list(invocation, ledger);
    pg_free(ledger);
    return code;
}

static const struct flag flags[] = {
    {"user", "U", "this user, in place of what each user may"},
    {"users", NULL, "each user"},
    {"op", "OP", "operations of this kind, of all users together"},
    {"all", NULL, "everything together"},
    {"bulk", NULL,
     "bulk operations: N is the percentage of Redis' memory from which on they are refused; "
     "default: 90"},
    {"by", "WHO", "default: you, on this host"},
    {0},
};

const struct command command_cap = {
    .name = "cap",
    .usage = "set --user U | --users | --op OP | --all | --bulk N\n"
             "heddle cap remove --user U | --users | --op OP | --all | --bulk\n"
             "heddle cap list",
    .summary = "how much of a user, an op or everything may be queued",
    .details =
        "What is beyond is refused: `HEDDLE full …` says what and how many, exit 6. A known id\n"
        "never is, nor what follows from an operation or completes a batch. An operation is\n"
        "queued until it has ended; one for later counts for its user when it is due.\n"
        "The cap of an op, or of all, is divided among the partitions; their parts move to\n"
        "where they are needed within a tenth of a second or so, and one that has used its part\n"
        "up refuses until then. heddle.submit() knows those counts as of a second before, and\n"
        "counts a user's durable operations alone.\n"
        "From SQL: heddle.set_cap(1000, users => true), heddle.remove_cap(…), view heddle.caps.\n",
    .flags = flags,
    .words_max = 2,
    .loads_settings = true,
    .run = run,
};

/* False: a line has said why not. */
static bool read_cap(const struct arguments *arguments, const struct verb *verb,
                     struct control_cap *cap)
{
    bool is_said;

    *cap = (struct control_cap){
        .is_users = arguments_get(arguments, "users") != NULL,
        .is_bulk = arguments_get(arguments, "bulk") != NULL,
        .most = arguments_word(arguments, 1),
        .by = controls_author(arguments),
    };
    if (!controls_target(arguments, &cap->target, &is_said))
        return false;
    if (is_said + cap->is_users + cap->is_bulk != (verb->run != NULL))
        report_text(EXIT_USAGE, "cap %s: %s", verb->name,
                    verb->run ? "say one of --user, --users, --op, --all and --bulk"
                              : "takes no --user, --users, --op, --all or --bulk");
    else if (arguments->word_count != 1 + verb->words)
        report_text(EXIT_USAGE, "cap %s: %s", verb->name,
                    verb->words > 0 ? "say how many" : "takes no number");
    else
        return verb->words == 0 || is_count(cap);
    return false;
}

static bool is_count(const struct control_cap *cap)
{
    const int most = cap->is_bulk ? PERCENT_MAX : CAP_MAX;
    int64_t count;

    if (text_parse_positive(text_of(cap->most), most, &count))
        return true;
    report_text(EXIT_USAGE, "cap %.60s: allowed is a whole number from 1 to %d", cap->most, most);
    return false;
}

static enum exit_code change(const struct invocation *invocation, const struct verb *verb,
                             const struct control_cap *cap, struct pg_link *ledger)
{
    const char *what = cap->is_users ? "each user" : cap->is_bulk ? "bulk" : NULL;
    struct heddle_error err;

    heddle_status status = verb->run(ledger, cap, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    enum exit_code code = controls_tell(invocation, ledger);
    controls_print(invocation, what, &cap->target, verb->state);
    return code;
}

static enum exit_code list(const struct invocation *invocation, struct pg_link *ledger)
{
    bool with_json = invocation->with_json;
    struct heddle_error err;

    heddle_status status = controls_list_caps(ledger, print_one, &with_json, &err);
    return status == HEDDLE_OK ? EXIT_DONE : report(invocation, status, &err);
}

static void print_one(void *argument, const char *json)
{
    const bool *with_json = argument;
    json_t *row = json_loads(json, 0, NULL);
    const json_t *queued = json_object_get(row, "queued");
    char said[80];

    int size = snprintf(said, sizeof said, " most=%lld",
                        (long long)json_integer_value(json_object_get(row, "most")));
    if (json_is_integer(queued))
        snprintf(said + size, sizeof said - (size_t)size, " queued=%lld",
                 (long long)json_integer_value(queued));
    controls_print_row(*with_json, row, said, "");
}
