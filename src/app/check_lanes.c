/* See check_lanes.h. Runs on the main thread. */
#include "app/check_lanes.h"

#include "app/findings.h"
#include "app/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "engine/pass.h"
#include "ledger/journal.h"
#include "ledger/lookup.h"
#include "ledger/numbers.h"
#include "queue/check.h"

enum {
    WISHES_MAX = 10000,   /* more are for the next check */
    WISH_SLACK_MS = 1000, /* beyond the time that a settler gives Redis for its answer */
};

struct wish {
    unsigned partition;
    char id[HEDDLE_ID_SIZE + 1];
};

struct wishes {
    struct wish *wishes;
    size_t count;
};

/* Where findings go, and what finding needs. */
struct context {
    struct findings *findings;
    struct queue_check check;
    struct pg_link *pg;
};

static void add_from_queue(void *argument, const struct queue_finding *finding);
static heddle_status check_numbers(struct context *context, struct heddle_error *err);
static void add_numbers(void *argument, const char *lane, const char *text, bool is_mended);
static heddle_status check_journal(struct context *context, struct heddle_error *err);
static void add_missing(void *argument, unsigned partition, const struct journal_entry *entry);
static heddle_status check_wishes(struct context *context, struct heddle_error *err);
static void keep_wish(void *argument, unsigned partition, struct heddle_text id);
static heddle_status check_wish(struct context *context, const struct wish *wish,
                                struct heddle_error *err);

void check_lanes(struct findings *findings, struct redis_link *redis, unsigned partitions,
                 struct pg_link *pg)
{
    const struct options *options = findings->invocation->options;
    struct queue_census census;
    struct heddle_error err;
    struct context context = {
        .findings = findings,
        .check = {.link = redis,
                  .partitions = partitions,
                  .repairs = findings->repairs,
                  .result_ttl_ms = options->result_ttl_ms,
                  .report = add_from_queue,
                  .argument = findings},
        .pg = pg,
    };

    heddle_status status = queue_check_lanes(&context.check, &census, &err);
    if (status == HEDDLE_OK && pg)
        status = check_numbers(&context, &err);
    if (status == HEDDLE_OK && pg)
        status = check_journal(&context, &err);
    if (status == HEDDLE_OK && pg)
        status = check_wishes(&context, &err);
    if (status != HEDDLE_OK) {
        findings_note_failed(findings, "lanes", status, &err);
        return;
    }
    findings_note(findings, "lanes", findings->found == findings->mended,
                  "%" PRId64 " broken, %" PRId64 " mended; %" PRId64 " operations in %" PRId64
                  " lanes: %" PRId64 " ready, %" PRId64 " claimed, %" PRId64 " waiting, %" PRId64
                  " halted; %" PRId64 " scheduled; %" PRId64 " processors%s",
                  findings->found, findings->mended, census.operations, census.lanes, census.ready,
                  census.claimed, census.waiting, census.halted, census.scheduled,
                  census.processors, pg ? "" : "; the journal was not asked");
}

static void add_from_queue(void *argument, const struct queue_finding *finding)
{
    findings_add(argument, finding->kind, finding->partition, finding->lane, finding->text,
                 finding->is_mended);
}

static heddle_status check_numbers(struct context *context, struct heddle_error *err)
{
    const struct numbers_check check = {.link = context->pg,
                                        .repairs = context->check.repairs,
                                        .report = add_numbers,
                                        .argument = context};

    return numbers_check(&check, err);
}

static void add_numbers(void *argument, const char *lane, const char *text, bool is_mended)
{
    struct context *context = argument;

    findings_add(context->findings, "numbers",
                 digest_partition(text_of(lane), context->check.partitions), text_of(lane), text,
                 is_mended);
}

static heddle_status check_journal(struct context *context, struct heddle_error *err)
{
    const struct pass pass = {.pg = context->pg,
                              .redis = context->check.link,
                              .partitions = context->check.partitions,
                              .only_looks = !context->check.repairs,
                              .report = add_missing,
                              .argument = context};
    struct pass_counts counts;

    return pass_run(&pass, &counts, err);
}

static void add_missing(void *argument, unsigned partition, const struct journal_entry *entry)
{
    struct context *context = argument;
    char text[100];

    snprintf(text, sizeof text, "Redis has lost its operation %s", entry->operation.id);
    findings_add(context->findings, "missing", partition, entry->operation.user, text,
                 context->check.repairs);
}

/* A result that was settled a moment ago may still be on its way to whoever wants it. */
static heddle_status check_wishes(struct context *context, struct heddle_error *err)
{
    struct wishes wishes = {.wishes = memory_take(WISHES_MAX * sizeof *wishes.wishes)};

    heddle_status status = queue_check_wishes(&context->check, keep_wish, &wishes, err);
    if (status == HEDDLE_OK && wishes.count > 0)
        clock_sleep_ms(context->findings->invocation->options->redis_timeout_ms + WISH_SLACK_MS);
    for (size_t i = 0; status == HEDDLE_OK && i < wishes.count; i++)
        status = check_wish(context, &wishes.wishes[i], err);
    free(wishes.wishes);
    return status;
}

static void keep_wish(void *argument, unsigned partition, struct heddle_text id)
{
    struct wishes *wishes = argument;

    if (wishes->count == WISHES_MAX || id.size != HEDDLE_ID_SIZE)
        return;
    struct wish *wish = &wishes->wishes[wishes->count++];
    wish->partition = partition;
    memcpy(wish->id, id.data, HEDDLE_ID_SIZE + 1);
}

/* What the ledger knows as unfinished is wanted rightly. */
static heddle_status check_wish(struct context *context, const struct wish *wish,
                                struct heddle_error *err)
{
    char *result = NULL, *row = NULL;
    bool has_ended = false, is_known = false;

    heddle_status status = lookup_result(context->pg, wish->id, &has_ended, &result, err);
    if (status == HEDDLE_OK && !has_ended)
        status = lookup_operation(context->pg, wish->id, &is_known, &row, err);
    if (status == HEDDLE_OK && !is_known)
        status = queue_check_wish(&context->check, wish->partition, wish->id, text_of(result), err);
    free(result);
    free(row);
    return status;
}
