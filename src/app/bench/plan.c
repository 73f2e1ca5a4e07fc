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
    {"noop", BENCH_NOOP},     {"send_message", BENCH_SEND_MESSAGE}, {"submit", BENCH_SUBMIT},
    {"corpus", BENCH_CORPUS}, {"latency", BENCH_LATENCY},           {"idle", BENCH_IDLE},
};

enum {
    SCENARIO_COUNT = sizeof scenarios / sizeof *scenarios,
    USERS_MAX = 9999998, /* seven digits, and one user more for a backlog */
    PACED_MAX = 1000000, /* operations of latency: they are all kept */
};

const struct flag bench_flags[] = {
    {"operations", "N", "of all users together; default 100000"},
    {"users", "N", "who have them; default 1000"},
    {"size", "BYTES", "of a message, or of what fills the payload; default 200"},
    {"order", "ORDER", "round-robin, or bursts=N of each user in a row; default bursts=20"},
    {"window", "N", "operations that the client submits at once; default 256"},
    {"file", "FILE", "of corpus: operations as for `heddle submit --file`"},
    {"op", "OP", "of latency: noop (default) or send_message"},
    {"rate", "N", "of latency: operations a second; default 200"},
    {"seconds", "N", "of latency and idle; default 10"},
    {"beside", "N", "of latency: with a backlog of N operations of one more user"},
    {"durable", NULL, "submit to the journal first, not to Redis directly"},
    {"overlap", NULL, "submit while processors run, not before"},
    {"keep", NULL, "leave in Postgres what was written"},
    {"force", NULL, "run even where Redis or Postgres hold other work"},
    {0},
};

static bool read_scenario(const char *word, struct bench_plan *plan);
static bool read_op(const char *text, struct bench_plan *plan);
static bool suits(const struct bench_plan *plan);
static bool read_order(const char *text, int64_t *burst);
static bool read_number(const struct arguments *arguments, const char *name, int64_t most,
                        int64_t *number);

bool bench_plan_read(const struct arguments *arguments, struct bench_plan *plan)
{
    struct bench_plan read = {.operations = 100000,
                              .users = 1000,
                              .content_bytes = 200,
                              .burst = 20,
                              .window = 256,
                              .rate = 200,
                              .seconds = 10};

    if (!read_scenario(arguments_word(arguments, 0), &read))
        return false;
    read.is_durable = arguments_get(arguments, "durable") != NULL;
    read.is_overlapping = read.is_durable || arguments_get(arguments, "overlap") != NULL;
    read.is_forced = arguments_get(arguments, "force") != NULL;
    read.keeps = arguments_get(arguments, "keep") != NULL;
    read.path = arguments_get(arguments, "file");
    if (!read_number(arguments, "operations", 100000000, &read.operations) ||
        !read_number(arguments, "users", USERS_MAX, &read.users) ||
        !read_number(arguments, "size", 100000, &read.content_bytes) ||
        !read_number(arguments, "window", 4096, &read.window) ||
        !read_number(arguments, "rate", 100000, &read.rate) ||
        !read_number(arguments, "seconds", 3600, &read.seconds) ||
        !read_number(arguments, "beside", 100000000, &read.beside) ||
        !read_order(arguments_get(arguments, "order"), &read.burst) ||
        !read_op(arguments_get(arguments, "op"), &read) || !suits(&read))
        return false;
    if (read.scenario == BENCH_LATENCY) {
        read.operations = read.rate * read.seconds;
        read.burst = 1;
    }
    if (read.users > read.operations)
        read.users = read.operations;
    *plan = read;
    return true;
}

static bool read_scenario(const char *word, struct bench_plan *plan)
{
    for (size_t i = 0; word && i < SCENARIO_COUNT; i++)
        if (strcmp(scenarios[i].name, word) == 0) {
            plan->scenario = scenarios[i].scenario;
            plan->name = scenarios[i].name;
            plan->is_message = plan->scenario == BENCH_SEND_MESSAGE;
            return true;
        }
    report_text(EXIT_USAGE,
                "bench %.60s: allowed are noop, send_message, submit, corpus, latency and idle",
                word ? word : "(none)");
    return false;
}

static bool read_op(const char *text, struct bench_plan *plan)
{
    if (!text || strcmp(text, "noop") == 0)
        return true;
    if (strcmp(text, "send_message") == 0) {
        plan->is_message = true;
        return true;
    }
    report_text(EXIT_USAGE, "--op = %.60s: allowed are noop and send_message", text);
    return false;
}

/* Whether the flags that belong to one scenario stand with it. */
static bool suits(const struct bench_plan *plan)
{
    if ((plan->scenario == BENCH_CORPUS) != (plan->path != NULL))
        report_text(EXIT_USAGE, "bench %s: --file FILE is allowed with corpus, and needed there",
                    plan->name);
    else if (plan->beside > 0 && plan->scenario != BENCH_LATENCY)
        report_text(EXIT_USAGE, "bench %s: --beside is allowed with latency", plan->name);
    else if (plan->scenario == BENCH_LATENCY && plan->rate * plan->seconds > PACED_MAX)
        report_text(EXIT_USAGE, "--rate = %" PRId64 ": allowed are %d operations in --seconds",
                    plan->rate, PACED_MAX);
    else
        return true;
    return false;
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
