/* A batch of NDJSON lines on its way: windows are submitted, their results
 * awaited some thousands behind, so that neither memory nor the life of a reply
 * in Redis bounds the file's size.
 *
 * Runs on the main thread. A line's id derives from the batch's name and the
 * line's number where the line has none. */
#ifndef APP_BULK_H
#define APP_BULK_H

#include "app/door.h"
#include "app/progress.h"
#include "app/tracking.h"
#include "base/arena.h"
#include "heddle/client.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>

enum {
    BULK_WINDOW = 1000,          /* lines of a submission at most: one transaction */
    BULK_WINDOW_DIRECT = 256,    /* one call a partition, so all or none of it */
    BULK_WINDOW_BYTES = 3 << 20, /* payloads of a window, for the same reason */
    BULK_AHEAD_MAX = 4096,       /* operations that are submitted and not known to have ended */
};

struct lines;
struct submission_rules;

struct bulk_counts {
    uint64_t submitted, ended, done, failed, dead, cancelled, rejected;
};

/* A line of the window that is being filled. */
struct bulk_item {
    uint64_t number;
    struct heddle_text line; /* where there are rejects */
    char id[HEDDLE_ID_SIZE + 1];
};

/* An operation whose result is awaited. */
struct bulk_pending {
    uint64_t number;
    char *user;       /* owned */
    int64_t lane_key; /* tells lanes apart; two that share one only wait for each other */
    unsigned partition;
    char id[HEDDLE_ID_SIZE + 1];
    bool has_ended;
    bool is_late; /* was waited for in vain, or stands behind one that was */
};

struct bulk {
    const struct options *options;
    const struct submission_rules *rules;
    char batch_id[HEDDLE_ID_SIZE + 1]; /* see submission_line_id */
    struct heddle_text batch;          /* of each line that names none; may be empty */
    struct lines *lines;
    FILE *rejects;  /* NULL: a bad line ends the batch */
    bool with_wait; /* results are awaited */
    bool is_judged; /* every line was accepted already; who changes the file now is refused later */
    struct door *door;
    struct heddle_client *client;
    struct tracking tracking;
    struct progress progress;
    struct bulk_counts counts;
    int failures_shown;
    const volatile sig_atomic_t *interrupted; /* set by Ctrl-C */
    size_t window_count, pending_count;
    struct arena arena;                  /* of the window */
    struct bulk_item items[BULK_WINDOW]; /* and the submissions and receipts of each */
    struct heddle_submission submissions[BULK_WINDOW];
    struct heddle_receipt receipts[BULK_WINDOW];
    struct bulk_pending pending[BULK_AHEAD_MAX];
};

/* On the heap, because it is large; the caller fills in what the batch is about
 * before the first window. Takes the options, borrows everything else. */
struct bulk *bulk_new(const struct options *options, struct door *door);
void bulk_free(struct bulk *bulk);

/* Reads lines into the window until it is full or `*is_last`. A bad line goes to
 * the rejects. HEDDLE_REFUSED: there are none, or the input is broken. */
heddle_status bulk_fill(struct bulk *bulk, bool *is_last,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Submits the window and empties it; for a minute also where Redis is full or
 * away. HEDDLE_RETRY: it stayed so, or Ctrl-C. */
heddle_status bulk_send(struct bulk *bulk, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Waits for results of the oldest pending operations, `timeout_ms` or some seconds at most. */
heddle_status bulk_collect(struct bulk *bulk, int64_t timeout_ms, bool *has_progress,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
