/* What a processor is told on its channel, heddle:wake:INCARNATION: that a partition has a ready
 * lane (its number), that an operation it has in hand shall end early ("cancel ID"), that it shall
 * give back what it has not begun ("yield"), that somebody wants to know how it does ("report
 * TOKEN", or with a lane's name behind it "report TOKEN LANE"), or that a partition needs a share
 * of a limit ("shares").
 *
 * Confined to the fetcher, and when that has ended to the listener. Messages are lost while it is
 * not subscribed. */
#ifndef ENGINE_WAKES_H
#define ENGINE_WAKES_H

#include "engine/report.h"
#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdint.h>

struct wakes;

enum wake_kind { WAKE_NONE, WAKE_PARTITION, WAKE_CANCEL, WAKE_YIELD, WAKE_REPORT, WAKE_SHARES };

struct wake {
    enum wake_kind kind;
    int64_t partition;           /* as it was sent: not checked */
    char id[HEDDLE_ID_SIZE + 1]; /* of WAKE_CANCEL */
    struct report_request report;
};

/* Statuses are those of link/redis.h. Copies both texts. */
heddle_status wakes_new(const char *redis, int timeout_ms, const char *incarnation,
                        struct wakes **wakes, struct heddle_error *err) HEDDLE_MUST_CHECK;
void wakes_free(struct wakes *wakes);

bool wakes_is_open(const struct wakes *wakes);
heddle_status wakes_open(struct wakes *wakes, struct heddle_error *err) HEDDLE_MUST_CHECK;
void wakes_close(struct wakes *wakes);

/* For poll(2). */
int wakes_fd(const struct wakes *wakes);

/* The next message that has arrived; WAKE_NONE where there is none. What nobody understands is left
 * out: a newer Heddle may have sent it. */
heddle_status wakes_next(struct wakes *wakes, struct wake *wake,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
