/* Signals of a processor of `heddle run`: taken by its main thread alone, by waiting. (The
 * supervisor has its own: engine/supervisor.c.) */
#ifndef APP_SIGNALS_H
#define APP_SIGNALS_H

#include <stdint.h>

enum signal_wish {
    SIGNAL_NONE,
    SIGNAL_DRAIN,  /* TERM, INT: finish what is begun, then end */
    SIGNAL_STOP,   /* QUIT: end now */
    SIGNAL_QUIET,  /* TSTP: begin nothing more, but live on */
    SIGNAL_RESUME, /* CONT: no longer quiet */
    SIGNAL_REPORT, /* TTIN: say what every worker does */
};

/* Blocks the signals for this thread and all that it will start. Call it before
 * any thread exists. */
void signals_block(void);

/* Waits for the next of them; SIGNAL_NONE where the time passed first (-1: never), or for one that
 * asks nothing of a processor (HUP). */
enum signal_wish signals_wait(int64_t timeout_ms);

/* From now on, until signals_block, QUIT calls `stop`, which must be async-signal-safe, and ends
 * the process with `exit_code` a second later, wherever it is. Others are ignored. */
void signals_arm_stop(void (*stop)(void *argument), void *argument, int exit_code);

#endif
