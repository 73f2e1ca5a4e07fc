/* What the processors of the tests share: their life, alone or below a supervisor. Signals and exit
 * codes are those of `heddle run`. */
#ifndef PROBE_LIFE_H
#define PROBE_LIFE_H

#include "engine/processor.h"

/* For what no test says otherwise. */
extern const struct processor_options probe_options;

/* Runs one processor, or with `processes` > 0 a supervisor and so many of them; returns the exit
 * code. On the main thread. */
int probe_live(const struct processor_options *options, int processes);

#endif
