/* See corpus.h. */
#include "app/bench/corpus.h"

#include "app/bench/work.h"
#include "app/lines.h"
#include "app/ops.h"
#include "app/submission.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "workers/registry.h"

enum { ENVELOPE_BYTES_MAX = 1 << 16, FIRST_ROOM = 4096 };

struct corpus {
    struct arena arena;
    struct heddle_submission *submissions;
    size_t count, room;
    int64_t users;
};

static heddle_status read_line(struct corpus *corpus, const struct line *line,
                               const struct submission_rules *rules, uint32_t run,
                               struct heddle_error *err);
static int64_t count_users(const struct corpus *corpus);
static bool only_reads(struct heddle_text op);

heddle_status corpus_read(const char *path, int64_t payload_bytes_max, struct corpus **corpus,
                          struct heddle_error *err)
{
    struct corpus *read = memory_take_zeroed(1, sizeof *read);
    /* Redis remembers ids for a while: another run has others. */
    const uint32_t run = (uint32_t)clock_random(UINT32_MAX);
    struct lines *lines = NULL;
    struct ops ops;
    struct line line;
    bool found = true;

    ops_init(&ops);
    const struct submission_rules rules = {payload_bytes_max, &ops};
    arena_init(&read->arena, 0);
    heddle_status status =
        lines_open(path, (size_t)payload_bytes_max + ENVELOPE_BYTES_MAX, false, &lines, err);
    while (status == HEDDLE_OK && found) {
        status = lines_next(lines, &line, &found, err);
        if (status == HEDDLE_OK && found && !lines_is_blank(&line))
            status = read_line(read, &line, &rules, run, err);
    }
    lines_close(lines);
    ops_done(&ops);
    if (status == HEDDLE_OK && read->count == 0)
        status = heddle_refuse(err, HEDDLE_KIND_INVALID, "%.200s has no operation", path);
    if (status != HEDDLE_OK) {
        corpus_free(read);
        return status;
    }
    read->users = count_users(read);
    *corpus = read;
    return HEDDLE_OK;
}

void corpus_free(struct corpus *corpus)
{
    if (!corpus)
        return;
    arena_done(&corpus->arena);
    free(corpus->submissions);
    free(corpus);
}

size_t corpus_operations(const struct corpus *corpus, const struct heddle_submission **submissions)
{
    *submissions = corpus->submissions;
    return corpus->count;
}

int64_t corpus_users(const struct corpus *corpus)
{
    return corpus->users;
}

int64_t corpus_recorded(const struct corpus *corpus, bool is_durable)
{
    int64_t count = 0;

    for (size_t i = 0; i < corpus->count; i++)
        count += is_durable || !only_reads(corpus->submissions[i].op);
    return count;
}

static heddle_status read_line(struct corpus *corpus, const struct line *line,
                               const struct submission_rules *rules, uint32_t run,
                               struct heddle_error *err)
{
    struct heddle_submission submission;
    struct heddle_error why;

    heddle_status status = submission_read(line, rules, &corpus->arena, &submission, &why);
    if (status != HEDDLE_OK)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "line %" PRIu64 ": %s", line->number,
                             why.text);
    if (corpus->count == corpus->room) {
        corpus->room = corpus->room ? 2 * corpus->room : FIRST_ROOM;
        corpus->submissions =
            memory_resize(corpus->submissions, corpus->room * sizeof *corpus->submissions);
    }
    submission.user =
        text_of(arena_format(&corpus->arena, BENCH_USER_PREFIX "%s", submission.user.data));
    submission.id = text_of(arena_format(&corpus->arena, "%08" PRIx32 "-0000-4000-8000-%012zu", run,
                                         corpus->count + 1));
    corpus->submissions[corpus->count++] = submission;
    return HEDDLE_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int64_t count_users(const struct corpus *corpus)
{
    const char **users = memory_take(corpus->count * sizeof *users);
    int64_t count = 0;

    for (size_t i = 0; i < corpus->count; i++)
        users[i] = corpus->submissions[i].user.data;
    qsort(users, corpus->count, sizeof *users, compare_texts);
    for (size_t i = 0; i < corpus->count; i++)
        count += i == 0 || strcmp(users[i - 1], users[i]) != 0;
    free(users);
    return count;
}

static bool only_reads(struct heddle_text op)
{
    for (const struct heddle_handler *const *handler = workers_registry(); *handler; handler++)
        if (text_equal(op, text_of((*handler)->op)))
            return ((*handler)->flags & HEDDLE_HANDLER_READ_ONLY) != 0;
    return false;
}
