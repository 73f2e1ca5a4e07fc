/* Heddle's version and the version of the interface between it and handlers. */
#ifndef HEDDLE_VERSION_H
#define HEDDLE_VERSION_H

#define HEDDLE_VERSION "0.1.0"

/* Raised whenever a structure or function that handlers use changes shape. */
#define HEDDLE_ABI 2

/* The version text of the running library. Thread-safe; the text is static. */
const char *heddle_version(void);

#endif
