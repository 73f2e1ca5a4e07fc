/* heddle cancel ID: an operation that has not begun takes no effect; one that runs is asked to
 * stop. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/inputs.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/options.h"
#include "app/tracking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "engine/cancel.h"
#include "heddle/client.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/admin.h"

struct cancelling {
    const struct invocation *invocation;
    const char *id;
    struct pg_link *ledger;
    struct redis_link *queue;
    unsigned partitions;
    char state[16];
};

static heddle_status open_links(struct cancelling *cancelling, struct heddle_error *err);
static void close_links(struct cancelling *cancelling);
static void tell_queue(struct cancelling *cancelling);
static enum exit_code tell_people(struct cancelling *cancelling);
static enum exit_code wait_for_end(struct cancelling *cancelling, int64_t timeout_ms);

static enum exit_code run(const struct invocation *invocation)
{
    struct cancelling cancelling = {.invocation = invocation};
    char id[HEDDLE_ID_SIZE + 1];
    int64_t timeout_ms = INPUT_WAIT_MS;
    struct heddle_error err;

    if (!input_id(arguments_word(invocation->arguments, 0), id) ||
        !input_duration(invocation->arguments, "wait", &timeout_ms))
        return EXIT_USAGE;
    cancelling.id = id;
    heddle_status status = open_links(&cancelling, &err);
    if (status == HEDDLE_OK)
        status = cancel_decide(cancelling.ledger, cancelling.queue, cancelling.partitions, id,
                               cancelling.state, &err);
    enum exit_code code = status == HEDDLE_OK ? EXIT_DONE : report(invocation, status, &err);
    if (status == HEDDLE_OK) {
        bool is_running = strcmp(cancelling.state, "running") == 0;
        if (is_running || strcmp(cancelling.state, "cancelled") == 0)
            tell_queue(&cancelling);
        if (is_running && arguments_get(invocation->arguments, "wait"))
            code = wait_for_end(&cancelling, timeout_ms);
        else
            code = tell_people(&cancelling);
    }
    close_links(&cancelling);
    return code;
}

static const struct flag flags[] = {
    {"wait", "[=30s]", "where it runs: wait until it has ended, or the time ran out"},
    {0},
};

const struct command command_cancel = {
    .name = "cancel",
    .usage = "ID [--wait[=30s]]",
    .summary = "cancel an operation, or ask it to stop where it runs",
    .details =
        "What has not begun is cancelled at once and takes no effect afterwards. What runs is\n"
        "asked to stop: its handler is told, its statement is cancelled, and it ends\n"
        "cancelled unless it is done before. Exit 0 where it is cancelled or was asked, 6\n"
        "where it had ended already, 1 where nobody knows the id.\n",
    .flags = flags,
    .words_max = 1,
    .loads_settings = true,
    .run = run,
};

static heddle_status open_links(struct cancelling *cancelling, struct heddle_error *err)
{
    const struct options *options = cancelling->invocation->options;
    struct queue_facts facts;

    heddle_status status = links_postgres(options, &cancelling->ledger, err);
    if (status == HEDDLE_OK)
        status = links_redis(options, &cancelling->queue, err);
    if (status == HEDDLE_OK)
        status = queue_facts_get(cancelling->queue, &facts, err);
    if (status == HEDDLE_OK)
        status = queue_facts_judge(&facts, err);
    if (status == HEDDLE_OK)
        cancelling->partitions = facts.partitions;
    return status;
}

static void close_links(struct cancelling *cancelling)
{
    redis_free(cancelling->queue);
    pg_free(cancelling->ledger);
}

/* The ledger has decided. */
static void tell_queue(struct cancelling *cancelling)
{
    struct heddle_error err;

    heddle_status status =
        cancel_tell(cancelling->queue, cancelling->partitions, cancelling->id, cancelling->state,
                    cancelling->invocation->options->result_ttl_ms, &err);
    if (status != HEDDLE_OK)
        (void)report(cancelling->invocation, status, &err);
}

static enum exit_code tell_people(struct cancelling *cancelling)
{
    const char *state = cancelling->state;
    bool is_running = strcmp(state, "running") == 0;

    if (strcmp(state, "unknown") == 0)
        return report_text(EXIT_ENDED_BADLY, "%s: neither the queue nor the ledger knows it",
                           cancelling->id);
    if (cancelling->invocation->with_json)
        json_out(json_pack("{s:s, s:s}", "id", cancelling->id, "state", state));
    if (!is_running && strcmp(state, "cancelled") != 0)
        return report_text(EXIT_REFUSED, "%s: too late, it is %s", cancelling->id, state);
    if (!cancelling->invocation->with_json)
        printf("%s\n", is_running ? "running, asked to stop" : state);
    return EXIT_DONE;
}

static enum exit_code wait_for_end(struct cancelling *cancelling, int64_t timeout_ms)
{
    struct tracking tracking;
    struct tracked tracked;
    struct heddle_client *client;
    struct heddle_error err;

    heddle_status status = links_client(cancelling->invocation->options, &client, &err);
    if (status != HEDDLE_OK)
        return report(cancelling->invocation, status, &err);
    tracking_init(&tracking, cancelling->invocation->options, client);
    status = tracking_wait(&tracking, TEXT(""), cancelling->id, timeout_ms, &tracked, &err);
    tracking_done(&tracking);
    heddle_client_free(client);
    if (status != HEDDLE_OK)
        return report(cancelling->invocation, status, &err);
    if (!tracked.result)
        return report_text(EXIT_TIME, "%s: time ran out, its state is %s", cancelling->id,
                           tracked.state);
    free(tracked.result);
    snprintf(cancelling->state, sizeof cancelling->state, "%s", tracked.state);
    return tell_people(cancelling);
}
