/* heddle show ID: what the ledger and the queue know of an operation. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/inputs.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/tracking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "heddle/client.h"

struct knowledge {
    char state[16]; /* Redis' word; "unknown" also where it was not reached */
    char *result;   /* Redis' result, or NULL */
    char *row;      /* the ledger's row, or NULL */
};

static heddle_status gather(const struct invocation *invocation, const char *id,
                            struct knowledge *knowledge, struct heddle_error *err);
static json_t *merge(const char *id, const struct knowledge *knowledge);

static enum exit_code run(const struct invocation *invocation)
{
    struct knowledge knowledge = {.state = "unknown"};
    char id[HEDDLE_ID_SIZE + 1];
    struct heddle_error err;

    if (!input_id(arguments_word(invocation->arguments, 0), id))
        return EXIT_USAGE;
    heddle_status status = gather(invocation, id, &knowledge, &err);
    json_t *merged = status == HEDDLE_OK ? merge(id, &knowledge) : NULL;
    free(knowledge.result);
    free(knowledge.row);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    if (!merged)
        return report_text(EXIT_ENDED_BADLY, "%s: neither the queue nor the ledger knows it", id);
    if (invocation->with_json) {
        json_out(merged);
    } else {
        json_out_lines(merged);
        json_decref(merged);
    }
    return EXIT_DONE;
}

static const struct flag flags[] = {
    {"user", "U", "the operation's user, where known: spares asking every partition"},
    {0},
};

const struct command command_show = {
    .name = "show",
    .usage = "ID [--user U]",
    .summary = "show what the ledger and the queue know of an operation",
    .flags = flags,
    .words_max = 1,
    .loads_settings = true,
    .run = run,
};

/* One server that is away does not hide what the other knows; it only makes
 * "unknown" impossible to say. */
static heddle_status gather(const struct invocation *invocation, const char *id,
                            struct knowledge *knowledge, struct heddle_error *err)
{
    struct heddle_text user = text_of(arguments_get(invocation->arguments, "user"));
    struct heddle_client *client = NULL;
    struct tracking tracking;
    struct heddle_error redis_err;
    heddle_status redis_status = links_client(invocation->options, &client, &redis_err);

    if (redis_status == HEDDLE_OK)
        redis_status = heddle_client_status(client, user, id, knowledge->state, &knowledge->result,
                                            &redis_err);
    if (redis_status != HEDDLE_OK)
        snprintf(knowledge->state, sizeof knowledge->state, "unknown");
    tracking_init(&tracking, invocation->options, NULL);
    heddle_status status = tracking_ledger_row(&tracking, id, &knowledge->row, err);
    tracking_done(&tracking);
    heddle_client_free(client);

    bool knows_something = knowledge->row || strcmp(knowledge->state, "unknown") != 0;
    if (redis_status != HEDDLE_OK && status == HEDDLE_OK) {
        status = redis_status;
        *err = redis_err;
    }
    if (status == HEDDLE_OK || !knows_something)
        return status;
    (void)report(invocation, status, err);
    return HEDDLE_OK;
}

/* The ledger's row with what Redis adds; NULL where nobody knows the id. */
static json_t *merge(const char *id, const struct knowledge *knowledge)
{
    json_t *row = knowledge->row ? json_loads(knowledge->row, JSON_DECODE_ANY, NULL) : NULL;
    bool is_queued = strcmp(knowledge->state, "unknown") != 0;

    if (!row && !is_queued)
        return NULL;
    if (!row)
        row = json_pack("{s:s, s:s}", "id", id, "state", knowledge->state);
    json_object_set_new(row, "queue_state", json_string(knowledge->state));
    if (knowledge->result)
        json_object_set_new(row, "queue_result",
                            json_loads(knowledge->result, JSON_DECODE_ANY, NULL));
    return row;
}
