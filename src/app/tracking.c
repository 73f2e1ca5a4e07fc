/* What became of an operation (tracking.h). Runs on the main thread. */
#include "app/tracking.h"

#include "app/links.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "heddle/client.h"
#include "ledger/lookup.h"
#include "link/pg.h"

enum {
    SOON_MS = 200, /* what has ended before anybody waited is asked for this soon */
    NET_MS =
        5000, /* and so often what is pushed, which can be lost with a connection or with Redis */
    PAUSE_MS = 300, /* between questions to which there is no answer */
};

static heddle_status open_ledger(struct tracking *tracking, struct heddle_error *err);
static heddle_status want(struct tracking *tracking, struct heddle_text user, const char *id,
                          struct heddle_receipt *receipt, struct heddle_error *err);
static void ask_for_state(struct tracking *tracking, const char *id, struct tracked *tracked);
static void keep_result(void *argument, size_t index, const char *json, size_t size);
static void pause_for(int64_t deadline_ms);
static bool has_ended(const char *state);

void tracking_init(struct tracking *tracking, const struct options *options,
                   struct heddle_client *client)
{
    *tracking = (struct tracking){.options = options, .client = client};
}

void tracking_done(struct tracking *tracking)
{
    pg_free(tracking->ledger);
    tracking->ledger = NULL;
}

heddle_status tracking_ask(struct tracking *tracking, struct heddle_text user, const char *id,
                           struct tracked *tracked, struct heddle_error *err)
{
    struct tracked answer = {.state = "unknown"};
    heddle_status status = HEDDLE_OK;
    bool found;

    if (tracking->client)
        status =
            heddle_client_status(tracking->client, user, id, answer.state, &answer.result, err);
    if (status != HEDDLE_OK)
        return status;
    /* The ledger is spared as long as the queue holds the operation. */
    if (!answer.result && (strcmp(answer.state, "unknown") == 0 || has_ended(answer.state))) {
        status = open_ledger(tracking, err);
        if (status == HEDDLE_OK)
            status = lookup_result(tracking->ledger, id, &found, &answer.result, err);
        if (status != HEDDLE_OK)
            return status;
        if (found)
            tracking_state_of(answer.result, strlen(answer.result), answer.state);
        else
            answer.result = NULL;
    }
    *tracked = answer;
    return HEDDLE_OK;
}

heddle_status tracking_ledger_row(struct tracking *tracking, const char *id, char **json,
                                  struct heddle_error *err)
{
    char *row = NULL;
    bool found = false;
    heddle_status status = open_ledger(tracking, err);

    if (status == HEDDLE_OK)
        status = lookup_operation(tracking->ledger, id, &found, &row, err);
    if (status == HEDDLE_OK)
        *json = found ? row : NULL;
    return status;
}

heddle_status tracking_wait(struct tracking *tracking, struct heddle_text user, const char *id,
                            int64_t timeout_ms, struct tracked *tracked, struct heddle_error *err)
{
    const int64_t deadline_ms = clock_now_ms() + timeout_ms;
    struct heddle_receipt receipt;

    for (;;) {
        heddle_status status = tracking_ask(tracking, user, id, tracked, err);
        if (status != HEDDLE_OK || tracked->result)
            return status;
        status = want(tracking, user, id, &receipt, err);
        if (status == HEDDLE_OK)
            break;
        if (status != HEDDLE_REFUSED || clock_now_ms() >= deadline_ms)
            return status == HEDDLE_REFUSED ? HEDDLE_OK : status;
        /* Nobody knows it; it may still be submitted. */
        pause_for(deadline_ms);
    }
    return tracking_await(tracking, user, &receipt, deadline_ms - clock_now_ms(), tracked, err);
}

heddle_status tracking_await(struct tracking *tracking, struct heddle_text user,
                             const struct heddle_receipt *receipt, int64_t timeout_ms,
                             struct tracked *tracked, struct heddle_error *err)
{
    const int64_t deadline_ms = clock_now_ms() + timeout_ms;
    int64_t patience_ms = SOON_MS, left_ms = timeout_ms;
    heddle_status status = HEDDLE_OK;
    struct heddle_error ignored;
    size_t next;

