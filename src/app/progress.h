/* A progress bar on stderr with rate and time left; nothing where stderr is no
 * terminal. */
#ifndef APP_PROGRESS_H
#define APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool is_shown;
    bool is_drawn;  /* a bar stands on the terminal's last line */
    uint64_t total; /* 0: not known */
    int64_t start_ms, drawn_ms;
};

void progress_start(struct progress *progress, uint64_t total);

/* Draws at most ten times a second. `sent` of the total are submitted and
 * `ended` have ended; without waiting `ended` equals `sent`. */
void progress_show(struct progress *progress, uint64_t sent, uint64_t ended);

/* Takes the bar away, so that a line can be printed. */
void progress_hide(struct progress *progress);

#endif
