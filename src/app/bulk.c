/* A batch of NDJSON lines on its way (bulk.h). Runs on the main thread. */
#include "app/bulk.h"

#include "app/lines.h"
#include "app/options.h"
#include "app/submission.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "link/refusal.h"

enum {
    ARENA_KEEP_BYTES = 8 << 20,
    PATIENCE_MS = 60000, /* with a Redis that is full or away */
    PAUSE_BASE_MS = 50,
    PAUSE_CAP_MS = 1000,
    COLLECT_MS = 2000, /* one wait for replies */
    FAILURES_SHOWN_MAX = 20,
};

static heddle_status take_line(struct bulk *bulk, const struct line *line,
                               struct heddle_error *err);
static heddle_status reject_line(struct bulk *bulk, const struct line *line,
                                 const struct heddle_error *reason, struct heddle_error *err);
static void reject(struct bulk *bulk, uint64_t number, const struct heddle_error *reason);
static heddle_status sort_receipts(struct bulk *bulk, struct heddle_error *err);
static void keep_pending(struct bulk *bulk, size_t index);
static size_t put_late_last(struct bulk *bulk);
static void deliver(void *argument, size_t index, const char *json, size_t size);
static heddle_status ask_missing(struct bulk *bulk, size_t count, struct heddle_error *err);
static void count_end(struct bulk *bulk, struct bulk_pending *pending, const char *result,
                      size_t size);
static void show_failure(struct bulk *bulk, uint64_t number, const char *result, size_t size);
static size_t drop_ended(struct bulk *bulk, size_t count);

struct bulk *bulk_new(const struct options *options, struct door *door)
{
    struct bulk *bulk = memory_take_zeroed(1, sizeof *bulk);

    bulk->options = options;
    bulk->door = door;
    bulk->client = door->client;
    tracking_init(&bulk->tracking, options, door->client);
    arena_init(&bulk->arena, ARENA_KEEP_BYTES);
    return bulk;
}

void bulk_free(struct bulk *bulk)
{
    if (!bulk)
        return;
    for (size_t i = 0; i < bulk->pending_count; i++)
        free(bulk->pending[i].user);
    tracking_done(&bulk->tracking);
    arena_done(&bulk->arena);
    free(bulk);
}

heddle_status bulk_fill(struct bulk *bulk, bool *is_last, struct heddle_error *err)
{
    const size_t window = bulk->door->journal ? BULK_WINDOW : BULK_WINDOW_DIRECT;
    size_t bytes = 0;

    arena_reset(&bulk->arena);
    *is_last = false;
    while (bulk->window_count < window && bytes < BULK_WINDOW_BYTES) {
        struct line line;
        bool found;
        heddle_status status = lines_next(bulk->lines, &line, &found, err);
        if (status != HEDDLE_OK)
            return status;
        if (!found) {
            *is_last = true;
            return HEDDLE_OK;
        }
        status = lines_is_blank(&line) ? HEDDLE_OK : take_line(bulk, &line, err);
        if (status != HEDDLE_OK)
            return status;
        bytes += line.text.size;
    }
    return HEDDLE_OK;
}

heddle_status bulk_send(struct bulk *bulk, struct heddle_error *err)
{
    int64_t deadline_ms = clock_now_ms() + PATIENCE_MS;
    bool has_progress;

    for (int attempt = 1; bulk->window_count > 0; attempt++) {
        heddle_status status =
            door_submit(bulk->door, bulk->submissions, bulk->window_count, bulk->receipts, err);
        if (status == HEDDLE_OK)
            status = sort_receipts(bulk, err);
        if (status == HEDDLE_OK)
            continue;
        if (status != HEDDLE_RETRY || refusal_is_pause(err) || clock_now_ms() > deadline_ms ||
            *bulk->interrupted)
            return status;
        clock_sleep_ms(clock_backoff_ms(attempt, PAUSE_BASE_MS, PAUSE_CAP_MS));
        /* Each reply that is taken makes room in Redis. */
        if (bulk->pending_count > 0 && err->kind == HEDDLE_KIND_TOO_LARGE) {
            status = bulk_collect(bulk, COLLECT_MS, &has_progress, err);
            if (status != HEDDLE_OK)
                return status;
        }
    }
    return HEDDLE_OK;
}

heddle_status bulk_collect(struct bulk *bulk, int64_t timeout_ms, bool *has_progress,
                           struct heddle_error *err)
{
    size_t fresh_count = put_late_last(bulk), next;
    size_t count = fresh_count > 0 ? fresh_count : bulk->pending_count;

