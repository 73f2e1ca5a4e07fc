/* The reporter: answers whoever asks this processor how it does (queue/fleet.h), with a report.
 *
 * One thread with a Redis link of its own, which is open while it answers. Nothing else waits for
 * it, and questions that it can't keep up with go unanswered. */
#ifndef ENGINE_REPORTER_H
#define ENGINE_REPORTER_H

#include "engine/report.h"
#include "heddle/error.h"

struct reporter;

/* The address and the parts are borrowed until reporter_free; the latter are used once the thread
 * runs. */
heddle_status reporter_new(const char *redis, int redis_timeout_ms,
                           const struct report_parts *parts, struct reporter **reporter,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;
void reporter_free(struct reporter *reporter);
void reporter_start(struct reporter *reporter);
void reporter_stop(struct reporter *reporter);

/* Has the question answered soon. Copied. Does not wait; thread-safe. */
void reporter_ask(struct reporter *reporter, const struct report_request *request);

#endif
