/* See roster.h. */
#include "engine/roster.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "link/pg.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct post {
    struct board_slot *slot; /* NULL: no supervisor */
    struct pg_link *link;    /* NULL: not taken */

    struct mutex mutex;
    uint64_t entry GUARDED;
    const struct claim *claim GUARDED;
    struct claimed_operation *claimed GUARDED; /* NULL: idle */
    enum phase phase GUARDED;
    int64_t entered_us GUARDED;
};

struct roster {
    int count;
    struct post posts[];
};

static bool may_be_interrupted(void *argument);
static void copy(char *out, size_t size, struct heddle_text text);

struct roster *roster_new(int post_count, struct board *board)
{
    struct roster *roster =
        memory_take_zeroed(1, sizeof *roster + (size_t)post_count * sizeof *roster->posts);

    roster->count = post_count;
    for (int i = 0; i < post_count; i++) {
        mutex_init(&roster->posts[i].mutex);
        roster->posts[i].slot = board ? &board->slots[i] : NULL;
    }
    return roster;
}

void roster_free(struct roster *roster)
{
    if (!roster)
        return;
    for (int i = 0; i < roster->count; i++)
        mutex_done(&roster->posts[i].mutex);
    free(roster);
}

struct post *roster_take(struct roster *roster, int number, struct pg_link *link)
{
    roster->posts[number].link = link;
    return &roster->posts[number];
}

void post_enter(struct post *post, const struct claim *claim, struct claimed_operation *claimed)
{
    if (!post)
        return;
    mutex_lock(&post->mutex);
    post->entry++;
    post->claim = claim;
    post->claimed = claimed;
    post->phase = PHASE_CHECK;
    post->entered_us = clock_now_us();
    mutex_unlock(&post->mutex);
    board_enter(post->slot, claim->partition, claim->lane, claimed->operation.id);
}

void post_phase(struct post *post, enum phase phase)
{
    if (!post)
        return;
    mutex_lock(&post->mutex);
    post->phase = phase;
    mutex_unlock(&post->mutex);
}

void post_leave(struct post *post)
{
    if (!post)
        return;
    board_leave(post->slot);
    mutex_lock(&post->mutex);
    post->claim = NULL;
    post->claimed = NULL;
    mutex_unlock(&post->mutex);
}

bool roster_see(struct roster *roster, int number, struct sight *sight)
{
    struct post *post = &roster->posts[number];

    mutex_lock(&post->mutex);
    const struct claimed_operation *claimed = post->claimed;
    if (claimed) {
        sight->entry = post->entry;
        memcpy(sight->id, claimed->operation.id, sizeof sight->id);
        copy(sight->op, sizeof sight->op, claimed->operation.op);
        copy(sight->lane, sizeof sight->lane, post->claim->lane);
        sight->phase = post->phase;
        sight->cause = claimed_cancel_cause(claimed);
        sight->age_us = clock_now_us() - post->entered_us;
    }
    mutex_unlock(&post->mutex);
    return claimed != NULL;
}

void roster_cancel(struct roster *roster, int number, const struct sight *sight,
                   enum cancel_cause cause)
{
    struct post *post = &roster->posts[number];

    mutex_lock(&post->mutex);
    if (post->claimed && post->entry == sight->entry)
        claimed_cancel(post->claimed, cause);
    mutex_unlock(&post->mutex);
}

void roster_interrupt(struct roster *roster, int number)
{
    struct post *post = &roster->posts[number];

    if (post->link)
        pg_cancel(post->link, may_be_interrupted, post);
}

int roster_count(const struct roster *roster)
{
    return roster->count;
}

void roster_report(struct roster *roster)
{
    for (int i = 0; i < roster->count; i++) {
        struct sight sight;
        if (roster_see(roster, i, &sight))
            heddle_log(HEDDLE_LOG_INFO, "worker",
                       "number=%d state=busy id=%s lane=%s op=%s phase=%s cancelled=%s "
                       "since_ms=%" PRId64,
                       i, sight.id, LOG_TEXT(sight.lane), sight.op, phase_name(sight.phase),
                       sight.cause == CANCEL_NONE ? "false" : "true", sight.age_us / 1000);
        else
            heddle_log(HEDDLE_LOG_INFO, "worker", "number=%d state=idle", i);
    }
}

const char *phase_name(enum phase phase)
{
    switch (phase) {
    case PHASE_CHECK:
        return "check";
    case PHASE_PREPARE:
        return "prepare";
    case PHASE_APPLY:
        return "apply";
    case PHASE_DECIDE:
        return "decide";
    case PHASE_AFTER:
        return "after_commit";
    }
    return "?";
}

/* The link stands still meanwhile: whatever the post runs is what would be hit. */
static bool may_be_interrupted(void *argument)
{
    struct post *post = argument;

    mutex_lock(&post->mutex);
    bool may = post->claimed && claimed_cancel_cause(post->claimed) != CANCEL_NONE &&
               (post->phase == PHASE_PREPARE || post->phase == PHASE_APPLY);
    mutex_unlock(&post->mutex);
    return may;
}

static void copy(char *out, size_t size, struct heddle_text text)
{
    size_t kept = text.size < size ? text.size : size - 1;

    memcpy(out, text.data, kept);
    out[kept] = '\0';
}
