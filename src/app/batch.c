/* heddle batch show|list|close|cancel: operations that are counted together. */
#include "app/arguments.h"
#include "app/batch_view.h"
#include "app/command.h"
#include "app/completion.h"
#include "app/inputs.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/ops.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/submission.h"
#include "app/verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/admin.h"
#include "queue/batches.h"

enum {
    LIMIT = 100,
    LIMIT_MAX = 100000,
    LOOK_MS = 200,  /* between two looks, or */
    LOOK_SHARE = 9, /* times what one takes */
    NAME_BYTES_MAX = 200,
};

struct verb {
    const char *name;
    enum exit_code (*run)(const struct invocation *invocation, const struct batch_source *source);
    const char *const *flags; /* that it takes */
    bool is_of_all;           /* takes no NAME */
};

static enum exit_code show(const struct invocation *invocation, const struct batch_source *source);
static enum exit_code list(const struct invocation *invocation, const struct batch_source *source);
static enum exit_code close_one(const struct invocation *invocation,
                                const struct batch_source *source);
static enum exit_code cancel(const struct invocation *invocation,
                             const struct batch_source *source);
static bool fits_form(const struct arguments *arguments, const struct verb *verb);
static heddle_status open_source(const struct invocation *invocation, struct batch_source *source,
                                 struct heddle_error *err);
static enum exit_code follow(const struct invocation *invocation,
                             const struct batch_source *source);
static enum exit_code tell(const struct invocation *invocation, json_t *view);
static heddle_status is_known(const struct batch_source *source, const char *name, bool *known,
                              struct heddle_error *err);

static const struct flag flags[] = {
    {"wait", "[=30s]", "show: wait until it is complete, or the time ran out"},
    {"watch", NULL, "show: a line whenever something has changed, until it is complete"},
    {"limit", "N", "list: at most so many, the newest; default 100"},
    COMPLETION_FLAGS,
    {0},
};

static const struct verb verbs[] = {
    {"show", show, (const char *const[]){"wait", "watch", NULL}, false},
    {"list", list, (const char *const[]){"limit", NULL}, true},
    {"close", close_one,
     (const char *const[]){"then-op", "then-user", "then-thread", "then-payload", "even-on-failure",
                           NULL},
     false},
    {"cancel", cancel, (const char *const[]){NULL}, false},
};

static enum exit_code run(const struct invocation *invocation)
{
    const struct verb *verb = VERB_FIND(invocation, verbs);
    struct batch_source source = {0};
    struct heddle_error err;

    if (!verb || !fits_form(invocation->arguments, verb))
        return EXIT_USAGE;
    heddle_status status = open_source(invocation, &source, &err);
    enum exit_code code =
        status == HEDDLE_OK ? verb->run(invocation, &source) : report(invocation, status, &err);
    redis_free(source.queue);
    pg_free(source.ledger);
    return code;
}

const struct command command_batch = {
    .name = "batch",
    .usage = "show NAME [--wait[=30s]] [--watch]\n"
             "heddle batch list [--limit N]\n"
             "heddle batch close NAME " COMPLETION_USAGE "\n"
             "heddle batch cancel NAME",
    .summary = "count the operations of a batch, say what follows it, cancel it",
    .details =
        "A batch is there once an operation is submitted with its name. close says that\n"
        "nothing more comes (submit --file --batch does, at the end of the file); when all\n"
        "of it has ended it is complete, and what is to follow is submitted, exactly once:\n"
        "close prints the id that it will have. Where some of it is dead, retried with\n"
        "success it may follow yet. cancel closes it and cancels all that has not begun.\n"
        "show: exit 1 where nobody knows it, with --wait also where some of it is not done.\n"
        "From SQL: heddle.batch_close(…), heddle.batch_cancel(…), view heddle.batch_status.\n",
    .flags = flags,
    .words_max = 2,
    .loads_settings = true,
    .run = run,
};

