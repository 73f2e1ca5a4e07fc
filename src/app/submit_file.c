/* heddle submit --file: the lines of a file, window by window.
 *
 * Without --rejects a first pass checks every line, so that nothing is sent of
 * a file that has a bad one. Runs on the main thread. */
#include "app/submit.h"

#include "app/arguments.h"
#include "app/bulk.h"
#include "app/completion.h"
#include "app/inputs.h"
#include "app/json_out.h"
#include "app/lines.h"
#include "app/links.h"
#include "app/options.h"
#include "app/submission.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/pg.h"

enum { ENVELOPE_BYTES_MAX = 1 << 16, BAD_SHOWN_MAX = 20, BATCH_BYTES_MAX = 200 };

/* Everything of one run; what is open is closed at its end. */
struct job {
    const struct invocation *invocation;
    const struct submission_rules *rules;
    const char *path;
    const char *batch;
    char batch_made[HEDDLE_ID_SIZE + 1];
    struct lines *lines;
    FILE *rejects;
    struct door door;
    struct bulk *bulk;
    struct batch_completion completion;
    uint64_t total; /* 0: not known */
    bool has_timed_out;
};

static volatile sig_atomic_t interrupted;

static bool name_batch(struct job *job);
static enum exit_code prepare(struct job *job);
static enum exit_code open_rejects(struct job *job);
static enum exit_code check_lines(struct job *job);
static heddle_status move_lines(struct job *job, struct heddle_error *err);
static heddle_status close_batch(struct job *job, struct heddle_error *err);
static heddle_status collect(struct job *job, size_t keep, int64_t *progress_ms,
                             struct heddle_error *err);
static enum exit_code finish(struct job *job, heddle_status status, const struct heddle_error *err,
                             int64_t duration_ms);
static void print_counts(const struct job *job, int64_t duration_ms);
static void catch_interrupts(void);
static void note_interrupt(int number);

enum exit_code submit_file(const struct invocation *invocation,
                           const struct submission_rules *rules)
{
    struct job job = {
        .invocation = invocation,
        .rules = rules,
        .path = arguments_get(invocation->arguments, "file"),
    };
    struct heddle_error err;

    if (!name_batch(&job))
        return EXIT_USAGE;
    enum exit_code code = completion_read(invocation, rules, &job.completion);
    if (code == EXIT_DONE)
        code = prepare(&job);
    if (code == EXIT_DONE) {
        int64_t start_ms = clock_now_ms();
        heddle_status status = move_lines(&job, &err);
        code = finish(&job, status, &err, clock_now_ms() - start_ms);
    }
    bulk_free(job.bulk);
    door_close(&job.door);
    lines_close(job.lines);
    if (job.rejects && fclose(job.rejects) != 0)
        code = report_text(EXIT_ENDED_BADLY, "--rejects = %.200s: can't be written: %s",
                           arguments_get(invocation->arguments, "rejects"), strerror(errno));
    if (interrupted) {
        fflush(stdout);
        raise(interrupted); /* its default action is back since it came */
    }
    return code;
}

static bool name_batch(struct job *job)
{
    job->batch = arguments_get(job->invocation->arguments, "batch");
    if (!job->batch && completion_is_said(job->invocation->arguments)) {
        report_text(EXIT_USAGE, "--then-op: allowed only with --batch");
        return false;
    }
    if (!job->batch) {
        heddle_uuid_new(job->batch_made);
        job->batch = job->batch_made;
        return true;
    }
    size_t size = strlen(job->batch);
    if (size >= 1 && size <= BATCH_BYTES_MAX && text_is_utf8(job->batch, size))
        return true;
    report_text(EXIT_USAGE, "--batch = %.60s: allowed are 1 to %d bytes of UTF-8", job->batch,
                BATCH_BYTES_MAX);
    return false;
}

static enum exit_code prepare(struct job *job)
{
    const struct invocation *invocation = job->invocation;
    const struct options *options = invocation->options;
    const bool has_rejects = arguments_get(invocation->arguments, "rejects") != NULL;
    struct heddle_error err;

