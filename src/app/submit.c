/* heddle submit: one operation, or a file of them (submit_file.c). */
#include "app/submit.h"

#include "app/arguments.h"
#include "app/completion.h"
#include "app/inputs.h"
#include "app/json_out.h"
#include "app/door.h"
#include "app/ops.h"
#include "app/options.h"
#include "app/submission.h"
#include "app/tracking.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"

static bool fits_form(const struct arguments *arguments);
static enum exit_code submit_one(const struct invocation *invocation,
                                 const struct submission_rules *rules);
static enum exit_code send_one(const struct invocation *invocation,
                               const struct heddle_submission *submission);
static enum exit_code finish_one(const struct invocation *invocation, struct door *door,
                                 const struct heddle_submission *submission,
                                 const struct heddle_receipt *receipt);
static enum exit_code wait_one(const struct invocation *invocation, struct door *door,
                               const struct heddle_submission *submission,
                               const struct heddle_receipt *receipt);

static enum exit_code run(const struct invocation *invocation)
{
    struct ops ops;
    const struct submission_rules rules = {invocation->options->payload_bytes_max, &ops};
    struct heddle_error err;
    int64_t wait_ms;

    if (!fits_form(invocation->arguments) ||
        !input_duration(invocation->arguments, "wait", &wait_ms))
        return EXIT_USAGE;
    ops_init(&ops);
    heddle_status status = ops_load(&ops, invocation->settings, invocation->options, &err);
    enum exit_code code = status != HEDDLE_OK ? report(invocation, status, &err)
                          : arguments_get(invocation->arguments, "file")
                              ? submit_file(invocation, &rules)
                              : submit_one(invocation, &rules);
    ops_done(&ops);
    return code;
}

static const struct flag flags[] = {
    {"user", "U", "whose operation it is"},
    {"op", "OP", "its kind, e.g. send_message"},
    {"thread", "T", "the conversation it is about"},
    {"payload", "JSON|@FILE|-", "a JSON object, itself, in a file or on stdin; default {}"},
    {"id", "UUID", "its id; the same id again is the same operation; default a new one"},
    {"attempts", "N", "give it up after so many attempts"},
    {"backoff", "100ms", "longest wait before the second attempt; doubles with each"},
    {"backoff-max", "30s", "longest wait before any attempt"},
    {"deadline", "1h", "do not try it again later than this after its submission"},
    {"on-failure", "block|park|halt", "what a failed attempt does to the user's next operations"},
    {"delay", "5m", "it is to be executed so long after its submission"},
    {"at", "TIME", "or then: 2030-01-31T09:00:00Z, or with an offset such as +01:00"},
    {"expires", "1h", "if it has not begun by then, it ends cancelled"},
    {"priority", "interactive|normal|bulk", "how soon its turn comes; default normal"},
    {"unique-key", "KEY", "one of the user's and op's at a time: another one is the same"},
    {"unique-for", "1h", "how long the key counts; default until it has ended"},
    {"replace", NULL, "the one that waits with the key gets this payload"},
    {"file", "FILE|-", "operations as NDJSON, plain or gzip, in place of the flags above"},
    {"rejects", "FILE", "lines that can't be taken go here; without it they stop all"},
    {"batch", "NAME", "what it is counted with; the same name and --file submit no line twice"},
    {"direct", NULL, "keep it in Redis alone until it has run"},
    {"durable", NULL, "write it to Postgres first: it outlives the loss of Redis (the default)"},
    {"wait", "[=30s]", "wait for results; with --file: the longest time without any"},
    COMPLETION_FLAGS,
    {0},
};

const struct command command_submit = {
    .name = "submit",
    .usage = "--user U --op OP [--thread T] [--payload JSON|@FILE|-] [--id UUID]\n"
             "              [--direct|--durable] [--wait[=30s]] [--attempts N] [--backoff D]\n"
             "              [--backoff-max D] [--deadline D] [--on-failure block|park|halt]\n"
             "              [--delay D|--at TIME] [--expires D] [--priority CLASS] [--batch NAME]\n"
             "              [--unique-key KEY [--unique-for D] [--replace]]\n"
             "heddle submit --file FILE|- [--batch NAME] [--rejects FILE]\n"
             "              [--direct|--durable] [--wait[=30s]] " COMPLETION_USAGE,
    .summary = "submit an operation, or a file of them",
    .details =
        "Prints the id, or with --wait the result. A line of a file is a JSON object with\n"
        "user, op and where wanted thread, payload, id, attempts, backoff_ms,\n"
        "backoff_max_ms, deadline_ms, on_failure, delay_ms, at_ms, expires_ms, priority,\n"
        "batch, unique_key, unique_ms, replace. Lines without an id get one that derives\n"
        "from --batch and the line's number, so an interrupted run goes on where the same\n"
        "command is run again. At the end of the file --batch is closed (see heddle batch), and\n"
        "once all of it has ended, what --then-op says is submitted, exactly once. Counts go\n"
        "to stdout at the end.\n",
    .flags = flags,
    .loads_settings = true,
    .run = run,
};

