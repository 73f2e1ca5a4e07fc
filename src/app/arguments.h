/* The command line as words: which command, which flags, which word.
 *
 * A flag is `--name value` or `--name=value`; every setting is one. */
#ifndef APP_ARGUMENTS_H
#define APP_ARGUMENTS_H

#include "app/command.h"

enum { ARGUMENTS_MAX = 64 };

/* Texts are borrowed from argv and from the command. */
struct arguments {
    const struct command *command;    /* NULL where none is named */
    const char *words[ARGUMENTS_MAX]; /* what is no flag */
    size_t word_count;
    bool wants_help;
    bool with_json;
    size_t count;
    struct given {
        const char *name;
        const char *value; /* "" where the flag has none */
    } given[ARGUMENTS_MAX];
};

/* Settings go into `settings`, everything else into `arguments`.
 * HEDDLE_REFUSED: usage, `err` has one line. HEDDLE_FATAL: a setting's value. */
heddle_status arguments_parse(int count, char *const *words, const struct command *const *commands,
                              struct settings *settings, struct arguments *arguments,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The word at `index`, or NULL. */
const char *arguments_word(const struct arguments *arguments, size_t index);

/* The flag's last value, "" where it has none, NULL where it is not given. */
const char *arguments_get(const struct arguments *arguments, const char *name);

#endif
