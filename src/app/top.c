/* heddle top: a view of the whole system, every second. */
#include "app/arguments.h"
#include "app/command.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/options.h"
#include "app/top_frame.h"
#include "app/top_screen.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "link/redis.h"
#include "queue/admin.h"

enum {
    EVERY_MS = 1000,
    WALK_MS = 50, /* through users, at each frame */
    WALK_ONCE_MS = 2000,
};

static heddle_status open_source(const struct invocation *invocation, struct redis_link **link,
                                 struct top_source *source, struct heddle_error *err);
static enum exit_code show_once(const struct invocation *invocation, struct top_source *source);
static void show_on(struct top_source *source);

static enum exit_code run(const struct invocation *invocation)
{
    struct redis_link *link = NULL;
    struct top_source source;
    struct heddle_error err;
    enum exit_code code = EXIT_DONE;

    setlocale(LC_CTYPE, "");
    heddle_status status = open_source(invocation, &link, &source, &err);
    if (status != HEDDLE_OK) {
        redis_free(link);
        return report(invocation, status, &err);
    }
    if (invocation->with_json || arguments_get(invocation->arguments, "once") ||
        !isatty(STDOUT_FILENO))
        code = show_once(invocation, &source);
    else
        show_on(&source);
    top_source_done(&source);
    redis_free(link);
    return code;
}

static const struct flag flags[] = {
    {"once", NULL, "print one view and end; as with --output json, or into a pipe"},
    {0},
};

const struct command command_top = {
    .name = "top",
    .usage = "[--once]",
    .summary = "watch rates, latency, lanes, users, workers and what each runs",
    .details =
        "A view of all processors, every second; q leaves. Rates and latency, from submission to\n"
        "end, are those of the last seconds. A processor is silent that beats and does not\n"
        "answer, late where it does not beat in time. With many users the table of the largest\n"
        "backlogs takes some rounds. On a dumb terminal views are printed one after the other.\n",
    .flags = flags,
    .loads_settings = true,
    .run = run,
};

static heddle_status open_source(const struct invocation *invocation, struct redis_link **link,
                                 struct top_source *source, struct heddle_error *err)
{
    struct queue_facts facts;

    heddle_status status = links_redis(invocation->options, link, err);
    if (status == HEDDLE_OK)
        status = queue_facts_get(*link, &facts, err);
    if (status == HEDDLE_OK)
        status = queue_facts_judge(&facts, err);
    if (status == HEDDLE_OK)
        top_source_init(source, *link, facts.partitions);
    return status;
}

static enum exit_code show_once(const struct invocation *invocation, struct top_source *source)
{
    struct top_view *view;
    struct heddle_error err;
    json_t *frame;

    heddle_status status = top_frame(source, WALK_ONCE_MS, &frame, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    if (invocation->with_json) {
        json_out(frame);
        return EXIT_DONE;
    }
    view = memory_take(sizeof *view);
    top_view(view, frame, "", TOP_COLUMNS_MAX, TOP_LINES_MAX);
    for (int i = 0; i < view->count; i++)
        puts(view->lines[i].text);
    free(view);
    json_decref(frame);
    return EXIT_DONE;
}

/* Until somebody leaves. A Redis that is away for a while is no reason to. */
static void show_on(struct top_source *source)
{
    struct top_view *view = memory_take(sizeof *view);
    enum top_wish wish = TOP_GO_ON;
    struct top_screen screen;
    json_t *frame = NULL;

    top_screen_open(&screen);
    for (int64_t next_ms = clock_now_ms(); wish != TOP_LEAVE;) {
        struct heddle_error err = {0};
        int columns, lines;
        if (wish == TOP_GO_ON) {
            json_t *fresh;
            next_ms = clock_now_ms() + EVERY_MS;
            if (top_frame(source, WALK_MS, &fresh, &err) == HEDDLE_OK) {
                json_decref(frame);
                frame = fresh;
            }
        }
        top_screen_size(&screen, &columns, &lines);
        top_view(view, frame, err.text, columns, lines);
        top_screen_show(&screen, view);
        wish = top_screen_wait(&screen, next_ms - clock_now_ms());
    }
    top_screen_close(&screen);
    json_decref(frame);
    free(view);
}