    heddle_status status =
        lines_open(job->path, (size_t)options->payload_bytes_max + ENVELOPE_BYTES_MAX, !has_rejects,
                   &job->lines, &err);
    if (status == HEDDLE_OK)
        status = door_open(&job->door, options, submit_is_durable(invocation), &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    enum exit_code code = has_rejects ? open_rejects(job) : EXIT_DONE;
    if (code == EXIT_DONE && lines_can_rewind(job->lines))
        code = check_lines(job);
    if (code != EXIT_DONE)
        return code;

    job->bulk = bulk_new(options, &job->door);
    submission_batch_id(job->batch, job->bulk->batch_id);
    job->bulk->batch = text_of(arguments_get(invocation->arguments, "batch"));
    job->bulk->rules = job->rules;
    job->bulk->lines = job->lines;
    job->bulk->rejects = job->rejects;
    job->bulk->is_judged = !has_rejects && lines_can_rewind(job->lines);
    job->bulk->with_wait = arguments_get(invocation->arguments, "wait") != NULL;
    job->bulk->interrupted = &interrupted;
    progress_start(&job->bulk->progress, job->total);
    return EXIT_DONE;
}

static enum exit_code open_rejects(struct job *job)
{
    const char *path = arguments_get(job->invocation->arguments, "rejects");

    /* Emptied only once it is known not to be the input. */
    job->rejects = fopen(path, "ae");
    if (!job->rejects)
        return report_text(EXIT_USAGE, "--rejects = %.200s: can't be written: %s", path,
                           strerror(errno));
    if (lines_are_of(job->lines, fileno(job->rejects)))
        return report_text(EXIT_USAGE, "--rejects = %.200s: is the input; allowed is another file",
                           path);
    /* Fails for a pipe or terminal, which has nothing to empty. */
    if (ftruncate(fileno(job->rejects), 0) != 0)
        errno = 0;
    return EXIT_DONE;
}

/* The first pass: counts, and judges where a bad line must stop all. */
static enum exit_code check_lines(struct job *job)
{
    struct arena arena;
    struct heddle_error err;
    uint64_t bad = 0;
    heddle_status status;

    arena_init(&arena, 2 * (size_t)job->rules->payload_bytes_max);
    for (;;) {
        struct heddle_submission submission;
        struct line line;
        bool found;
        status = lines_next(job->lines, &line, &found, &err);
        if (status != HEDDLE_OK || !found)
            break;
        if (lines_is_blank(&line))
            continue;
        job->total++;
        if (job->rejects)
            continue;
        arena_reset(&arena);
        status = submission_read(&line, job->rules, &arena, &submission, &err);
        if (status == HEDDLE_OK)
            continue;
        if (status != HEDDLE_REFUSED)
            break;
        if (bad++ < BAD_SHOWN_MAX)
            fprintf(stderr, "line %" PRIu64 ": %s: %s\n", line.number, heddle_kind_name(err.kind),
                    err.text);
    }
    arena_done(&arena);
    if (status == HEDDLE_OK && bad == 0)
        status = lines_rewind(job->lines, &err);
    if (status != HEDDLE_OK)
        return report(job->invocation, status, &err);
    if (bad > 0)
        return report_text(EXIT_USAGE,
                           "--file = %.200s: %" PRIu64 " of %" PRIu64 " lines are bad, nothing was "
                           "sent; --rejects FILE puts them aside and sends the others",
                           job->path, bad, job->total);
    return EXIT_DONE;
}

static heddle_status move_lines(struct job *job, struct heddle_error *err)
{
    struct bulk *bulk = job->bulk;
    int64_t progress_ms = clock_now_ms();
    heddle_status status = HEDDLE_OK;
    bool is_last = false;

    catch_interrupts();
    while (status == HEDDLE_OK && !is_last && !interrupted) {
        status = bulk_fill(bulk, &is_last, err);
        if (status == HEDDLE_OK)
            status = bulk_send(bulk, err);
        if (!bulk->with_wait)
            bulk->counts.ended = bulk->counts.submitted;
        progress_show(&bulk->progress, bulk->counts.submitted, bulk->counts.ended);
        if (status == HEDDLE_OK && is_last)
            status = close_batch(job, err);
        if (status == HEDDLE_OK)
            status = collect(job, is_last ? 0 : BULK_AHEAD_MAX - BULK_WINDOW, &progress_ms, err);
        if (job->has_timed_out)
            break;
    }
    progress_hide(&bulk->progress);
    return status;
}

/* All of it is submitted; what was refused may be meant to come again. */
static heddle_status close_batch(struct job *job, struct heddle_error *err)
{
    struct pg_link *own = NULL;
    heddle_status status = HEDDLE_OK;
    char id[HEDDLE_ID_SIZE + 1];

    if (job->bulk->batch.size == 0)
        return HEDDLE_OK;
    if (job->bulk->counts.rejected > 0 && !job->completion.even_on_failure) {
        progress_hide(&job->bulk->progress);
        fputs("heddle: lines were rejected, so the batch stays open; heddle batch close closes "
              "it\n",
              stderr);
        return HEDDLE_OK;
    }
    if (!job->door.journal)
        status = links_postgres(job->invocation->options, &own, err);
    if (status == HEDDLE_OK)
        status =
            batches_close(own ? own : job->door.journal, job->batch, &job->completion, id, err);
    pg_free(own);
    return status;
}

/* Awaits until no more than `keep` operations are pending, or time runs out. */
static heddle_status collect(struct job *job, size_t keep, int64_t *progress_ms,
                             struct heddle_error *err)
{
    struct bulk *bulk = job->bulk;
    int64_t wait_ms = INPUT_WAIT_MS;

