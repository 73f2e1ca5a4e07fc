/* See beat.h. */
#include "engine/beat.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/thread.h"
#include "base/log.h"
#include "link/redis.h"
#include "queue/lanes.h"

#include <stdlib.h>
#include <string.h>

enum { BEATS_PER_LEASE = 3, RELEASE_TRIES = 3 };

struct beat {
    struct beat_options options;
    struct holdings *holdings;
    char (*cursors)[24]; /* by partition: where the next look at our lanes begins */
    struct redis_link *link;
    struct command command;
    pthread_t thread;

    struct mutex mutex;
    struct condition stopped;
    bool is_stopping GUARDED;
};

static void *beat_body(void *argument);
static heddle_status give_back(struct beat *beat, unsigned partition, struct heddle_error *err);
static bool is_unknown(void *argument, struct heddle_text lane, uint64_t seq);
static bool sleep_unless_stopped(struct beat *beat, int64_t duration_ms);

heddle_status beat_new(const struct beat_options *options, struct holdings *holdings,
                       struct beat **beat, struct heddle_error *err)
{
    struct redis_link *link;

    heddle_status status = redis_new(options->redis, options->redis_timeout_ms, &link, err);
    if (status != HEDDLE_OK)
        return status;
    *beat = memory_take_zeroed(1, sizeof **beat);
    (*beat)->options = *options;
    (*beat)->holdings = holdings;
    (*beat)->cursors = memory_take_zeroed(options->partitions, sizeof *(*beat)->cursors);
    (*beat)->link = link;
    command_init(&(*beat)->command);
    mutex_init(&(*beat)->mutex);
    condition_init(&(*beat)->stopped);
    return HEDDLE_OK;
}

void beat_free(struct beat *beat)
{
    if (!beat)
        return;
    redis_free(beat->link);
    free(beat->cursors);
    command_done(&beat->command);
    condition_done(&beat->stopped);
    mutex_done(&beat->mutex);
    free(beat);
}

void beat_start(struct beat *beat)
{
    thread_start(&beat->thread, "heddle-beat", beat_body, beat);
}

void beat_stop(struct beat *beat)
{
    const struct beat_options *options = &beat->options;
    struct heddle_error err;

    mutex_lock(&beat->mutex);
    beat->is_stopping = true;
    mutex_unlock(&beat->mutex);
    condition_signal(&beat->stopped);
    thread_join(beat->thread);
    /* The link may have died unnoticed since the last beat: then a fresh one is tried. */
    for (int tries = 0; tries < RELEASE_TRIES; tries++) {
        if (lanes_release(beat->link, &beat->command, options->partitions, options->incarnation,
                          &err) == HEDDLE_OK)
            return;
        redis_close(beat->link);
    }
    heddle_log(HEDDLE_LOG_WARNING, "release_failed", "text=%s", LOG_TEXT(err.text));
}

static void *beat_body(void *argument)
{
    struct beat *beat = argument;
    const struct beat_options *options = &beat->options;

    do {
        struct heddle_error err;
        int freed = 0;
        heddle_status status = lanes_beat(beat->link, &beat->command, options->partitions,
                                          options->incarnation, options->lease_ms, &freed, &err);
        fault_point("beaten");
        for (unsigned p = 0; status == HEDDLE_OK && p < options->partitions; p++)
            status = give_back(beat, p, &err);
        if (status != HEDDLE_OK) {
            redis_close(beat->link);
            heddle_log(HEDDLE_LOG_WARNING, "beat_failed", "text=%s", LOG_TEXT(err.text));
        }
        if (freed > 0)
            heddle_log(HEDDLE_LOG_WARNING, "lanes_taken_over", "expired=%d", freed);
    } while (sleep_unless_stopped(beat, options->lease_ms / BEATS_PER_LEASE));
    return NULL;
}

/* Looks at some of the lanes that Redis believes to be ours; all of them within a few beats. */
static heddle_status give_back(struct beat *beat, unsigned partition, struct heddle_error *err)
{
    if (*beat->cursors[partition] == '\0')
        strcpy(beat->cursors[partition], "0");
    return lanes_give_back(beat->link, &beat->command, partition, beat->options.incarnation,
                           beat->cursors[partition], is_unknown, beat, err);
}

static bool is_unknown(void *argument, struct heddle_text lane, uint64_t seq)
{
    struct beat *beat = argument;

    return !holdings_knows(beat->holdings, lane, seq);
}

static bool sleep_unless_stopped(struct beat *beat, int64_t duration_ms)
{
    int64_t deadline_us = clock_now_us() + duration_ms * 1000;

    mutex_lock(&beat->mutex);
    while (!beat->is_stopping && condition_wait_until(&beat->stopped, &beat->mutex, deadline_us))
        ;
    bool goes_on = !beat->is_stopping;
    mutex_unlock(&beat->mutex);
    return goes_on;
}