    *tracked = (struct tracked){.state = "unknown"};
    while (left_ms > 0 && (status == HEDDLE_OK || status == HEDDLE_RETRY)) {
        status = heddle_client_await_many(tracking->client, receipt, 1,
                                          left_ms < patience_ms ? left_ms : patience_ms,
                                          keep_result, tracked, &next, err);
        if (tracked->result)
            return HEDDLE_OK;
        if (status == HEDDLE_RETRY)
            pause_for(deadline_ms);
        if (status == HEDDLE_OK || status == HEDDLE_RETRY)
            status = tracking_ask(tracking, user, receipt->id, tracked, err);
        if (tracked->result)
            break;
        patience_ms = NET_MS;
        left_ms = deadline_ms - clock_now_ms();
    }
    (void)!heddle_client_unwant(tracking->client, receipt, &ignored);
    if (status == HEDDLE_OK && !tracked->result)
        ask_for_state(tracking, receipt->id, tracked);
    return status;
}

void tracking_state_of(const char *result, size_t size, char state[16])
{
    json_t *root = json_loadb(result, size, JSON_DECODE_ANY, NULL);
    const char *text = json_string_value(json_object_get(root, "state"));

    snprintf(state, 16, "%s", text && has_ended(text) ? text : "unknown");
    json_decref(root);
}

static heddle_status open_ledger(struct tracking *tracking, struct heddle_error *err)
{
    if (!tracking->ledger)
        return links_postgres(tracking->options, &tracking->ledger, err);
    return pg_connect(tracking->ledger, err);
}

/* HEDDLE_REFUSED: nobody knows it. */
static heddle_status want(struct tracking *tracking, struct heddle_text user, const char *id,
                          struct heddle_receipt *receipt, struct heddle_error *err)
{
    struct heddle_error ignored;
    char *row = NULL;

    heddle_status status = heddle_client_want(tracking->client, user, id, receipt, err);
    if (status != HEDDLE_REFUSED || user.size > 0)
        return status;
    /* Redis may have still to hear of it: then the ledger knows whose it is. */
    status = tracking_ledger_row(tracking, id, &row, &ignored);
    json_t *root = status == HEDDLE_OK && row ? json_loads(row, 0, NULL) : NULL;
    const char *owner = json_string_value(json_object_get(root, "user_id"));
    status = owner ? heddle_client_want(tracking->client, text_of(owner), id, receipt, err)
                   : HEDDLE_REFUSED;
    json_decref(root);
    free(row);
    return status;
}

/* Of what Redis has not heard of yet, such as a durable one that is scheduled. */
static void ask_for_state(struct tracking *tracking, const char *id, struct tracked *tracked)
{
    struct heddle_error ignored;
    char *row = NULL;

    if (strcmp(tracked->state, "unknown") != 0 ||
        tracking_ledger_row(tracking, id, &row, &ignored) != HEDDLE_OK || !row)
        return;
    json_t *root = json_loads(row, 0, NULL);
    const char *state = json_string_value(json_object_get(root, "state"));
    if (state)
        snprintf(tracked->state, sizeof tracked->state, "%s", state);
    json_decref(root);
    free(row);
}

static void keep_result(void *argument, size_t index, const char *json, size_t size)
{
    struct tracked *tracked = argument;

    (void)index;
    if (!json)
        return;
    tracked->result = memory_copy(json, size);
    tracking_state_of(json, size, tracked->state);
}

static void pause_for(int64_t deadline_ms)
{
    const int64_t left_ms = deadline_ms - clock_now_ms();

    if (left_ms > 0)
        clock_sleep_ms(left_ms < PAUSE_MS ? left_ms : PAUSE_MS);
}

static bool has_ended(const char *state)
{
    static const char *const ends[] = {"done", "failed", "dead", "cancelled"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(ends[i], state) == 0)
            return true;
    return false;
}
