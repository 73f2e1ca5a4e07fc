/* The command `heddle`: finds the subcommand, loads the settings, runs it.
 * Exit codes are those of enum exit_code. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/options.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

static enum exit_code run_help(const struct invocation *invocation);
static enum exit_code carry_out(const struct invocation *invocation);
static void print_overview(FILE *file);
static void print_help(const struct command *command);

static const struct command command_help = {
    .name = "help",
    .usage = "[COMMAND]",
    .summary = "show what a command does and takes",
    .words_max = 1,
    .run = run_help,
};

static const struct command *const commands[] = {
    &command_migrate,
    &command_run,
    &command_submit,
    &command_await,
    &command_show,
    &command_cancel,
    &command_dead,
    &command_check,
    &command_rebuild,
    &command_config,
    &command_version,
    &command_help,
    NULL,
};

int main(int argc, char **argv)
{
    struct options options;
    struct arguments arguments;
    struct heddle_error err;
    struct invocation invocation = {
        .arguments = &arguments,
        .settings = settings_new(options_table, &options),
        .options = &options,
    };

    /* A peer or reader that went away is an error of write, not our end. */
    signal(SIGPIPE, SIG_IGN);
    heddle_status status =
        arguments_parse(argc - 1, argv + 1, commands, invocation.settings, &arguments, &err);
    invocation.command = arguments.command;
    invocation.with_json = arguments.with_json;

    enum exit_code code =
        status == HEDDLE_OK ? carry_out(&invocation) : report(&invocation, status, &err);
    settings_free(invocation.settings);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE)
        code = report_text(EXIT_ENDED_BADLY, "stdout: can't be written");
    return code;
}

heddle_status invocation_load(const struct invocation *invocation, struct heddle_error *err)
{
    heddle_status status = options_load(invocation->settings, invocation->options, environ, err);
    if (status == HEDDLE_OK)
        log_configure((enum heddle_log_level)invocation->options->log_level,
                      (enum log_format)invocation->options->log_format);
    return status;
}

enum exit_code report(const struct invocation *invocation, heddle_status status,
                      const struct heddle_error *err)
{
    const struct setting *row = settings_find(options_table, err->where);
    bool has_kind = status == HEDDLE_REFUSED && err->kind != HEDDLE_KIND_INVALID;
    const char *where = has_kind ? heddle_kind_name(err->kind) : err->where;
    char shown[128];

    fflush(stdout);
    if (row)
        fprintf(stderr, "heddle: %s = %s (%s): %s\n", row->key,
                settings_show(invocation->settings, row, shown, sizeof shown),
                settings_origin(invocation->settings, row), err->text);
    else
        fprintf(stderr, "heddle: %s%s%s\n", where, *where ? ": " : "", err->text);
    switch (status) {
    case HEDDLE_OK:
        return EXIT_DONE;
    case HEDDLE_RETRY:
        return err->kind == HEDDLE_KIND_TOO_LARGE ? EXIT_REFUSED : EXIT_UNREACHABLE;
    case HEDDLE_REFUSED:
        return err->kind == HEDDLE_KIND_CONFLICT ? EXIT_ENDED_BADLY : EXIT_USAGE;
    case HEDDLE_FATAL:
        return EXIT_CONFIGURATION;
    case HEDDLE_PERMANENT:
    case HEDDLE_UNKNOWN:
        break;
    }
    return EXIT_ENDED_BADLY;
}

enum exit_code report_text(enum exit_code code, const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    text_make_line(line);
    fprintf(stderr, "heddle: %s\n", line);
    return code;
}

static enum exit_code carry_out(const struct invocation *invocation)
{
    const struct command *command = invocation->command;
    struct heddle_error err;

    if (invocation->arguments->wants_help) {
        if (command)
            print_help(command);
        else
            print_overview(stdout);
        return EXIT_DONE;
    }
    if (!command) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    heddle_status status = command->loads_settings ? invocation_load(invocation, &err) : HEDDLE_OK;
    return status == HEDDLE_OK ? command->run(invocation) : report(invocation, status, &err);
}

static enum exit_code run_help(const struct invocation *invocation)
{
    const char *name = arguments_word(invocation->arguments, 0);

    if (!name) {
        print_overview(stdout);
        return EXIT_DONE;
    }
    for (const struct command *const *command = commands; *command; command++)
        if (strcmp((*command)->name, name) == 0) {
            print_help(*command);
            return EXIT_DONE;
        }
    return report_text(EXIT_USAGE,
                       "%.60s: no such command; `heddle help` lists those that are allowed", name);
}

static void print_overview(FILE *file)
{
    fputs("heddle runs every user's operations one at a time, in order, exactly once,\n"
          "in a Postgres transaction.\n\n"
          "heddle COMMAND [--flag VALUE]...\n\n",
          file);
    for (const struct command *const *command = commands; *command; command++)
        fprintf(file, "  %-9s %s\n", (*command)->name, (*command)->summary);
    fputs("\n`heddle COMMAND --help` tells more. Every setting is a flag as well:\n"
          "`heddle config --help` lists them.\n\n"
          "Exit codes: 0 done; 1 an operation ended failed, dead or cancelled, or a check found\n"
          "something; 2 usage; 3 configuration; 4 Redis or Postgres can't be reached; 5 time\n"
          "ran out; 6 refused (limit, pause, full).\n",
          file);
}

static void print_help(const struct command *command)
{
    printf("heddle %s%s%s\n\n%s.\n", command->name, *command->usage ? " " : "", command->usage,
           command->summary);
    if (command->details)
        printf("\n%s", command->details);
    if (command->flags) {
        printf("\nFlags:\n");
        for (const struct flag *flag = command->flags; flag->name; flag++) {
            char form[64];
            snprintf(form, sizeof form, "--%s%s%s", flag->name,
                     flag->value && *flag->value != '[' ? " " : "", flag->value ? flag->value : "");
            printf("  %-24s %s\n", form, flag->help);
        }
    }
    printf("\nWith every command:\n"
           "  %-24s %s\n  %-24s %s\n  %-24s %s\n",
           "--config FILE", "file to read settings from", "--output text|json",
           "form of what goes to stdout; default text", "--help", "this text");
    if (!command->lists_settings) {
        printf("\nEvery setting is a flag as well; `heddle config --help` lists them.\n");
        return;
    }
    printf("\nSettings; --key goes before HEDDLE_KEY in the environment, that before `key =` in\n"
           "the file, that before the default:\n");
    options_print_flags(stdout);
}
