/* What a subcommand is, and what it is given. Each has a file of its own, which
 * defines its `command_…`; main.c lists them. */
#ifndef APP_COMMAND_H
#define APP_COMMAND_H

#include "heddle/error.h"

#include <stdbool.h>
#include <stddef.h>

struct arguments;
struct options;
struct settings;

enum exit_code {
    EXIT_DONE = 0,
    EXIT_ENDED_BADLY = 1, /* an operation failed, died, was cancelled; a check found something */
    EXIT_USAGE = 2,
    EXIT_CONFIGURATION = 3,
    EXIT_UNREACHABLE = 4, /* Redis or Postgres */
    EXIT_TIME = 5,
    EXIT_REFUSED = 6, /* limit, pause, full */
};

struct flag {
    const char *name;  /* without the -- */
    const char *value; /* what people put: "FILE"; "[=30s]" where it may be absent; NULL for none */
    const char *help;
};

struct invocation {
    const struct command *command;
    const struct arguments *arguments;
    struct settings *settings;
    const struct options *options; /* the values of `settings` */
    bool with_json;                /* --output json */
    int word_count;                /* the command line that it was made of */
    char *const *words;
};

struct command {
    const char *name;
    const char *usage; /* what stands behind the name */
    const char *summary;
    const char *details;      /* more for --help, or NULL */
    const struct flag *flags; /* ends with a NULL name; NULL for none */
    size_t words_max;         /* arguments that are no flags; ARGUMENTS_MAX at most */
    bool loads_settings;      /* main loads them first, and ends with exit 3 where it can't */
    bool lists_settings;      /* --help shows every setting */
    enum exit_code (*run)(const struct invocation *invocation);
};

extern const struct command command_migrate, command_run, command_submit, command_await,
    command_show, command_cancel, command_batch, command_dead, command_cron, command_op,
    command_pause, command_resume, command_limit, command_cap, command_check, command_rebuild,
    command_top, command_users, command_why, command_bench, command_config, command_version;

/* Environment and file into the settings, flags being there already; also puts
 * the log controls in force. */
heddle_status invocation_load(const struct invocation *invocation,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same command line with environment and file as they are now; the log controls are left alone.
 * HEDDLE_FATAL: `err` names the setting in `where`. The caller frees it with invocation_free. */
heddle_status invocation_renew(const struct invocation *invocation, struct invocation **fresh,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;
void invocation_free(struct invocation *invocation);

/* Prints the error as one line on stderr, returns the exit code that fits. Where
 * Redis or Postgres is at fault the line names the setting and its origin. */
enum exit_code report(const struct invocation *invocation, heddle_status status,
                      const struct heddle_error *err);

/* The same for a message of our own. */
enum exit_code report_text(enum exit_code code, const char *format, ...) HEDDLE_PRINTF(2, 3);

#endif
