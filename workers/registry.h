/* The operations that ship: what a processor is given to execute. */
#ifndef WORKERS_REGISTRY_H
#define WORKERS_REGISTRY_H

#include "heddle/operation.h"
#include "workers/options.h"

/* The handlers, NULL-terminated, in static storage. Thread-safe. */
const struct heddle_handler *const *workers_registry(void);

#endif
