/* Named points at which a build for tests can end the process (tests/chaos/fault_point.c); nothing
 * in all others. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#ifdef HEDDLE_FAULT_POINTS
void fault_point(const char *name);
#else
#define fault_point(name) ((void)0)
#endif

#endif