static bool fits_form(const struct arguments *arguments, const struct verb *verb)
{
    const char *name = arguments_word(arguments, 1);
    size_t size = name ? strlen(name) : 0;

    for (const struct flag *flag = flags; flag->name; flag++) {
        const char *const *taken = verb->flags;
        while (*taken && strcmp(*taken, flag->name) != 0)
            taken++;
        if (!*taken && arguments_get(arguments, flag->name)) {
            report_text(EXIT_USAGE, "batch %s: takes no --%s", verb->name, flag->name);
            return false;
        }
    }
    if (verb->is_of_all ? !name : size >= 1 && size <= NAME_BYTES_MAX && text_is_utf8(name, size))
        return true;
    report_text(EXIT_USAGE,
                verb->is_of_all ? "batch %s: takes no NAME"
                                : "batch %s NAME: allowed are 1 to 200 bytes of UTF-8",
                verb->name);
    return false;
}

static heddle_status open_source(const struct invocation *invocation, struct batch_source *source,
                                 struct heddle_error *err)
{
    struct queue_facts facts;

    heddle_status status = links_postgres(invocation->options, &source->ledger, err);
    if (status == HEDDLE_OK)
        status = links_redis(invocation->options, &source->queue, err);
    if (status == HEDDLE_OK)
        status = queue_facts_get(source->queue, &facts, err);
    if (status == HEDDLE_OK)
        status = queue_facts_judge(&facts, err);
    if (status == HEDDLE_OK)
        source->partitions = facts.partitions;
    return status;
}

static enum exit_code show(const struct invocation *invocation, const struct batch_source *source)
{
    const struct arguments *arguments = invocation->arguments;
    struct heddle_error err;
    json_t *view;

    if (arguments_get(arguments, "wait") || arguments_get(arguments, "watch"))
        return follow(invocation, source);
    heddle_status status = batch_view_get(source, arguments_word(arguments, 1), &view, &err);
    return status == HEDDLE_OK ? tell(invocation, view) : report(invocation, status, &err);
}

/* Looks at it until it is complete. A look counts all of it, so a large one is looked at less. */
static enum exit_code follow(const struct invocation *invocation, const struct batch_source *source)
{
    const struct arguments *arguments = invocation->arguments;
    const bool is_watched = arguments_get(arguments, "watch") != NULL;
    int64_t wait_ms =
        is_watched && !arguments_get(arguments, "wait") ? INT64_MAX / 2 : INPUT_WAIT_MS;
    json_t *shown = NULL, *view = NULL;
    struct progress progress;
    struct heddle_error err;

    if (!input_duration(arguments, "wait", &wait_ms))
        return EXIT_USAGE;
    progress_start(&progress, 0);
    const int64_t deadline_ms = clock_now_ms() + wait_ms;
    for (bool is_last = false; !is_last;) {
        const int64_t begin_ms = clock_now_ms();
        json_decref(view);
        view = NULL;
        heddle_status status = batch_view_get(source, arguments_word(arguments, 1), &view, &err);
        if (status != HEDDLE_OK) {
            progress_hide(&progress);
            json_decref(shown);
            return report(invocation, status, &err);
        }
        const int64_t now_ms = clock_now_ms();
        is_last = strcmp(json_text(view, "state"), "complete") == 0 || now_ms >= deadline_ms;
        if (is_watched && !is_last && !json_equal(view, shown)) {
            tell(invocation, json_incref(view));
            fflush(stdout);
            json_decref(shown);
            shown = json_incref(view);
        }
        uint64_t ended = (uint64_t)batch_view_ended(view);
        progress.total = ended + (uint64_t)batch_view_left(view);
        if (!is_watched)
            progress_show(&progress, progress.total, ended);
        int64_t pause_ms = LOOK_SHARE * (now_ms - begin_ms) + LOOK_MS;
        if (!is_last)
            clock_sleep_ms(pause_ms < deadline_ms - now_ms ? pause_ms : deadline_ms - now_ms);
    }
    progress_hide(&progress);
    json_decref(shown);
    const bool is_complete = strcmp(json_text(view, "state"), "complete") == 0;
    const int64_t bad = batch_view_bad(view);
    enum exit_code code = tell(invocation, view);
    if (!is_complete)
        return report_text(EXIT_TIME, "time ran out, it is not complete");
    return code == EXIT_DONE && bad > 0 ? EXIT_ENDED_BADLY : code;
}

