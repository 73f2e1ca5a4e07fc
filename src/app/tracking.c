/* What became of an operation (tracking.h). Runs on the main thread. */
#include "app/tracking.h"

#include "app/links.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "heddle/client.h"
#include "ledger/lookup.h"
#include "link/pg.h"

enum { ASK_EVERY_MS_LEAST = 50, ASK_EVERY_MS_MOST = 500 };

static heddle_status open_ledger(struct tracking *tracking, struct heddle_error *err);
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
    int64_t deadline_ms = clock_now_ms() + timeout_ms, pause_ms = ASK_EVERY_MS_LEAST;
    heddle_status status = tracking_ask(tracking, user, id, tracked, err);

    if (status != HEDDLE_OK)
        return status;
    while (!tracked->result) {
        int64_t left_ms = deadline_ms - clock_now_ms();
        if (left_ms <= 0)
            return status;
        clock_sleep_ms(pause_ms < left_ms ? pause_ms : left_ms);
        pause_ms = pause_ms * 3 / 2 < ASK_EVERY_MS_MOST ? pause_ms * 3 / 2 : ASK_EVERY_MS_MOST;
        status = tracking_ask(tracking, user, id, tracked, err);
        if (status != HEDDLE_OK && status != HEDDLE_RETRY)
            return status;
    }
    return HEDDLE_OK;
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

static bool has_ended(const char *state)
{
    static const char *const ends[] = {"done", "failed", "dead", "cancelled"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(ends[i], state) == 0)
            return true;
    return false;
}
