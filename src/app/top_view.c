/* See top_view.h. */
#include "app/top_view.h"

#include "app/json_out.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "base/text.h"
#include "heddle/error.h"

enum { WIDTH_LEAST = 20 };

static struct top_line *begin_line(struct top_view *view, enum top_style style);
static void put_line(struct top_view *view, enum top_style style, const char *format, ...)
    HEDDLE_PRINTF(3, 4);
static void put_head(struct top_view *view, const json_t *frame);
static void put_processors(struct top_view *view, const json_t *processors, int most);
static void put_running(struct top_view *view, const json_t *running, int most);
static void put_users(struct top_view *view, const json_t *users, int64_t now_ms, int most);
static int busy_workers(const json_t *processor);
static size_t rows_of(const json_t *frame, const char *name);
static void make_fit(const char *from, char *to, size_t size, int columns);

void top_view(struct top_view *view, const json_t *frame, const char *trouble, int columns,
              int lines)
{
    view->count = 0;
    view->columns = columns < WIDTH_LEAST       ? WIDTH_LEAST
                    : columns > TOP_COLUMNS_MAX ? TOP_COLUMNS_MAX
                                                : columns;
    view->lines_max = lines > TOP_LINES_MAX ? TOP_LINES_MAX : lines;
    if (*trouble)
        put_line(view, TOP_STRONG, "%s", trouble);
    if (!frame)
        return;
    put_head(view, frame);
    /* Three tables with a blank line and a head each; what one does not need the next ones have. */
    int left = view->lines_max - view->count - 6;
    const int processors = (int)rows_of(frame, "processors"), quarter = left / 4;
    const int running = (int)rows_of(frame, "running");
    int part = processors < quarter ? processors : quarter > 1 ? quarter : 1;
    put_processors(view, json_object_get(frame, "processors"), part);
    left -= part;
    part = running < left / 2 ? running : left / 2;
    put_running(view, json_object_get(frame, "running"), part);
    put_users(view, json_object_get(frame, "users"), (int64_t)json_number(frame, "at_ms"),
              left - part);
}

static struct top_line *begin_line(struct top_view *view, enum top_style style)
{
    if (view->count >= view->lines_max)
        return NULL;
    struct top_line *line = &view->lines[view->count++];
    line->style = style;
    line->text[0] = '\0';
    return line;
}

static void put_line(struct top_view *view, enum top_style style, const char *format, ...)
{
    struct top_line *line = begin_line(view, style);
    char text[2 * TOP_COLUMNS_MAX];
    va_list arguments;

    if (!line)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    make_fit(text, line->text, sizeof line->text, view->columns);
}

static void put_head(struct top_view *view, const json_t *frame)
{
    const json_t *operations = json_object_get(frame, "operations");
    const json_t *latency = json_object_get(frame, "latency_ms");
    const json_t *lanes = json_object_get(frame, "lanes"), *processor;
    const time_t at = (time_t)(json_number(frame, "at_ms") / 1000);
    char clock[16] = "", p50[24], p99[24];
    const char *leader = "nobody";
    int silent = 0;
    struct tm tm;
    size_t i;

    json_array_foreach(json_object_get(frame, "processors"), i, processor)
    {
        silent += json_object_get(processor, "workers") == NULL;
        if (json_is_true(json_object_get(processor, "leads")))
            leader = json_text(processor, "incarnation");
    }
    if (localtime_r(&at, &tm))
        strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    put_line(view, TOP_STRONG, "heddle %s  processors %zu%s  relay %s", clock,
             rows_of(frame, "processors"), silent ? " (not all answer)" : "", leader);
    put_line(view, TOP_PLAIN,
             "done %.1f/s  failed %.1f/s  dead %.1f/s  cancelled %.1f/s  latency p50 %s  p99 %s",
             json_number(operations, "done"), json_number(operations, "failed"),
             json_number(operations, "dead"), json_number(operations, "cancelled"),
             text_in_words(json_number(latency, "p50"), p50),
             text_in_words(json_number(latency, "p99"), p99));
    put_line(view, TOP_PLAIN,
             "operations %.0f  lanes: ready %.0f  claimed %.0f  waiting %.0f  halted %.0f",
             json_number(frame, "queued"), json_number(lanes, "ready"),
             json_number(lanes, "claimed"), json_number(lanes, "waiting"),
             json_number(lanes, "halted"));
}

