/* See top_screen.h. */
#include "app/top_screen.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curses.h>

#include "base/clock.h"

enum { COLUMNS_DEFAULT = 120, ESCAPE = 27 };

static enum top_wish read_key(struct top_screen *screen);
static enum top_wish read_line(struct top_screen *screen);

void top_screen_open(struct top_screen *screen)
{
    const char *terminal = getenv("TERM");

    *screen = (struct top_screen){.is_open = true};
    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || !terminal ||
        strcmp(terminal, "dumb") == 0)
        return;
    if (!newterm(NULL, stdout, stdin))
        return;
    screen->is_whole = true;
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    curs_set(0);
}

void top_screen_close(struct top_screen *screen)
{
    if (screen->is_whole)
        endwin();
    screen->is_whole = false;
}

void top_screen_size(const struct top_screen *screen, int *columns, int *lines)
{
    *columns = screen->is_whole ? COLS : COLUMNS_DEFAULT;
    *lines = screen->is_whole ? LINES : TOP_LINES_MAX;
}

void top_screen_show(const struct top_screen *screen, const struct top_view *view)
{
    static const attr_t attributes[] = {
        [TOP_PLAIN] = A_NORMAL, [TOP_STRONG] = A_BOLD, [TOP_HEAD] = A_REVERSE};

    if (!screen->is_whole) {
        for (int i = 0; i < view->count; i++)
            puts(view->lines[i].text);
        putchar('\n');
        fflush(stdout);
        return;
    }
    erase();
    for (int i = 0; i < view->count; i++) {
        attrset(attributes[view->lines[i].style]);
        mvaddstr(i, 0, view->lines[i].text);
    }
    attrset(A_NORMAL);
    refresh();
}

enum top_wish top_screen_wait(struct top_screen *screen, int64_t ms)
{
    const int64_t deadline_ms = clock_now_ms() + ms;
    enum top_wish wish = TOP_GO_ON;

    for (;;) {
        const int64_t left_ms = deadline_ms - clock_now_ms();
        struct pollfd key = {.fd = screen->is_open ? STDIN_FILENO : -1, .events = POLLIN};
        if (left_ms <= 0)
            return TOP_GO_ON;
        /* A changed size interrupts the wait, and is read as a key. */
        if (poll(&key, 1, (int)left_ms) == 0)
            return TOP_GO_ON;
        wish = screen->is_whole ? read_key(screen) : read_line(screen);
        if (wish != TOP_GO_ON)
            return wish;
        if (screen->is_whole && (key.revents & (POLLHUP | POLLERR | POLLNVAL)))
            return TOP_LEAVE;
    }
}

static enum top_wish read_key(struct top_screen *screen)
{
    (void)screen;
    for (int key; (key = getch()) != ERR;)
        switch (key) {
        case 'q':
        case 'Q':
        case ESCAPE:
            return TOP_LEAVE;
        case KEY_RESIZE:
            return TOP_RESIZE;
        }
    return TOP_GO_ON;
}

/* Where it ends, nobody presses a key any more: that is no wish. */
static enum top_wish read_line(struct top_screen *screen)
{
    char line[64];
    ssize_t size = read(STDIN_FILENO, line, sizeof line);

    if (size == 0)
        screen->is_open = false;
    return size > 0 && (line[0] == 'q' || line[0] == 'Q') ? TOP_LEAVE : TOP_GO_ON;
}
