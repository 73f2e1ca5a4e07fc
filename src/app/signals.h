/* Signals of `heddle run`: taken by the main thread alone, by waiting. */
#ifndef APP_SIGNALS_H
#define APP_SIGNALS_H

enum signal_wish {
    SIGNAL_DRAIN, /* TERM, INT: finish what is claimed, then end */
    SIGNAL_STOP,  /* QUIT: end now */
};

/* Blocks the signals for this thread and all that it will start. Call it before
 * any thread exists. */
void signals_block(void);

/* Waits for the next of them. */
enum signal_wish signals_wait(void);

/* From now on TERM, INT and QUIT end the process at once with `exit_code`. */
void signals_arm_stop(int exit_code);

#endif