static enum exit_code list(const struct invocation *invocation, const struct batch_source *source)
{
    const char *text = arguments_get(invocation->arguments, "limit");
    long limit = LIMIT;
    char *end = NULL;
    json_t *views, *view;
    size_t index;
    struct heddle_error err;

    if (text)
        limit = strtol(text, &end, 10);
    if ((end && *end) || limit < 1 || limit > LIMIT_MAX)
        return report_text(EXIT_USAGE, "--limit = %.60s: allowed is 1 to %d", text, LIMIT_MAX);
    heddle_status status = batch_view_list(source, (int)limit, &views, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    json_array_foreach(views, index, view)
    {
        if (invocation->with_json)
            json_out(json_incref(view));
        else
            batch_view_print(view);
    }
    json_decref(views);
    return EXIT_DONE;
}

static enum exit_code close_one(const struct invocation *invocation,
                                const struct batch_source *source)
{
    const char *name = arguments_word(invocation->arguments, 1);
    struct ops ops;
    const struct submission_rules rules = {invocation->options->payload_bytes_max, &ops};
    struct batch_completion completion;
    char id[HEDDLE_ID_SIZE + 1];
    struct heddle_error err;
    bool known = false;

    ops_init(&ops);
    heddle_status status = ops_load(&ops, invocation->settings, invocation->options, &err);
    enum exit_code code = status == HEDDLE_OK ? completion_read(invocation, &rules, &completion)
                                              : report(invocation, status, &err);
    ops_done(&ops);
    if (code != EXIT_DONE)
        return code;
    status = is_known(source, name, &known, &err);
    if (status == HEDDLE_OK && known)
        status = batches_close(source->ledger, name, &completion, id, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    if (!known)
        return report_text(EXIT_ENDED_BADLY, "batch %.200s: nobody knows it", name);
    if (invocation->with_json)
        json_out(json_pack("{s:s, s:s, s:s*}", "name", name, "state", "closed", "completion_id",
                           *id ? id : NULL));
    else
        printf("%s\n", *id ? id : "closed");
    return EXIT_DONE;
}

/* Direct ones first: one of them that fails just now has its row by then. */
static enum exit_code cancel(const struct invocation *invocation, const struct batch_source *source)
{
    const char *name = arguments_word(invocation->arguments, 1);
    int64_t cancelled = 0;
    bool known = false;
    struct heddle_error err;
    int count = 1;

    heddle_status status = is_known(source, name, &known, &err);
    if (status == HEDDLE_OK && !known)
        return report_text(EXIT_ENDED_BADLY, "batch %.200s: nobody knows it", name);
    if (status == HEDDLE_OK)
        status = partition_batch_cancel(source->queue, source->partitions, name, &cancelled, &err);
    for (; status == HEDDLE_OK && count > 0; cancelled += count)
        status = batches_cancel(source->ledger, name, &count, &err);
    if (status != HEDDLE_OK) {
        enum exit_code code = report(invocation, status, &err);
        report_text(code, "%" PRId64 " operations are cancelled; the same command goes on",
                    cancelled);
        return code;
    }
    if (invocation->with_json)
        json_out(json_pack("{s:s, s:I}", "name", name, "cancelled", (json_int_t)cancelled));
    else
        printf("%" PRId64 " cancelled\n", cancelled);
    return EXIT_DONE;
}

/* Prints and releases it. */
static enum exit_code tell(const struct invocation *invocation, json_t *view)
{
    const bool is_unknown = batch_view_is_unknown(view);

    if (is_unknown)
        report_text(EXIT_ENDED_BADLY, "batch %.200s: nobody knows it", json_text(view, "name"));
    else if (!invocation->with_json)
        batch_view_print(view);
    if (!is_unknown && invocation->with_json)
        json_out(view);
    else
        json_decref(view);
    return is_unknown ? EXIT_ENDED_BADLY : EXIT_DONE;
}

static heddle_status is_known(const struct batch_source *source, const char *name, bool *known,
                              struct heddle_error *err)
{
    json_t *view;

    heddle_status status = batch_view_get(source, name, &view, err);
    if (status == HEDDLE_OK) {
        *known = !batch_view_is_unknown(view);
        json_decref(view);
    }
    return status;
}
