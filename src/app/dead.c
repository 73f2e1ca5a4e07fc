/* heddle dead list|retry|drop: operations that gave up, and those that halt their lanes. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/inputs.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/ends.h"
#include "link/pg.h"

enum { LIMIT = 100, LIMIT_MAX = 1000000 };

/* What is done with each, or with all. */
struct verb {
    const char *name;
    enum exit_code (*run)(const struct invocation *invocation, struct pg_link *ledger);
};

static enum exit_code list(const struct invocation *invocation, struct pg_link *ledger);
static enum exit_code retry(const struct invocation *invocation, struct pg_link *ledger);
static enum exit_code drop(const struct invocation *invocation, struct pg_link *ledger);
static bool fits_form(const struct arguments *arguments, bool is_list);
static bool read_filter(const struct invocation *invocation, int64_t limit,
                        struct ends_filter *filter);
static void print_one(void *argument, const char *json);
static void print_row(const json_t *row);

static const struct verb verbs[] = {{"list", list}, {"retry", retry}, {"drop", drop}};

static enum exit_code run(const struct invocation *invocation)
{
    const struct verb *verb = VERB_FIND(invocation, verbs);
    struct pg_link *ledger;
    struct heddle_error err;

    if (!verb || !fits_form(invocation->arguments, verb->run == list))
        return EXIT_USAGE;
    heddle_status status = links_postgres(invocation->options, &ledger, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    enum exit_code code = verb->run(invocation, ledger);
    pg_free(ledger);
    return code;
}

static const struct flag flags[] = {
    {"all", NULL, "retry or drop all that the other flags leave"},
    {"user", "U", "only this user's"},
    {"op", "OP", "only this kind"},
    {"limit", "N", "at most so many; default 100 of list, all of --all"},
    {0},
};

const struct command command_dead = {
    .name = "dead",
    .usage = "list [--user U] [--op OP] [--limit N]\n"
             "heddle dead retry|drop ID... | --all [--user U] [--op OP] [--limit N]",
    .summary = "list, retry or drop operations that gave up or halt their lanes",
    .details =
        "retry submits a dead operation again, as a new one at the end of its lane, and\n"
        "prints the new id; one that halts its lane is itself tried again, with all its\n"
        "attempts before it. drop settles it: nothing more becomes of it, and a lane that\n"
        "it halts goes on with the next one. A second time there is nothing to decide: exit 1.\n",
    .flags = flags,
    .words_max = ARGUMENTS_MAX,
    .loads_settings = true,
    .run = run,
};

static enum exit_code list(const struct invocation *invocation, struct pg_link *ledger)
{
    bool with_json = invocation->with_json;
    struct ends_filter filter;
    struct heddle_error err;

    if (!read_filter(invocation, LIMIT, &filter))
        return EXIT_USAGE;
    heddle_status status = ends_list(ledger, &filter, print_one, &with_json, &err);
    return status == HEDDLE_OK ? EXIT_DONE : report(invocation, status, &err);
}

/* Each ID, or all: the ones before one that can't be are decided. */
static enum exit_code decide(const struct invocation *invocation, struct pg_link *ledger,
                             bool is_retry)
{
    struct ends_filter filter;
    struct heddle_error err;
    int64_t count = 0;
    heddle_status status;

    if (arguments_get(invocation->arguments, "all")) {
        if (!read_filter(invocation, LIMIT_MAX, &filter))
            return EXIT_USAGE;
        status = is_retry ? ends_retry_all(ledger, &filter, &count, &err)
                          : ends_drop_all(ledger, &filter, &count, &err);
        if (status != HEDDLE_OK)
            return report(invocation, status, &err);
        if (invocation->with_json)
            json_out(json_pack("{s:I}", is_retry ? "retried" : "dropped", (json_int_t)count));
        else
            printf("%" PRId64 " %s\n", count, is_retry ? "retried" : "dropped");
        return EXIT_DONE;
    }
    for (size_t i = 1; i < invocation->arguments->word_count; i++) {
        char id[HEDDLE_ID_SIZE + 1], new_id[HEDDLE_ID_SIZE + 1];
        if (!input_id(arguments_word(invocation->arguments, i), id))
            return EXIT_USAGE;
        status = is_retry ? ends_retry(ledger, id, new_id, &err) : ends_drop(ledger, id, &err);
        if (status != HEDDLE_OK)
            return report(invocation, status, &err);
        if (invocation->with_json)
            json_out(json_pack("{s:s, s:s}", "id", id, is_retry ? "retried_as" : "state",
                               is_retry ? new_id : "dropped"));
        else
            printf("%s\n", is_retry ? new_id : id);
    }
    return EXIT_DONE;
}

static enum exit_code retry(const struct invocation *invocation, struct pg_link *ledger)
{
    return decide(invocation, ledger, true);
}

static enum exit_code drop(const struct invocation *invocation, struct pg_link *ledger)
{
    return decide(invocation, ledger, false);
}

static bool fits_form(const struct arguments *arguments, bool is_list)
{
    bool has_ids = arguments->word_count > 1, is_all = arguments_get(arguments, "all") != NULL;

    if (is_list && (has_ids || is_all))
        report_text(EXIT_USAGE, "dead list: takes no ID and no --all");
    else if (!is_list && has_ids == is_all)
        report_text(EXIT_USAGE, "dead %s: allowed is either ID... or --all",
                    arguments_word(arguments, 0));
    else if (!is_all && !is_list &&
             (arguments_get(arguments, "user") || arguments_get(arguments, "op") ||
              arguments_get(arguments, "limit")))
        report_text(EXIT_USAGE, "--user, --op, --limit: allowed with list or --all");
    else
        return true;
    return false;
}

static bool read_filter(const struct invocation *invocation, int64_t limit,
                        struct ends_filter *filter)
{
    const char *text = arguments_get(invocation->arguments, "limit");

    *filter = (struct ends_filter){
        .user = arguments_get(invocation->arguments, "user"),
        .op = arguments_get(invocation->arguments, "op"),
        .most = limit,
    };
    if (!text)
        return true;
    char *end;
    filter->most = strtoll(text, &end, 10);
    if (*text && !*end && filter->most >= 1 && filter->most <= LIMIT_MAX)
        return true;
    report_text(EXIT_USAGE, "--limit = %.60s: allowed is 1 to %d", text, LIMIT_MAX);
    return false;
}

static void print_one(void *argument, const char *json)
{
    const bool *with_json = argument;
    json_t *row = json_loads(json, 0, NULL);

    if (*with_json) {
        json_out(row);
        return;
    }
    print_row(row);
    json_decref(row);
}

static void print_row(const json_t *row)
{
    const json_t *error = json_object_get(row, "error");
    char message[200];

    snprintf(message, sizeof message, "%s",
             error ? json_string_value(json_object_get(error, "message")) : "");
    text_make_line(message);
    printf("%s %s %s user=%s attempts=%" JSON_INTEGER_FORMAT " since=%s %s\n",
           json_string_value(json_object_get(row, "id")),
           json_string_value(json_object_get(row, "state")),
           json_string_value(json_object_get(row, "op")),
           json_string_value(json_object_get(row, "user_id")),
           json_integer_value(json_object_get(row, "attempt")),
           json_string_value(json_object_get(row, "since")), message);
}
