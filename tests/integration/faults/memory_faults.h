/* Memory runs out as a test tells: the n-th allocation from now on, or it and all that follow. */
#ifndef MEMORY_FAULTS_H
#define MEMORY_FAULTS_H

#include <stdbool.h>

/* Counting starts anew; `nth` 0 lets none fail. */
void memory_faults_arm(long nth, bool stays);
void memory_faults_disarm(void);

bool memory_faults_happened(void);
long memory_faults_allocations(void); /* since it was armed */

/* The program or library whose allocation failed last, by its file's name. */
const char *memory_faults_library(void);

/* Blocks that are held; 0 where a sanitizer counts them itself. */
long memory_faults_live(void);

#endif
