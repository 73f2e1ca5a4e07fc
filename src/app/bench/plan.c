/* See plan.h. Runs on the main thread. */
#include "app/bench/plan.h"

#include "app/arguments.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"

static const struct row {
    const char *name;
    enum bench_scenario scenario;
} scenarios[] = {
    {"noop", BENCH_NOOP},
    {"send_message", BENCH_SEND_MESSAGE},
    {"submit", BENCH_SUBMIT},
};

enum { SCENARIO_COUNT = sizeof scenarios / sizeof *scenarios };

const struct flag bench_flags[] = {
    {"operations", "N", "of all users together; default 100000"},
    {"users", "N", "who have them; default 1000"},
    {"size", "BYTES", "of a message, or of what fills the payload; default 200"},
    {"order", "ORDER", "round-robin, or bursts=N of each user in a row; default bursts=20"},
    {"window", "N", "operations that the client submits at once; default 256"},
    {"durable", NULL, "submit to the journal first, not to Redis directly"},
    {"overlap", NULL, "submit while processors run, not before"},
    {"keep", NULL, "leave in Postgres what was written"},
    {"force", NULL, "run even where Redis or Postgres hold other work"},
    {0},
};

static bool read_order(const char *text, int64_t *burst);
static bool read_number(const struct arguments *arguments, const char *name, int64_t most,
                        int64_t *number);

bool bench_plan_read(const struct arguments *arguments, struct bench_plan *plan)
{
    const char *word = arguments_word(arguments, 0);
    struct bench_plan read = {
        .operations = 100000, .users = 1000, .content_bytes = 200, .burst = 20, .window = 256};
    size_t i = 0;

    while (i < SCENARIO_COUNT && (!word || strcmp(scenarios[i].name, word) != 0))
        i++;
    if (i == SCENARIO_COUNT) {
        report_text(EXIT_USAGE, "bench %.60s: allowed are noop, send_message and submit",
                    word ? word : "(none)");
        return false;
    }
    read.scenario = scenarios[i].scenario;
    read.name = scenarios[i].name;
    read.is_durable = arguments_get(arguments, "durable") != NULL;
    read.is_overlapping = read.is_durable || arguments_get(arguments, "overlap") != NULL;
    read.is_forced = arguments_get(arguments, "force") != NULL;
    read.keeps = arguments_get(arguments, "keep") != NULL;
    if (!read_number(arguments, "operations", 100000000, &read.operations) ||
        !read_number(arguments, "users", 10000000, &read.users) ||
        !read_number(arguments, "size", 100000, &read.content_bytes) ||
        !read_number(arguments, "window", 4096, &read.window) ||
        !read_order(arguments_get(arguments, "order"), &read.burst))
        return false;
    if (read.users > read.operations)
        read.users = read.operations;
    *plan = read;
    return true;
}

static bool read_order(const char *text, int64_t *burst)
{
    if (!text)
        return true;
    if (strcmp(text, "round-robin") == 0) {
        *burst = 1;
        return true;
    }
    if (strncmp(text, "bursts=", 7) == 0 && text_parse_integer(text + 7, burst) && *burst >= 1)
        return true;
    report_text(EXIT_USAGE, "--order = %.60s: allowed are round-robin and bursts=N", text);
    return false;
}

/* From 1 to `most`; a flag that is absent leaves the number. */
static bool read_number(const struct arguments *arguments, const char *name, int64_t most,
                        int64_t *number)
{
    const char *text = arguments_get(arguments, name);
    int64_t value;

    if (!text)
        return true;
    if (!text_parse_integer(text, &value) || value < 1 || value > most) {
        report_text(EXIT_USAGE, "--%s = %.60s: allowed is 1 to %" PRId64, name, text, most);
        return false;
    }
    *number = value;
    return true;
}