static void put_processors(struct top_view *view, const json_t *processors, int most)
{
    const json_t *processor;
    char p99[24];
    size_t i;

    put_line(view, TOP_PLAIN, "%s", "");
    put_line(view, TOP_HEAD, "%-8s %9s %7s %7s %9s %9s  %s", "STATE", "WORKERS", "CLAIMS",
             "WAITING", "DONE/S", "P99", "PROCESSOR");
    json_array_foreach(processors, i, processor)
    {
        const json_t *told = json_object_get(processor, "operations");
        const json_t *latency = json_object_get(processor, "latency_us");
        const size_t workers = json_array_size(json_object_get(processor, "workers"));
        const double seconds = json_number(told, "seconds");
        char busy[24];
        if ((int)i >= most)
            break;
        if (!told) {
            put_line(view, TOP_STRONG, "%-8s %9s %7s %7s %9s %9s  %s",
                     json_text(processor, "state"), "-", "-", "-", "-", "-",
                     json_text(processor, "incarnation"));
            continue;
        }
        snprintf(busy, sizeof busy, "%d/%zu", busy_workers(processor), workers);
        put_line(view, TOP_PLAIN, "%-8s %9s %7.0f %7.0f %9.1f %9s  %s",
                 json_text(processor, "state"), busy, json_number(processor, "claims"),
                 json_number(processor, "queued"),
                 seconds > 0 ? json_number(told, "done") / seconds : 0,
                 text_in_words(json_number(latency, "p99") / 1000, p99),
                 json_text(processor, "incarnation"));
    }
}

static void put_running(struct top_view *view, const json_t *running, int most)
{
    const json_t *row;
    char duration[24];
    size_t i;

    put_line(view, TOP_PLAIN, "%s", "");
    put_line(view, TOP_HEAD, "%9s %-12s %10s %-20s %s", "RUNS FOR", "PHASE", "OPERATIONS", "OP",
             "USER");
    json_array_foreach(running, i, row)
    {
        if ((int)i >= most)
            break;
        put_line(view, TOP_PLAIN, "%9s %-12s %10.0f %-20s %s",
                 text_in_words(json_number(row, "for_ms"), duration), json_text(row, "phase"),
                 json_number(row, "operations"), json_text(row, "op"), json_text(row, "user"));
    }
}

static void put_users(struct top_view *view, const json_t *users, int64_t now_ms, int most)
{
    const json_t *row;
    char age[24];
    size_t i;

    put_line(view, TOP_PLAIN, "%s", "");
    put_line(view, TOP_HEAD, "%9s %9s %-8s %s", "BACKLOG", "WAITS FOR", "STATE", "USER");
    json_array_foreach(users, i, row)
    {
        const double first_ms = json_number(row, "first_ms");
        if ((int)i >= most)
            break;
        put_line(view, TOP_PLAIN, "%9.0f %9s %-8s %s", json_number(row, "backlog"),
                 first_ms > 0 ? text_in_words((double)now_ms - first_ms, age) : "-",
                 json_text(row, "state"), json_text(row, "user"));
    }
}

static int busy_workers(const json_t *processor)
{
    const json_t *worker;
    int busy = 0;
    size_t i;

    json_array_foreach(json_object_get(processor, "workers"), i, worker) busy +=
        strcmp(json_text(worker, "state"), "busy") == 0;
    return busy;
}

static size_t rows_of(const json_t *frame, const char *name)
{
    return json_array_size(json_object_get(frame, name));
}

/* As much as has room, without what would move the cursor: names are anybody's. */
static void make_fit(const char *from, char *to, size_t size, int columns)
{
    mbstate_t state = {0};
    size_t used = 0, left = strlen(from);

    while (left > 0 && used + MB_LEN_MAX < size) {
        wchar_t letter;
        size_t read = mbrtowc(&letter, from, left, &state);
        bool is_letter = read != (size_t)-1 && read != (size_t)-2 && read != 0;
        int width = is_letter ? wcwidth(letter) : 1;
        if (!is_letter) {
            read = 1;
            state = (mbstate_t){0};
        }
        if (width < 0)
            width = 1, is_letter = false;
        if ((columns -= width) < 0)
            break;
        if (is_letter)
            memcpy(to + used, from, read);
        else
            to[used] = '?';
        used += is_letter ? read : 1;
        from += read;
        left -= read;
    }
    to[used] = '\0';
}
