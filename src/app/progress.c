/* A progress bar on stderr (progress.h). Runs on the main thread. */
#include "app/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

enum { REDRAW_MS = 100, WIDTH_DEFAULT = 80, BAR_MAX = 40, LINE_BYTES = 400 };

static int terminal_width(void);
static void write_bar(char *bar, size_t size, int room, uint64_t part, uint64_t total);
static void write_left(char *text, size_t size, int64_t left_s);

void progress_start(struct progress *progress, uint64_t total)
{
    const char *terminal = getenv("TERM");

    *progress = (struct progress){
        .is_shown = isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0,
        .total = total,
        .start_ms = clock_now_ms(),
    };
}

void progress_show(struct progress *progress, uint64_t sent, uint64_t ended)
{
    int64_t now_ms = clock_now_ms();
    char line[LINE_BYTES], bar[BAR_MAX + 4] = "", left[32] = "";

    if (!progress->is_shown || now_ms - progress->drawn_ms < REDRAW_MS)
        return;
    progress->drawn_ms = now_ms;
    progress->is_drawn = true;

    double seconds = (double)(now_ms - progress->start_ms) / 1000;
    double rate = seconds > 0 ? (double)ended / seconds : 0;
    int used;
    if (progress->total > 0) {
        if (rate > 0)
            write_left(left, sizeof left, (int64_t)((double)(progress->total - ended) / rate));
        used = snprintf(
            line, sizeof line, "%3d%% %" PRIu64 "/%" PRIu64 ", %" PRIu64 " in flight, %.0f/s%s",
            (int)(ended * 100 / progress->total), ended, progress->total, sent - ended, rate, left);
    } else {
        used = snprintf(line, sizeof line, "%" PRIu64 " ended, %" PRIu64 " in flight, %.0f/s",
                        ended, sent - ended, rate);
    }
    int width = terminal_width();
    write_bar(bar, sizeof bar, width - used - 2, ended, progress->total);
    /* One column stays free: some terminals wrap at the last. */
    fprintf(stderr, "\r\033[K%s%.*s", bar, width - 1 - (int)strlen(bar), line);
}

void progress_hide(struct progress *progress)
{
    if (progress->is_drawn)
        fputs("\r\033[K", stderr);
    progress->is_drawn = false;
    progress->drawn_ms = 0;
}

static int terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 10)
        return WIDTH_DEFAULT;
    return size.ws_col;
}

/* "[####....] ", or nothing where there is no room or no total. */
static void write_bar(char *bar, size_t size, int room, uint64_t part, uint64_t total)
{
    int cells = room - 3 < BAR_MAX ? room - 3 : BAR_MAX;

    if (cells < 8 || total == 0)
        return;
    int full = (int)((double)cells * (double)part / (double)total);
    int used = snprintf(bar, size, "[");
    for (int i = 0; i < cells; i++)
        bar[used++] = i < full ? '#' : '.';
    snprintf(bar + used, size - (size_t)used, "] ");
}

static void write_left(char *text, size_t size, int64_t left_s)
{
    if (left_s >= 3600)
        snprintf(text, size, ", %" PRId64 ":%02d:%02d left", left_s / 3600, (int)(left_s / 60 % 60),
                 (int)(left_s % 60));
    else
        snprintf(text, size, ", %d:%02d left", (int)(left_s / 60), (int)(left_s % 60));
}
