/* heddle why ID|--user U: why it does not run now, and what would release it. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/inputs.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/users.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "engine/why.h"
#include "link/pg.h"
#include "link/redis.h"

static bool read_question(const struct arguments *arguments, struct why_question *question,
                          char id[HEDDLE_ID_SIZE + 1]);
static void print(const json_t *answer);
static void print_text(const char *head, const json_t *answer, const char *name);

static enum exit_code run(const struct invocation *invocation)
{
    struct why_sources sources = {0};
    struct why_question question;
    char id[HEDDLE_ID_SIZE + 1];
    struct heddle_error err;
    json_t *answer = NULL;

    if (!read_question(invocation->arguments, &question, id))
        return EXIT_USAGE;
    heddle_status status = users_open_queue(invocation, &sources.queue, &sources.partitions, &err);
    if (status == HEDDLE_OK)
        status = links_postgres(invocation->options, &sources.ledger, &err);
    if (status == HEDDLE_OK)
        status = why_ask(&sources, &question, &answer, &err);
    redis_free(sources.queue);
    pg_free(sources.ledger);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    const bool is_unknown = strcmp(json_text(answer, "reason"), "unknown") == 0;
    if (invocation->with_json)
        json_out(json_incref(answer));
    else
        print(answer);
    json_decref(answer);
    return is_unknown ? EXIT_ENDED_BADLY : EXIT_DONE;
}

static const struct flag flags[] = {
    {"user", "U",
     "the operation's user, where known: spares asking every partition; without ID: "
     "what comes next of this user's"},
    {0},
};

const struct command command_why = {
    .name = "why",
    .usage = "ID [--user U]\n"
             "heddle why --user U",
    .summary = "tell why an operation does not run now, and what would release it",
    .details =
        "Asks the queue, the ledger and the processors. The reason is one word:\n"
        "  running claimed turn behind retry outage paused rate busy scheduled parked halted\n"
        "  unknown_op suspect silent unserved uncontrolled relay missing lost cancelled expired "
        "ended\n"
        "  unknown, and idle of a user of whom nothing is queued. Exit 1 where nobody knows the "
        "id.\n",
    .flags = flags,
    .words_max = 1,
    .loads_settings = true,
    .run = run,
};

static bool read_question(const struct arguments *arguments, struct why_question *question,
                          char id[HEDDLE_ID_SIZE + 1])
{
    const char *word = arguments_word(arguments, 0), *user = arguments_get(arguments, "user");

    *question = (struct why_question){.user = text_of(user)};
    if (user && (!*user || question->user.size > HEDDLE_USER_SIZE_MAX ||
                 !text_is_utf8(user, question->user.size))) {
        report_text(EXIT_USAGE, "--user: allowed are 1 to %d bytes of UTF-8", HEDDLE_USER_SIZE_MAX);
        return false;
    }
    if (!word && !user) {
        report_text(EXIT_USAGE, "why: say ID or --user");
        return false;
    }
    if (!word)
        return true;
    question->id = id;
    return input_id(word, id);
}

/* What waits, why, and, where another one comes first, what for that. */
static void print(const json_t *answer)
{
    const json_t *id = json_object_get(answer, "id");

    print_text(id ? "operation" : "user", answer, id ? "id" : "user");
    print_text("state", answer, "state");
    print_text("reason", answer, "reason");
    print_text("detail", answer, "detail");
    print_text("release", answer, "release");
}

/* Names are anybody's. */
static void print_text(const char *head, const json_t *answer, const char *name)
{
    char text[2000];

    snprintf(text, sizeof text, "%s", json_text(answer, name));
    text_make_line(text);
    printf("%-10s %s\n", head, text);
}