/* Each form has its own flags. */
static bool fits_form(const struct arguments *arguments)
{
    static const char *const of_one[] = {
        "user",    "op",          "thread",     "payload",    "id",     "attempts",
        "backoff", "backoff-max", "deadline",   "on-failure", "delay",  "at",
        "expires", "priority",    "unique-key", "unique-for", "replace"};
    static const char *const of_file[] = {"rejects",     "then-op",      "then-user",
                                          "then-thread", "then-payload", "even-on-failure"};
    bool has_file = arguments_get(arguments, "file") != NULL;

    for (size_t i = 0; has_file && i < sizeof of_one / sizeof *of_one; i++)
        if (arguments_get(arguments, of_one[i])) {
            report_text(EXIT_USAGE, "--%s = %.60s: stands in the lines where --file is given",
                        of_one[i], arguments_get(arguments, of_one[i]));
            return false;
        }
    for (size_t i = 0; !has_file && i < sizeof of_file / sizeof *of_file; i++)
        if (arguments_get(arguments, of_file[i])) {
            report_text(EXIT_USAGE, "--%s = %.60s: allowed only with --file", of_file[i],
                        arguments_get(arguments, of_file[i]));
            return false;
        }
    if (!has_file && (!arguments_get(arguments, "user") || !arguments_get(arguments, "op"))) {
        report_text(EXIT_USAGE, "--user and --op, or --file, are needed; `heddle submit --help` "
                                "shows what is allowed");
        return false;
    }
    if (arguments_get(arguments, "direct") && arguments_get(arguments, "durable")) {
        report_text(EXIT_USAGE, "--direct and --durable: allowed is one of them");
        return false;
    }
    return true;
}

bool submit_is_durable(const struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;

    if (arguments_get(arguments, "direct") || arguments_get(arguments, "durable"))
        return arguments_get(arguments, "durable") != NULL;
    return invocation->options->durability == DURABILITY_DURABLE;
}

static enum exit_code submit_one(const struct invocation *invocation,
                                 const struct submission_rules *rules)
{
    const struct arguments *arguments = invocation->arguments;
    struct heddle_submission submission = {
        .user = text_of(arguments_get(arguments, "user")),
        .op = text_of(arguments_get(arguments, "op")),
        .thread = text_of(arguments_get(arguments, "thread")),
        .id = text_of(arguments_get(arguments, "id")),
        .reply = arguments_get(arguments, "wait") != NULL,
    };
    char *payload;
    struct heddle_error err;

    if (!input_payload(arguments, rules->payload_bytes_max, &payload, &submission.payload))
        return EXIT_USAGE;
    heddle_status status = input_options(arguments, &submission.policy, &submission.flow, &err);
    if (status == HEDDLE_OK)
        status = submission_check(&submission, rules, &err);
    /* No payload is fine; an empty one was forgotten by whoever made it. */
    if (status == HEDDLE_OK && payload)
        status = json_check_payload(submission.payload, &err);
    enum exit_code code =
        status == HEDDLE_OK ? send_one(invocation, &submission) : report(invocation, status, &err);
    free(payload);
    return code;
}

static enum exit_code send_one(const struct invocation *invocation,
                               const struct heddle_submission *submission)
{
    struct heddle_receipt receipt;
    struct heddle_error err;
    struct door door;

    heddle_status status =
        door_open(&door, invocation->options, submit_is_durable(invocation), &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    status = door_submit(&door, submission, 1, &receipt, &err);
    enum exit_code code = status != HEDDLE_OK ? report(invocation, status, &err)
                                              : finish_one(invocation, &door, submission, &receipt);
    door_close(&door);
    return code;
}

static enum exit_code finish_one(const struct invocation *invocation, struct door *door,
                                 const struct heddle_submission *submission,
                                 const struct heddle_receipt *receipt)
{
    if (receipt->status != HEDDLE_OK) {
        enum exit_code code = report(invocation, receipt->status, &receipt->error);
        /* An answer, so Redis is reached: it is full, or not ready. */
        return receipt->status == HEDDLE_RETRY ? EXIT_REFUSED : code;
    }
    if (submission->reply)
        return wait_one(invocation, door, submission, receipt);
    if (invocation->with_json)
        json_out(json_pack("{s:s, s:s}", "id", receipt->id, "state", receipt->state));
    else
        printf("%s\n", receipt->id);
    return EXIT_DONE;
}

static enum exit_code wait_one(const struct invocation *invocation, struct door *door,
                               const struct heddle_submission *submission,
                               const struct heddle_receipt *receipt)
{
    struct tracking tracking;
    struct tracked tracked;
    struct heddle_error err;
    int64_t timeout_ms = INPUT_WAIT_MS;

    (void)input_duration(invocation->arguments, "wait", &timeout_ms);
    tracking_init(&tracking, invocation->options, door->client);
    heddle_status status =
        tracking_await(&tracking, submission->user, receipt, timeout_ms, &tracked, &err);
    tracking_done(&tracking);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    if (!tracked.result)
        return report_text(EXIT_TIME, "%s: time ran out, its state is %s", receipt->id,
                           tracked.state);
    printf("%s\n", tracked.result);
    free(tracked.result);
    return strcmp(tracked.state, "done") == 0 ? EXIT_DONE : EXIT_ENDED_BADLY;
}
