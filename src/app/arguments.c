/* The command line as words (arguments.h). Runs on the main thread. */
#include "app/arguments.h"

#include <stdio.h>
#include <string.h>

#include "app/options.h"

struct walk {
    int left; /* words not looked at */
    char *const *next;
    const struct command *const *commands;
    struct settings *settings;
    struct arguments *arguments;
};

static heddle_status take_flag(struct walk *walk, const char *word, struct heddle_error *err);
static heddle_status take_word(struct walk *walk, const char *word, struct heddle_error *err);
static heddle_status take_value(struct walk *walk, const char *name, const char **value,
                                struct heddle_error *err);
static heddle_status take_output(struct arguments *arguments, const char *value,
                                 struct heddle_error *err);
static const struct flag *find_flag(const struct command *command, const char *name);
static const char *name_of(const struct command *command);

heddle_status arguments_parse(int count, char *const *words, const struct command *const *commands,
                              struct settings *settings, struct arguments *arguments,
                              struct heddle_error *err)
{
    struct walk walk = {count, words, commands, settings, arguments};
    bool only_words = false;

    *arguments = (struct arguments){0};
    while (walk.left > 0) {
        const char *word = *walk.next++;
        heddle_status status = HEDDLE_OK;
        walk.left--;
        if (!only_words && strcmp(word, "--") == 0)
            only_words = true;
        else if (!only_words && word[0] == '-' && word[1])
            status = take_flag(&walk, word, err);
        else
            status = take_word(&walk, word, err);
        if (status != HEDDLE_OK)
            return status;
    }
    return HEDDLE_OK;
}

const char *arguments_word(const struct arguments *arguments, size_t index)
{
    return index < arguments->word_count ? arguments->words[index] : NULL;
}

const char *arguments_get(const struct arguments *arguments, const char *name)
{
    for (size_t i = arguments->count; i-- > 0;)
        if (strcmp(arguments->given[i].name, name) == 0)
            return arguments->given[i].value;
    return NULL;
}

static heddle_status take_flag(struct walk *walk, const char *word, struct heddle_error *err)
{
    struct arguments *arguments = walk->arguments;
    const char *equals = strchr(word, '=');
    const char *value = equals ? equals + 1 : NULL;
    char name[64], origin[80];

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        arguments->wants_help = true;
        return HEDDLE_OK;
    }
    snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - word) : 63, word);
    const char *bare = strncmp(name, "--", 2) == 0 ? name + 2 : "";
    const struct flag *flag = find_flag(arguments->command, bare);
    const struct setting *setting = settings_find(options_table, bare);
    bool is_output = strcmp(bare, "output") == 0;

    if (!flag && !setting && !is_output)
        return heddle_refuse(err, HEDDLE_KIND_INVALID,
                             "%s: no such flag; `heddle%s --help` lists those that are allowed",
                             name, name_of(arguments->command));
    if (flag && !flag->value && value)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "%s = %.60s: takes no value", name, value);
    if (!value && flag && (!flag->value || *flag->value == '['))
        value = "";
    heddle_status status = value ? HEDDLE_OK : take_value(walk, name, &value, err);
    if (status != HEDDLE_OK)
        return status;
    if (is_output)
        return take_output(arguments, value, err);
    if (setting && !flag) {
        snprintf(origin, sizeof origin, "flag %s", name);
        return settings_set(walk->settings, setting, value, SETTING_FROM_FLAG, origin, err);
    }
    if (arguments->count == ARGUMENTS_MAX)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "%s: allowed are %d flags", name,
                             ARGUMENTS_MAX);
    arguments->given[arguments->count++] = (struct given){flag->name, value};
    return HEDDLE_OK;
}

static heddle_status take_word(struct walk *walk, const char *word, struct heddle_error *err)
{
    struct arguments *arguments = walk->arguments;

    if (arguments->command) {
        if (arguments->word_count >= arguments->command->words_max)
            return heddle_refuse(err, HEDDLE_KIND_INVALID,
                                 "%.60s: unexpected; `heddle%s --help` shows what is allowed", word,
                                 name_of(arguments->command));
        arguments->words[arguments->word_count++] = word;
        return HEDDLE_OK;
    }
    for (const struct command *const *command = walk->commands; *command; command++)
        if (strcmp((*command)->name, word) == 0) {
            arguments->command = *command;
            return HEDDLE_OK;
        }
    return heddle_refuse(err, HEDDLE_KIND_INVALID,
                         "%.60s: no such command; `heddle help` lists those that are allowed",
                         word);
}

static heddle_status take_value(struct walk *walk, const char *name, const char **value,
                                struct heddle_error *err)
{
    if (walk->left == 0)
        return heddle_refuse(err, HEDDLE_KIND_INVALID,
                             "%s: needs a value; `heddle%s --help` "
                             "shows which is allowed",
                             name, name_of(walk->arguments->command));
    *value = *walk->next++;
    walk->left--;
    return HEDDLE_OK;
}

static heddle_status take_output(struct arguments *arguments, const char *value,
                                 struct heddle_error *err)
{
    arguments->with_json = strcmp(value, "json") == 0;
    if (!arguments->with_json && strcmp(value, "text") != 0)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "--output = %.60s: allowed is text or json",
                             value);
    return HEDDLE_OK;
}

static const struct flag *find_flag(const struct command *command, const char *name)
{
    if (!command || !command->flags)
        return NULL;
    for (const struct flag *flag = command->flags; flag->name; flag++)
        if (strcmp(flag->name, name) == 0)
            return flag;
    return NULL;
}

/* " submit", or "" before a command is named. */
static const char *name_of(const struct command *command)
{
    static char name[32];

    if (!command)
        return "";
    snprintf(name, sizeof name, " %s", command->name);
    return name;
}
