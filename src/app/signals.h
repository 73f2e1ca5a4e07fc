/* Signals of `heddle run`: taken by the main thread alone, by waiting. */
#ifndef APP_SIGNALS_H
#define APP_SIGNALS_H

#include <stdint.h>

enum signal_wish {
    SIGNAL_NONE,
    SIGNAL_DRAIN, /* TERM, INT: finish what is claimed, then end */
    SIGNAL_STOP,  /* QUIT: end now */
};

/* Blocks the signals for this thread and all that it will start. Call it before
 * any thread exists. */
void signals_block(void);

/* Waits for the next of them; SIGNAL_NONE where the time passed first (-1: never). */
enum signal_wish signals_wait(int64_t timeout_ms);

/* From now on TERM, INT and QUIT end the process at once with `exit_code`. */
void signals_arm_stop(int exit_code);

#endif
