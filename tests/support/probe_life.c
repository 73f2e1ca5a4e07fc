/* See probe_life.h. */
#include "probe_life.h"

#include "app/serve.h"
#include "app/signals.h"
#include "base/arena.h"
#include "engine/board.h"
#include "engine/supervisor.h"

#include "heddle/log.h"

#include <stdio.h>
#include <stdlib.h>

const struct processor_options probe_options = {
    .workers = 4,
    .user_concurrency = 1,
    .claim_lanes_max = 16,
    .claim_operations_max = 8,
    .bundle_max = 128,
    .bundle_us = 20000,
    .drain_ms = 10000,
    .result_ttl_ms = 60000,
    .retry_base_ms = 5,
    .retry_cap_ms = 100,
    .with_prepared_statements = true,
};

static int process_count;

static struct supervisor_options supervision_of(const struct processor_options *options);

static int child(void *argument, struct board *board, bool is_quarantine)
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
        options.bundle_max = 1;
    if (processor_new(&options, &processor, &err) != HEDDLE_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.text);
        return EXIT_UNREACHABLE;
    }
    processor_start(processor);
    heddle_log(HEDDLE_LOG_INFO, is_quarantine ? "quarantine" : "ready", "workers=%d",
               options.workers);
    return (int)serve(processor, is_quarantine);
}

/* HUP: the same, but for what a file says. */
static bool reload(void *argument, struct supervisor_options *fresh)
{
    struct processor_options *options = memory_take(sizeof *options);
    char path[400];

    *options = *(const struct processor_options *)argument;
    snprintf(path, sizeof path, "%s/strands", getenv("PROBE_DIR"));
    FILE *file = fopen(path, "r");
    const bool is_read = file && fscanf(file, "%d", &options->user_concurrency) == 1;
    if (file)
        fclose(file);
    if (is_read)
        *fresh = supervision_of(options);
    else
        free(options);
    return is_read;
}

static struct supervisor_options supervision_of(const struct processor_options *options)
{
    return (struct supervisor_options){
        .processes = process_count,
        .workers = options->workers,
        .redis = options->redis,
        .redis_timeout_ms = options->redis_timeout_ms,
        .poison_crashes = 3,
        .drain_ms = options->drain_ms,
        .child = child,
        .reload = reload,
        .discard = free,
        .argument = (void *)(uintptr_t)options,
    };
}

int probe_live(const struct processor_options *options, int processes)
{
    process_count = processes;
    const struct supervisor_options supervisor = supervision_of(options);

    return processes > 0 ? supervisor_run(&supervisor)
                         : child((void *)(uintptr_t)options, NULL, false);
}
