/* A processor with the probe handlers, for tests: otherwise as those of `heddle run`, signals and
 * exit codes included. With --processes it is a supervisor and so many of them.
 *
 *   heddle-probe [--processes N] [--workers N] [--lease MS] [--drain MS] [--statement MS]
 *                [--soft MS] [--hard MS] [--without OP] */
#include "probe_handlers.h"

#include "app/serve.h"
#include "app/signals.h"
#include "engine/board.h"
#include "engine/processor.h"
#include "engine/supervisor.h"

#include "heddle/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int processes;

static const struct option flags[] = {{"processes", required_argument, NULL, 'p'},
                                      {"workers", required_argument, NULL, 'w'},
                                      {"lease", required_argument, NULL, 'l'},
                                      {"drain", required_argument, NULL, 'd'},
                                      {"statement", required_argument, NULL, 's'},
                                      {"soft", required_argument, NULL, 'S'},
                                      {"hard", required_argument, NULL, 'H'},
                                      {"without", required_argument, NULL, 'W'},
                                      {0}};

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
        case 'W':
            options->handlers = without(optarg);
            break;
        default:
            return false;
        }
    }
    return optind == argc;
}

static int live(void *argument, struct board *board, bool is_quarantine)
{
    struct processor_options options = *(const struct processor_options *)argument;
    struct heddle_error err = {0};
    struct processor *processor;

    signals_block();
    options.board = board;
    options.is_quarantine = is_quarantine;
    if (board)
        options.workers = board->slot_count;
    if (is_quarantine)
        options.claim_operations_max = 1;
    if (processor_new(&options, &processor, &err) != HEDDLE_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.text);
        return 4;
    }
    processor_start(processor);
    heddle_log(HEDDLE_LOG_INFO, is_quarantine ? "quarantine" : "ready", "workers=%d",
               options.workers);
    return (int)serve(processor, is_quarantine);
}

int main(int argc, char **argv)
{
    struct processor_options options = {
        .redis = getenv("HEDDLE_REDIS"),
        .postgres = getenv("HEDDLE_POSTGRES"),
        .handlers = probe_handlers,
        .workers = 4,
        .claim_lanes_max = 16,
        .claim_operations_max = 8,
        .lease_ms = 15000,
        .drain_ms = 10000,
        .result_ttl_ms = 60000,
        .redis_timeout_ms = 5000,
        .connect_timeout_ms = 5000,
        .statement_timeout_ms = 5000,
        .lock_timeout_ms = 400,
        .idle_transaction_timeout_ms = 500,
        .commit_deadline_ms = 10000,
        .retry_attempts = 5,
        .retry_base_ms = 5,
        .retry_cap_ms = 100,
        .with_prepared_statements = true,
    };
    if (!options.redis || !options.postgres || !getenv("PROBE_DIR") ||
        !read_flags(argc, argv, &options)) {
        fprintf(stderr, "usage: see the head of tests/support/probe.c\n");
        return 2;
    }
    if (processes == 0)
        return live(&options, NULL, false);
    return supervisor_run(&(struct supervisor_options){.processes = processes,
                                                       .workers = options.workers,
                                                       .redis = options.redis,
                                                       .redis_timeout_ms = 5000,
                                                       .poison_crashes = 3,
                                                       .drain_ms = options.drain_ms,
                                                       .child = live,
                                                       .argument = &options});
}
