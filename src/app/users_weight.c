/* heddle users weight, heddle users plan: who gets how much of the service. */
#include "app/arguments.h"
#include "app/controls.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/users.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "ledger/controls.h"
#include "link/pg.h"

static enum exit_code set_weight(const struct invocation *invocation, const char *user,
                                 const char *plan, const char *weight);
static enum exit_code list(const struct invocation *invocation);
static void print_one(void *argument, const char *json);
static enum exit_code tell(const struct invocation *invocation, struct pg_link *ledger,
                           heddle_status status, struct heddle_error *err);
static enum exit_code check_value(const struct invocation *invocation, const char *value);

static enum exit_code run_weight(const struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    const char *plan = arguments_get(arguments, "plan");
    const char *user = plan ? NULL : arguments_word(arguments, 1);
    const char *weight = arguments_word(arguments, plan ? 1 : 2);

    if (!user && !plan && !arguments_get(arguments, "reset"))
        return list(invocation);
    if ((!user && !plan) || (plan && arguments->word_count > 2))
        return report_text(EXIT_USAGE, "users weight: say a user or --plan");
    if (check_value(invocation, weight) != EXIT_DONE)
        return EXIT_USAGE;
    if (weight && (!*weight || weight[strspn(weight, "0123456789.")]))
        return report_text(EXIT_USAGE, "users weight: %.60s is not a number", weight);
    if (user && !users_name_fits(&users_weight, user))
        return EXIT_USAGE;
    return set_weight(invocation, user, plan, weight);
}

static enum exit_code run_plan(const struct invocation *invocation)
{
    const char *user = arguments_word(invocation->arguments, 1);
    const char *plan = arguments_word(invocation->arguments, 2);
    struct pg_link *ledger;
    struct heddle_error err;

    if (check_value(invocation, plan) != EXIT_DONE || !users_name_fits(&users_plan, user))
        return EXIT_USAGE;
    heddle_status status = links_postgres(invocation->options, &ledger, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    status = controls_set_plan(ledger, user, plan, controls_author(invocation->arguments), &err);
    return tell(invocation, ledger, status, &err);
}

const struct users_verb users_weight = {
    "weight", 1, 3, "a user and a number, or --plan and a number, or nothing", run_weight};
const struct users_verb users_plan = {"plan", 2, 3, "a user and a plan", run_plan};

static enum exit_code set_weight(const struct invocation *invocation, const char *user,
                                 const char *plan, const char *weight)
{
    const struct control_weight asked = {user, plan, weight,
                                         controls_author(invocation->arguments)};
    struct pg_link *ledger;
    struct heddle_error err;

    heddle_status status = links_postgres(invocation->options, &ledger, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    status = controls_weigh(ledger, &asked, &err);
    return tell(invocation, ledger, status, &err);
}

/* Either a value or --reset. */
static enum exit_code check_value(const struct invocation *invocation, const char *value)
{
    if ((value != NULL) != (arguments_get(invocation->arguments, "reset") != NULL))
        return EXIT_DONE;
    return report_text(EXIT_USAGE, "users %s: say one of a value and --reset",
                       arguments_word(invocation->arguments, 0));
}

/* The queue, of what was recorded; closes the ledger. */
static enum exit_code tell(const struct invocation *invocation, struct pg_link *ledger,
                           heddle_status status, struct heddle_error *err)
{
    enum exit_code code =
        status == HEDDLE_OK ? controls_tell(invocation, ledger) : report(invocation, status, err);

    pg_free(ledger);
    return code;
}

static enum exit_code list(const struct invocation *invocation)
{
    bool with_json = invocation->with_json;
    struct pg_link *ledger;
    struct heddle_error err;

    heddle_status status = links_postgres(invocation->options, &ledger, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    status = controls_list_weights(ledger, print_one, &with_json, &err);
    pg_free(ledger);
    return status == HEDDLE_OK ? EXIT_DONE : report(invocation, status, &err);
}

static void print_one(void *argument, const char *json)
{
    const bool *with_json = argument;
    json_t *row = json_loads(json, 0, NULL);
    const json_t *weight = json_object_get(row, "weight");
    const char *plan = json_text(row, "plan");
    char number[40] = "", line[600];

    if (*with_json) {
        json_out(row);
        return;
    }
    if (json_is_number(weight))
        snprintf(number, sizeof number, " weight=%g", json_number_value(weight));
    snprintf(line, sizeof line, "%s %s%s%s%s since=%s by=%s", json_text(row, "what"),
             json_text(row, "name"), number, *plan ? " plan=" : "", plan, json_text(row, "since"),
             json_text(row, "by"));
    text_make_line(line);
    puts(line);
    json_decref(row);
}
