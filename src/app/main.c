/* The command `heddle`: finds the subcommand, loads the settings, runs it.
 * Exit codes are those of enum exit_code. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/options.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
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
    &command_migrate, &command_run,     &command_submit, &command_await, &command_show,
    &command_cancel,  &command_batch,   &command_dead,   &command_cron,  &command_op,
    &command_pause,   &command_resume,  &command_limit,  &command_cap,   &command_check,
    &command_rebuild, &command_top,     &command_users,  &command_why,   &command_bench,
    &command_config,  &command_version, &command_help,   NULL,
};

/* An invocation with what it points to. */
struct call {
    struct invocation invocation; /* first: invocation_free finds the call by it */
    struct options options;
    struct arguments arguments;
};

static heddle_status parse(struct call *call, int count, char *const *words,
                           struct heddle_error *err)
{
    struct invocation *invocation = &call->invocation;

    *invocation = (struct invocation){
        .arguments = &call->arguments,
        .settings = settings_new(options_table, &call->options),
        .options = &call->options,
        .word_count = count,
        .words = words,
    };
    heddle_status status =
        arguments_parse(count, words, commands, invocation->settings, &call->arguments, err);
    invocation->command = call->arguments.command;
    invocation->with_json = call->arguments.with_json;
    return status;
}

int main(int argc, char **argv)
{
    struct heddle_error err;
    struct call call;

    /* A peer or reader that went away is an error of write, not our end. */
    signal(SIGPIPE, SIG_IGN);
    heddle_status status = parse(&call, argc - 1, argv + 1, &err);
    enum exit_code code =
        status == HEDDLE_OK ? carry_out(&call.invocation) : report(&call.invocation, status, &err);
    settings_free(call.invocation.settings);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE)
        code = report_text(EXIT_ENDED_BADLY, "stdout: can't be written");
    return code;
}

heddle_status invocation_renew(const struct invocation *invocation, struct invocation **fresh,
                               struct heddle_error *err)
{
    struct call *call = memory_take_zeroed(1, sizeof *call);

    heddle_status status = parse(call, invocation->word_count, invocation->words, err);
    if (status == HEDDLE_OK)
        status = options_load(call->invocation.settings, &call->options, environ, err);
    if (status != HEDDLE_OK) {
        invocation_free(&call->invocation);
        return status;
    }
    *fresh = &call->invocation;
    return HEDDLE_OK;
}

void invocation_free(struct invocation *invocation)
{
    settings_free(invocation->settings);
    free((struct call *)invocation);
}

heddle_status invocation_load(const struct invocation *invocation, struct heddle_error *err)
{
    heddle_status status = options_load(invocation->settings, invocation->options, environ, err);
    if (status == HEDDLE_OK)
        options_configure_log(invocation->options);
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
        return err->kind == HEDDLE_KIND_INVALID ? EXIT_USAGE : EXIT_ENDED_BADLY;
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
