/* Configuration from flags, environment and file, as `heddle` takes it: what is taken is within its
 * row's bounds and what is in force says where it comes from; what is refused is one line, and no
 * secret is ever in it. */
#include "fuzz.h"

#include "app/arguments.h"
#include "app/command.h"
#include "app/options.h"
#include "base/arena.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 16 };

#define SECRET "s3CRET"

static const struct flag flags[] = {{.name = "wait", .value = "[=TIME]", .help = "an option"},
                                    {.name = "user", .value = "U", .help = "a value"},
                                    {.name = "quiet", .help = "neither"},
                                    {0}};
static const struct command command = {
    .name = "do", .usage = "WORD", .summary = "do it", .flags = flags, .words_max = 2};
static const struct command *const commands[] = {&command, NULL};

/* Words up to an empty one; freed by the caller. None that names a file of this machine. */
static size_t take_words(struct fuzz_input *input, const char *prefix, char *words[WORDS_MAX])
{
    size_t count = 0;

    while (count + 1 < WORDS_MAX && input->left > 0) {
        char *word = fuzz_string(input, '\n');
        bool is_last = *word == '\0';
        if (!is_last && !strcasestr(word, "config"))
            FUZZ_CHECK(asprintf(&words[count++], "%s%s", prefix, word) > 0);
        free(word);
        if (is_last)
            break;
    }
    words[count] = NULL;
    return count;
}

static void free_words(char *words[WORDS_MAX], size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(words[i]);
}

static void check_refusal(heddle_status status, struct heddle_error *err, struct fuzz_input input)
{
    FUZZ_CHECK(status == HEDDLE_FATAL || status == HEDDLE_REFUSED);
    FUZZ_CHECK(!strstr(err->text, SECRET) || memmem(input.at, input.left, SECRET, strlen(SECRET)));
    fuzz_check_error(err);
}

/* Every setting: the value is one that its own row takes again, and it has an origin. */
static void check_values(struct settings *settings, const struct options *options)
{
    struct options other;
    struct settings *again = settings_new(options_table, &other);
    struct heddle_error err;

    for (const struct setting *row = options_table; row->key; row++) {
        const void *value = (const char *)options + row->offset;
        char shown[8192];
        FUZZ_CHECK(*settings_origin(settings, row));
        settings_show(settings, row, shown, sizeof shown);
        FUZZ_CHECK(text_is_utf8(shown, strlen(shown)));
        if (row->type == SETTING_TEXT) {
            const char *text = *(const char *const *)value;
            int64_t size = (int64_t)strlen(text);
            FUZZ_CHECK(size >= row->least && size <= row->most);
            FUZZ_CHECK(!(row->flags & SETTING_SECRET) || !*text || !strstr(shown, text) ||
                       strstr("********", text));
            continue;
        }
        FUZZ_CHECK(settings_set(again, row, shown, SETTING_FROM_FLAG, "again", &err) == HEDDLE_OK);
        size_t size = row->type == SETTING_BOOLEAN  ? sizeof(bool)
                      : row->type == SETTING_CHOICE ? sizeof(int)
                                                    : sizeof(int64_t);
        FUZZ_CHECK(memcmp(value, (char *)&other + row->offset, size) == 0);
        if (size == sizeof(int64_t)) {
            int64_t number = *(const int64_t *)value;
            FUZZ_CHECK(number >= row->least && number <= row->most);
        }
    }
    settings_free(again);
}

/* Flags, a line each, up to an empty one; the environment likewise; the rest is the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    const struct fuzz_input whole = input;
    struct options options;
    struct arguments arguments;
    struct heddle_error err;
    char *words[WORDS_MAX], *environment[WORDS_MAX + 1], path[FUZZ_PATH_SIZE];

    size_t word_count = take_words(&input, "", words);
    size_t count = take_words(&input, "HEDDLE_", environment);
    environment[count] = strdup("HEDDLE_TITLE_API_KEY=" SECRET);
    environment[count + 1] = NULL;
    (void)fuzz_file(input.at, input.left, path);

    struct settings *settings = settings_new(options_table, &options);
    heddle_status status =
        arguments_parse((int)word_count, words, commands, settings, &arguments, &err);
    if (status == HEDDLE_OK) {
        const struct setting *row = settings_find(options_table, "config");
        FUZZ_CHECK(settings_set(settings, row, path, SETTING_FROM_FLAG, "test", &err) == HEDDLE_OK);
        status = options_load(settings, &options, environment, &err);
    }
    if (status == HEDDLE_OK)
        check_values(settings, &options);
    else
        check_refusal(status, &err, whole);
    settings_free(settings);
    free_words(words, word_count);
    free_words(environment, count + 1);
    return 0;
}