    (void)input_duration(job->invocation->arguments, "wait", &wait_ms);
    while (bulk->pending_count > keep && !interrupted) {
        bool has_progress;
        heddle_status status = bulk_collect(bulk, wait_ms, &has_progress, err);
        if (status != HEDDLE_OK)
            return status;
        if (has_progress)
            *progress_ms = clock_now_ms();
        job->has_timed_out = clock_now_ms() - *progress_ms >= wait_ms;
        if (job->has_timed_out)
            return HEDDLE_OK;
    }
    /* Time that passed without waiting is nobody's. */
    *progress_ms = clock_now_ms();
    return HEDDLE_OK;
}

static enum exit_code finish(struct job *job, heddle_status status, const struct heddle_error *err,
                             int64_t duration_ms)
{
    const struct bulk_counts *counts = &job->bulk->counts;
    enum exit_code code = EXIT_DONE;

    if (status != HEDDLE_OK && !interrupted)
        code = report(job->invocation, status, err);
    else if (job->has_timed_out)
        code = report_text(EXIT_TIME, "time ran out without any further result");
    else if (counts->failed + counts->dead + counts->cancelled + counts->rejected > 0)
        code = EXIT_ENDED_BADLY;
    if (status != HEDDLE_OK || job->has_timed_out || interrupted)
        fprintf(stderr,
                "heddle: %s: %" PRIu64 " lines submitted, %zu of them still awaited; the same "
                "command with --batch %s goes on\n",
                interrupted ? "interrupted" : "stopped", counts->submitted,
                job->bulk->pending_count, job->batch);
    print_counts(job, duration_ms);
    return code;
}

static void print_counts(const struct job *job, int64_t duration_ms)
{
    const struct bulk *bulk = job->bulk;
    const struct row {
        const char *name;
        uint64_t count;
        bool needs_wait;
    } rows[] = {
        {"submitted", bulk->counts.submitted, false}, {"done", bulk->counts.done, true},
        {"failed", bulk->counts.failed, true},        {"dead", bulk->counts.dead, true},
        {"cancelled", bulk->counts.cancelled, true},  {"rejected", bulk->counts.rejected, false},
        {"unfinished", bulk->pending_count, true},
    };
    json_t *object = json_pack("{s:s}", "batch", job->batch);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].needs_wait && !bulk->with_wait)
            continue;
        json_object_set_new(object, rows[i].name, json_integer((json_int_t)rows[i].count));
        if (!job->invocation->with_json)
            printf("%s%" PRIu64 " %s", i ? ", " : "", rows[i].count, rows[i].name);
    }
    json_object_set_new(object, "duration_ms", json_integer((json_int_t)duration_ms));
    if (job->invocation->with_json) {
        json_out(object);
        return;
    }
    json_decref(object);
    printf(" in %.1f s, batch %s\n", (double)duration_ms / 1000, job->batch);
}

/* The second Ctrl-C ends the process as usual. */
static void catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = note_interrupt, .sa_flags = SA_RESTART | SA_RESETHAND};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void note_interrupt(int number)
{
    interrupted = number;
}