    if (count > BULK_WINDOW)
        count = BULK_WINDOW;
    struct heddle_receipt *receipts = memory_take_zeroed(count + 1, sizeof *receipts);
    for (size_t i = 0; i < count; i++) {
        memcpy(receipts[i].id, bulk->pending[i].id, sizeof receipts[i].id);
        receipts[i].partition = bulk->pending[i].partition;
    }
    heddle_status status = heddle_client_await_many(
        bulk->client, receipts, count, timeout_ms < COLLECT_MS ? timeout_ms : COLLECT_MS, deliver,
        bulk, &next, err);
    free(receipts);
    if (status == HEDDLE_OK)
        status = ask_missing(bulk, count, err);
    /* Who is away may come back; the caller's patience decides. */
    if (status == HEDDLE_RETRY) {
        clock_sleep_ms(PAUSE_CAP_MS / 4);
        status = HEDDLE_OK;
    }
    *has_progress = drop_ended(bulk, count) > 0;
    return status;
}

static heddle_status take_line(struct bulk *bulk, const struct line *line, struct heddle_error *err)
{
    struct bulk_item *item = &bulk->items[bulk->window_count];
    struct heddle_submission *submission = &bulk->submissions[bulk->window_count];
    struct heddle_error reason;

    heddle_status status = (bulk->is_judged ? submission_read_again : submission_read)(
        line, bulk->rules, &bulk->arena, submission, &reason);
    if (status == HEDDLE_REFUSED)
        return reject_line(bulk, line, &reason, err);
    if (status != HEDDLE_OK) {
        *err = reason;
        return status;
    }
    item->number = line->number;
    if (bulk->rejects)
        item->line = arena_copy_text(&bulk->arena, line->text.data, line->text.size);
    if (submission->id.size == 0) {
        submission_line_id(bulk->batch_id, line->number, item->id);
        submission->id = (struct heddle_text){item->id, HEDDLE_ID_SIZE};
    }
    submission->reply = bulk->with_wait;
    if (submission->flow.batch.size == 0)
        submission->flow.batch = bulk->batch;
    bulk->window_count++;
    return HEDDLE_OK;
}

static heddle_status reject_line(struct bulk *bulk, const struct line *line,
                                 const struct heddle_error *reason, struct heddle_error *err)
{
    struct heddle_text piece = line->text;
    heddle_status status = HEDDLE_OK;
    bool found = true;

    if (!bulk->rejects)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "line %" PRIu64 ": %s", line->number,
                             reason->text);
    reject(bulk, line->number, reason);
    while (status == HEDDLE_OK && found) {
        fwrite(piece.data, 1, piece.size, bulk->rejects);
        status = lines_rest(bulk->lines, &piece, &found, err);
    }
    fputc('\n', bulk->rejects);
    return status;
}

static void reject(struct bulk *bulk, uint64_t number, const struct heddle_error *reason)
{
    bulk->counts.rejected++;
    progress_hide(&bulk->progress);
    fprintf(stderr, "line %" PRIu64 ": %s: %s\n", number, heddle_kind_name(reason->kind),
            reason->text);
}

/* Takes out of the window what Redis has accepted or refused for good.
 * HEDDLE_RETRY: something is left. */
static heddle_status sort_receipts(struct bulk *bulk, struct heddle_error *err)
{
    heddle_status result = HEDDLE_OK;
    size_t kept = 0;

    for (size_t i = 0; i < bulk->window_count; i++) {
        const struct heddle_receipt *receipt = &bulk->receipts[i];
        if (receipt->status == HEDDLE_OK) {
            bulk->counts.submitted++;
            if (bulk->with_wait)
                keep_pending(bulk, i);
        } else if (receipt->status == HEDDLE_REFUSED) {
            reject(bulk, bulk->items[i].number, &receipt->error);
            if (bulk->rejects)
                fprintf(bulk->rejects, "%s\n", bulk->items[i].line.data);
        } else {
            *err = receipt->error;
            /* An answer, so Redis is reached: it is full, or not ready. */
            err->kind = HEDDLE_KIND_TOO_LARGE;
            if (result == HEDDLE_OK || receipt->status != HEDDLE_RETRY)
                result = receipt->status;
            bool id_is_ours = bulk->submissions[i].id.data == bulk->items[i].id;
            bulk->submissions[kept] = bulk->submissions[i];
            bulk->items[kept] = bulk->items[i];
            if (id_is_ours)
                bulk->submissions[kept].id.data = bulk->items[kept].id;
            kept++;
        }
    }
    bulk->window_count = kept;
    return result;
}

static void keep_pending(struct bulk *bulk, size_t index)
{
    struct bulk_pending *pending = &bulk->pending[bulk->pending_count++];
    struct heddle_text user = bulk->submissions[index].user;

    *pending = (struct bulk_pending){
        .number = bulk->items[index].number,
        .user = memcpy(memory_take(user.size + 1), user.data, user.size + 1),
        .lane_key = digest_lane_key(user),
        .partition = bulk->receipts[index].partition,
    };
    memcpy(pending->id, bulk->receipts[index].id, sizeof pending->id);
}

