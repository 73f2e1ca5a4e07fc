/* The terminal of `heddle top`: a whole screen where it has one, else line by line. Main thread. */
#ifndef APP_TOP_SCREEN_H
#define APP_TOP_SCREEN_H

#include "app/top_view.h"

#include <stdbool.h>
#include <stdint.h>

struct top_screen {
    bool is_whole; /* else it is a pipe, or a terminal that has no cursor to move */
    bool is_open;  /* somebody may press a key */
};

void top_screen_open(struct top_screen *screen);
/* The terminal is as it was. */
void top_screen_close(struct top_screen *screen);

void top_screen_size(const struct top_screen *screen, int *columns, int *lines);
void top_screen_show(const struct top_screen *screen, const struct top_view *view);

enum top_wish { TOP_GO_ON, TOP_RESIZE, TOP_LEAVE };

/* Waits for `ms`, or until somebody wants something. */
enum top_wish top_screen_wait(struct top_screen *screen, int64_t ms);

#endif
