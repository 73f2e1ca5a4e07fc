/* heddle config: every setting with its value and where that came from. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/json_out.h"
#include "app/options.h"

#include <stdio.h>

static void print_json(const struct settings *settings);
static void print_text(const struct settings *settings);

static enum exit_code run(const struct invocation *invocation)
{
    struct heddle_error err;

    if (arguments_get(invocation->arguments, "example")) {
        options_print_example(stdout);
        return EXIT_DONE;
    }
    heddle_status status = invocation_load(invocation, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    if (invocation->with_json)
        print_json(invocation->settings);
    else
        print_text(invocation->settings);
    return EXIT_DONE;
}

static const struct flag flags[] = {
    {"example", NULL, "print a configuration file with every default instead"},
    {0},
};

const struct command command_config = {
    .name = "config",
    .usage = "[--example]",
    .summary = "show every setting, its value and its source",
    .details = "Secrets are printed as ********.\n",
    .flags = flags,
    .lists_settings = true,
    .run = run,
};

static void print_json(const struct settings *settings)
{
    json_t *object = json_object();
    char value[4200];

    for (const struct setting *row = options_table; row->key; row++)
        json_object_set_new(object, row->key,
                            json_pack("{s:s, s:s}", "value",
                                      settings_show(settings, row, value, sizeof value), "source",
                                      settings_origin(settings, row)));
    json_out(object);
}

static void print_text(const struct settings *settings)
{
    char value[4200];

    for (const struct setting *row = options_table; row->key; row++)
        printf("%-27s = %-28s ; %s\n", row->key, settings_show(settings, row, value, sizeof value),
               settings_origin(settings, row));
}
