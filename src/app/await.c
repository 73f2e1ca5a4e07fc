/* heddle await ID: waits until an operation has ended, prints its result. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/inputs.h"
#include "app/links.h"
#include "app/tracking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "heddle/client.h"

static enum exit_code wait_for(const struct invocation *invocation, const char *id,
                               int64_t timeout_ms);

static enum exit_code run(const struct invocation *invocation)
{
    char id[HEDDLE_ID_SIZE + 1];
    int64_t timeout_ms = INPUT_WAIT_MS;

    if (!input_id(arguments_word(invocation->arguments, 0), id) ||
        !input_duration(invocation->arguments, "timeout", &timeout_ms))
        return EXIT_USAGE;
    return wait_for(invocation, id, timeout_ms);
}

static const struct flag flags[] = {
    {"timeout", "30s", "longest wait; default 30s"},
    {"user", "U", "the operation's user, where known: spares asking every partition"},
    {0},
};

const struct command command_await = {
    .name = "await",
    .usage = "ID [--timeout 30s] [--user U]",
    .summary = "wait until an operation has ended, print its result",
    .details =
        "Exit 0 where it is done, 1 where it failed, died or was cancelled, 5 where time ran\n"
        "out. An id that nobody knows may still be submitted: it is waited for.\n",
    .flags = flags,
    .words_max = 1,
    .loads_settings = true,
    .run = run,
};

static enum exit_code wait_for(const struct invocation *invocation, const char *id,
                               int64_t timeout_ms)
{
    struct heddle_text user = text_of(arguments_get(invocation->arguments, "user"));
    struct heddle_client *client;
    struct tracking tracking;
    struct tracked tracked;
    struct heddle_error err;
    heddle_status status = links_client(invocation->options, &client, &err);

    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    tracking_init(&tracking, invocation->options, client);
    status = tracking_wait(&tracking, user, id, timeout_ms, &tracked, &err);
    tracking_done(&tracking);
    heddle_client_free(client);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    if (!tracked.result)
        return report_text(EXIT_TIME, "%s: time ran out, its state is %s", id, tracked.state);
    printf("%s\n", tracked.result);
    free(tracked.result);
    return strcmp(tracked.state, "done") == 0 ? EXIT_DONE : EXIT_ENDED_BADLY;
}
