/* See completion.h. */
#include "app/completion.h"

#include "app/arguments.h"
#include "app/submission.h"

#include "base/json.h"
#include "base/text.h"
#include "heddle/client.h"

static const char *const names[] = {"then-op", "then-user", "then-thread", "then-payload",
                                    "even-on-failure"};

bool completion_is_said(const struct arguments *arguments)
{
    bool is_said = false;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        is_said = is_said || arguments_get(arguments, names[i]);
    return is_said;
}

enum exit_code completion_read(const struct invocation *invocation,
                               const struct submission_rules *rules,
                               struct batch_completion *completion)
{
    const struct arguments *arguments = invocation->arguments;
    struct heddle_error err;

    *completion = (struct batch_completion){
        .op = arguments_get(arguments, "then-op"),
        .user = arguments_get(arguments, "then-user"),
        .thread = arguments_get(arguments, "then-thread"),
        .payload = arguments_get(arguments, "then-payload"),
        .even_on_failure = arguments_get(arguments, "even-on-failure") != NULL,
    };
    if (!completion_is_said(arguments))
        return EXIT_DONE;
    if (!completion->op || !completion->user)
        return report_text(EXIT_USAGE, "--then-op and --then-user: both are needed where something "
                                       "is to follow the batch");
    const struct heddle_submission submission = {
        .user = text_of(completion->user),
        .op = text_of(completion->op),
        .thread = text_of(completion->thread),
        .payload = text_of(completion->payload),
    };
    heddle_status status = submission_check(&submission, rules, &err);
    if (status == HEDDLE_OK && completion->payload)
        status = json_check_payload(submission.payload, &err);
    return status == HEDDLE_OK ? EXIT_DONE : report(invocation, status, &err);
}
