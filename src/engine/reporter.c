/* See reporter.h. */
#include "engine/reporter.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "link/redis.h"
#include "queue/fleet.h"

#include <stdlib.h>

enum { REQUESTS_MAX = 16 };

struct reporter {
    const struct report_parts *parts;
    struct redis_link *link;
    pthread_t thread;

    struct mutex mutex;
    struct condition asked;
    struct report_request requests[REQUESTS_MAX] GUARDED; /* the oldest first */
    size_t count GUARDED;
    bool is_stopping GUARDED;
};

static void *reporter_body(void *argument);
static bool next_request(struct reporter *reporter, struct report_request *request, bool *is_last);

heddle_status reporter_new(const char *redis, int redis_timeout_ms,
                           const struct report_parts *parts, struct reporter **reporter,
                           struct heddle_error *err)
{
    struct redis_link *link;

    heddle_status status = redis_new(redis, redis_timeout_ms, &link, err);
    if (status != HEDDLE_OK)
        return status;
    *reporter = memory_take_zeroed(1, sizeof **reporter);
    (*reporter)->parts = parts;
    (*reporter)->link = link;
    mutex_init(&(*reporter)->mutex);
    condition_init(&(*reporter)->asked);
    return HEDDLE_OK;
}

void reporter_free(struct reporter *reporter)
{
    if (!reporter)
        return;
    redis_free(reporter->link);
    condition_done(&reporter->asked);
    mutex_done(&reporter->mutex);
    free(reporter);
}

void reporter_start(struct reporter *reporter)
{
    thread_start(&reporter->thread, "heddle-report", reporter_body, reporter);
}

void reporter_stop(struct reporter *reporter)
{
    mutex_lock(&reporter->mutex);
    reporter->is_stopping = true;
    mutex_unlock(&reporter->mutex);
    condition_signal(&reporter->asked);
    thread_join(reporter->thread);
}

void reporter_ask(struct reporter *reporter, const struct report_request *request)
{
    mutex_lock(&reporter->mutex);
    bool has_room = reporter->count < REQUESTS_MAX;
    if (has_room)
        reporter->requests[reporter->count++] = *request;
    mutex_unlock(&reporter->mutex);
    if (has_room)
        condition_signal(&reporter->asked);
}

static void *reporter_body(void *argument)
{
    struct reporter *reporter = argument;
    struct report_request request;
    bool is_last;

    while (next_request(reporter, &request, &is_last)) {
        struct heddle_error err;
        char *report = report_write(reporter->parts, request.lane);
        heddle_status status = fleet_answer(reporter->link, request.token, text_of(report), &err);
        if (status != HEDDLE_OK)
            heddle_log(HEDDLE_LOG_WARNING, "report_failed", "text=%s", LOG_TEXT(err.text));
        if (status != HEDDLE_OK || is_last)
            redis_close(reporter->link);
        free(report);
    }
    return NULL;
}

/* Waits for it; false when stopping. `*is_last`: no other waits so far. */
static bool next_request(struct reporter *reporter, struct report_request *request, bool *is_last)
{
    mutex_lock(&reporter->mutex);
    while (reporter->count == 0 && !reporter->is_stopping)
        condition_wait(&reporter->asked, &reporter->mutex);
    bool is_there = !reporter->is_stopping;
    if (is_there) {
        *request = reporter->requests[0];
        reporter->count--;
        for (size_t i = 0; i < reporter->count; i++)
            reporter->requests[i] = reporter->requests[i + 1];
    }
    *is_last = reporter->count == 0;
    mutex_unlock(&reporter->mutex);
    return is_there;
}
