/* See roster.h. */
#include "engine/roster.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "link/pg.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct post {
    struct board_slot *slot; /* NULL: no supervisor */
    struct pg_link *link;    /* NULL: not taken */

    struct mutex mutex;
    uint64_t entry GUARDED;
    struct post_entry single GUARDED;
    const struct post_entry *entries GUARDED; /* NULL: idle */
    size_t count GUARDED;
    atomic_int cause; /* of several at once; that of one is its own. Set under the mutex */
    enum phase phase GUARDED;
    int64_t entered_us GUARDED;
    const struct post_entry *all; /* of the bundle; the worker's own */
    size_t all_count;
};

struct roster {
    int count;
    struct post posts[];
};

static void show_locked(struct post *post, const struct post_entry *entries, size_t count)
    REQUIRES(post->mutex);
static void see_locked(const struct post *post, const struct post_entry *entry, size_t count,
                       struct sight *sight) REQUIRES(post->mutex);
static enum cancel_cause cause_locked(const struct post *post) REQUIRES(post->mutex);
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
    post->single = (struct post_entry){claim, claimed, 0};
    show_locked(post, &post->single, 1);
    post->phase = PHASE_CHECK;
    mutex_unlock(&post->mutex);
    board_add(post->slot, claim->partition, claim->lane, claimed->operation.id);
    board_enter(post->slot);
}

void post_enter_bundle(struct post *post, const struct post_entry *entries, size_t count)
{
    if (!post)
        return;
    mutex_lock(&post->mutex);
    show_locked(post, entries, count);
    post->phase = PHASE_CHECK;
    mutex_unlock(&post->mutex);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || entries[i].lane != entries[i - 1].lane)
            board_add(post->slot, entries[i].claim->partition, entries[i].claim->lane,
                      entries[i].claimed->operation.id);
    post->all = entries;
    post->all_count = count;
    board_enter(post->slot);
}

void post_point(struct post *post, const struct post_entry *entry)
{
    if (!post)
        return;
    mutex_lock(&post->mutex);
    show_locked(post, entry ? entry : post->all, entry ? 1 : post->all_count);
    mutex_unlock(&post->mutex);
    board_point(post->slot, entry ? entry->lane : BOARD_ALL,
                entry ? entry->claimed->operation.id : NULL);
}

const atomic_int *post_cause(const struct post *post)
{
    return post ? &post->cause : NULL;
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
    post->entries = NULL;
    post->count = 0;
    mutex_unlock(&post->mutex);
}

bool roster_see(struct roster *roster, int number, struct sight *sight)
{
    struct post *post = &roster->posts[number];

    mutex_lock(&post->mutex);
    const struct post_entry *entry = post->entries;
    if (entry)
        see_locked(post, entry, post->count, sight);
    mutex_unlock(&post->mutex);
    return entry != NULL;
}

bool roster_see_lane(struct roster *roster, int number, struct heddle_text lane,
                     struct sight *sight, char (*ids)[HEDDLE_ID_SIZE + 1], size_t most)
{
    struct post *post = &roster->posts[number];
    const struct post_entry *first = NULL;
    size_t count = 0;

    mutex_lock(&post->mutex);
    for (size_t i = 0; i < post->count; i++) {
        const struct post_entry *entry = &post->entries[i];
        if (!text_equal(entry->claim->lane, lane))
            continue;
        first = first ? first : entry;
        if (count < most)
            memcpy(ids[count], entry->claimed->operation.id, sizeof *ids);
        count++;
    }
    if (first)
        see_locked(post, first, count, sight);
    mutex_unlock(&post->mutex);
    return first != NULL;
}

void roster_cancel(struct roster *roster, int number, const struct sight *sight,
                   enum cancel_cause cause)
{
    struct post *post = &roster->posts[number];

    mutex_lock(&post->mutex);
    if (post->entries && post->entry == sight->entry && post->count == 1)
        claimed_cancel(post->entries->claimed, cause);
    else if (post->entries && post->entry == sight->entry && atomic_load(&post->cause) < (int)cause)
        atomic_store(&post->cause, (int)cause);
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
                       "number=%d state=busy id=%s lane=%s op=%s operations=%zu phase=%s "
                       "cancelled=%s since_ms=%" PRId64,
                       i, sight.id, LOG_TEXT(sight.lane), sight.op, sight.count,
                       phase_name(sight.phase), sight.cause == CANCEL_NONE ? "false" : "true",
                       sight.age_us / 1000);
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

static void show_locked(struct post *post, const struct post_entry *entries, size_t count)
{
    post->entry++;
    post->entries = entries;
    post->count = count;
    atomic_store(&post->cause, CANCEL_NONE);
    post->entered_us = clock_now_us();
}

static void see_locked(const struct post *post, const struct post_entry *entry, size_t count,
                       struct sight *sight)
{
    const struct claimed_operation *claimed = entry->claimed;

    sight->entry = post->entry;
    sight->count = count;
    memcpy(sight->id, claimed->operation.id, sizeof sight->id);
    copy(sight->op, sizeof sight->op, claimed->operation.op);
    copy(sight->lane, sizeof sight->lane, entry->claim->lane);
    sight->phase = post->phase;
    sight->cause = cause_locked(post);
    sight->age_us = clock_now_us() - post->entered_us;
}

/* The strongest one: a bundle ends early where one of its operations shall, which others then do
 * without it. */
static enum cancel_cause cause_locked(const struct post *post)
{
    enum cancel_cause cause = (enum cancel_cause)atomic_load(&post->cause);

    for (size_t i = 0; i < post->count; i++) {
        enum cancel_cause own = claimed_cancel_cause(post->entries[i].claimed);
        if (own > cause)
            cause = own;
    }
    return cause;
}

/* The link stands still meanwhile: whatever the post runs is what would be hit. */
static bool may_be_interrupted(void *argument)
{
    struct post *post = argument;

    mutex_lock(&post->mutex);
    bool may = post->entries && cause_locked(post) != CANCEL_NONE &&
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
