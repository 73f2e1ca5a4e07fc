/* How a frame of `heddle top` looks: lines of text, for a screen or a pipe. Main thread. */
#ifndef APP_TOP_VIEW_H
#define APP_TOP_VIEW_H

#include <jansson.h>

enum { TOP_LINES_MAX = 500, TOP_COLUMNS_MAX = 500 };

enum top_style { TOP_PLAIN, TOP_STRONG, TOP_HEAD };

struct top_line {
    enum top_style style;
    char text[4 * TOP_COLUMNS_MAX + 1]; /* in the locale's encoding, printable */
};

struct top_view {
    int columns, lines_max; /* of the screen */
    int count;
    struct top_line lines[TOP_LINES_MAX];
};

/* Lays out a frame (NULL: there is none yet) and what is the matter with its source, if anything.
 * Never more than the screen has. */
void top_view(struct top_view *view, const json_t *frame, const char *trouble, int columns,
              int lines);

#endif