/* One lane that stands still must not hold up the results of all others. What
 * stands behind a late operation in its lane can't end before it, so it is late
 * as well. Returns how many are not late. */
static size_t put_late_last(struct bulk *bulk)
{
    struct bulk_pending *late = memory_take(sizeof bulk->pending);
    size_t fresh_count = 0, late_count = 0;

    for (size_t i = 0; i < bulk->pending_count; i++)
        if (bulk->pending[i].is_late)
            late[late_count++] = bulk->pending[i];
    const size_t known_count = late_count;
    for (size_t i = 0; i < bulk->pending_count; i++) {
        struct bulk_pending *pending = &bulk->pending[i];
        if (pending->is_late)
            continue;
        for (size_t k = 0; k < known_count && !pending->is_late; k++)
            pending->is_late = late[k].lane_key == pending->lane_key;
        if (pending->is_late)
            late[late_count++] = *pending;
        else
            bulk->pending[fresh_count++] = *pending;
    }
    memcpy(bulk->pending + fresh_count, late, late_count * sizeof *late);
    free(late);
    return fresh_count;
}

static void deliver(void *argument, size_t index, const char *json, size_t size)
{
    struct bulk *bulk = argument;

    if (json)
        count_end(bulk, &bulk->pending[index], json, size);
    progress_show(&bulk->progress, bulk->counts.submitted, bulk->counts.ended);
}

/* A reply can be lost with a connection, and expires: whoever has none is asked for. */
static heddle_status ask_missing(struct bulk *bulk, size_t count, struct heddle_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct bulk_pending *pending = &bulk->pending[i];
        struct tracked tracked;
        if (pending->has_ended)
            continue;
        heddle_status status =
            tracking_ask(&bulk->tracking, text_of(pending->user), pending->id, &tracked, err);
        if (status != HEDDLE_OK)
            return status;
        if (tracked.result) {
            door_forget(bulk->door, pending->partition, pending->id);
            count_end(bulk, pending, tracked.result, strlen(tracked.result));
        }
        free(tracked.result);
    }
    return HEDDLE_OK;
}

static void count_end(struct bulk *bulk, struct bulk_pending *pending, const char *result,
                      size_t size)
{
    struct bulk_counts *counts = &bulk->counts;
    char state[16];

    tracking_state_of(result, size, state);
    pending->has_ended = true;
    counts->ended++;
    if (strcmp(state, "done") == 0) {
        counts->done++;
        return;
    }
    if (strcmp(state, "cancelled") == 0)
        counts->cancelled++;
    else if (strcmp(state, "dead") == 0)
        counts->dead++;
    else
        counts->failed++;
    show_failure(bulk, pending->number, result, size);
}

static void show_failure(struct bulk *bulk, uint64_t number, const char *result, size_t size)
{
    const char *state = "?", *kind = "?", *message = "?";
    char line[512];

    if (bulk->failures_shown > FAILURES_SHOWN_MAX)
        return;
    progress_hide(&bulk->progress);
    if (bulk->failures_shown++ == FAILURES_SHOWN_MAX) {
        fputs("further failures are counted only\n", stderr);
        return;
    }
    json_t *root = json_loadb(result, size, 0, NULL);
    if (json_unpack(root, "{s:s, s:{s:s, s:s}}", "state", &state, "error", "kind", &kind, "message",
                    &message) != 0)
        message = "no result that can be read";
    snprintf(line, sizeof line, "line %" PRIu64 ": %s: %s: %s", number, state, kind, message);
    json_decref(root);
    text_make_line(line);
    fprintf(stderr, "%s\n", line);
}

/* Of the first `count`, those that have not ended are late and go to the end, so
 * that the others are looked at before them. Returns how many have ended. */
static size_t drop_ended(struct bulk *bulk, size_t count)
{
    const size_t before = bulk->pending_count;
    struct bulk_pending *late = memory_take(count * sizeof *late + 1);
    size_t late_count = 0;

    for (size_t i = 0; i < count; i++) {
        bulk->pending[i].is_late = true;
        if (bulk->pending[i].has_ended)
            free(bulk->pending[i].user);
        else
            late[late_count++] = bulk->pending[i];
    }
    memmove(bulk->pending, bulk->pending + count, (before - count) * sizeof *late);
    memcpy(bulk->pending + before - count, late, late_count * sizeof *late);
    free(late);
    bulk->pending_count = before - count + late_count;
    return before - bulk->pending_count;
}
