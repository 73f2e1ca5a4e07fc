/* A processor with the probe handlers, for tests: otherwise as those of `heddle run`, signals and
 * exit codes included. With --processes it is a supervisor and so many of them.
 *
 *   heddle-probe [--processes N] [--workers N] [--lease MS] [--drain MS] [--statement MS]
 *                [--soft MS] [--hard MS] [--strands N] [--without OP]
 *
 * --strands is user_concurrency; after a HUP it is what the file PROBE_DIR/strands says. */
#include "probe_handlers.h"
#include "probe_life.h"

#include "app/command.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int processes;

static const struct option flags[] = {
    {"processes", required_argument, NULL, 'p'}, {"workers", required_argument, NULL, 'w'},
    {"lease", required_argument, NULL, 'l'},     {"drain", required_argument, NULL, 'd'},
    {"statement", required_argument, NULL, 's'}, {"soft", required_argument, NULL, 'S'},
    {"hard", required_argument, NULL, 'H'},      {"strands", required_argument, NULL, 'n'},
    {"without", required_argument, NULL, 'W'},   {0}};

/* The probe's handlers but one: another version, as it were. */
static const struct heddle_handler *handlers_without[PROBE_HANDLERS_MAX];

static const struct heddle_handler *const *without(const char *op)
{
    size_t count = 0;

    for (const struct heddle_handler *const *h = probe_handlers; *h; h++)
        if (strcmp((*h)->op, op) != 0 && count + 1 < PROBE_HANDLERS_MAX)
            handlers_without[count++] = *h;
    return handlers_without;
}

static bool read_flags(int argc, char **argv, struct processor_options *options)
{
    int flag;

    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        long value = optarg ? strtol(optarg, NULL, 10) : 0;

        switch (flag) {
        case 'p':
            processes = (int)value;
            break;
        case 'w':
            options->workers = (int)value;
            break;
        case 'l':
            options->lease_ms = value;
            break;
        case 'd':
            options->drain_ms = value;
            break;
        case 's':
            options->statement_timeout_ms = (int)value;
            break;
        case 'S':
            options->soft_deadline_ms = value;
            break;
        case 'H':
            options->hard_deadline_ms = value;
            break;
        case 'n':
            options->user_concurrency = (int)value;
            break;
        case 'W':
            options->handlers = without(optarg);
            break;
        default:
            return false;
        }
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct processor_options options = probe_options;

    options.redis = getenv("HEDDLE_REDIS");
    options.postgres = getenv("HEDDLE_POSTGRES");
    options.handlers = probe_handlers;
    options.lease_ms = 15000;
    options.redis_timeout_ms = options.connect_timeout_ms = 5000;
    options.statement_timeout_ms = 5000;
    options.lock_timeout_ms = 400;
    options.idle_transaction_timeout_ms = 500;
    options.commit_deadline_ms = 10000;
    options.retry_attempts = 5;
    if (!options.redis || !options.postgres || !getenv("PROBE_DIR") ||
        !read_flags(argc, argv, &options)) {
        fprintf(stderr, "usage: see the head of tests/support/probe.c\n");
        return EXIT_USAGE;
    }
    return probe_live(&options, processes);
}
