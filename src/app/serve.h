/* The life of a processor that has started: it obeys signals until one ends it. */
#ifndef APP_SERVE_H
#define APP_SERVE_H

#include "app/command.h"

#include <stdbool.h>

struct processor;

/* On the main thread of the process. A quarantine also ends when no suspect is left. The processor
 * is drained and freed; where it could not finish what it had begun, or was told to end at once,
 * returns EXIT_TIME or ends the process with it. */
enum exit_code serve(struct processor *processor, bool is_quarantine);

#endif
