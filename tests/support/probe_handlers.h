/* Handlers that leave traces, for tests of order, exclusion and failure. */
#ifndef SUPPORT_PROBE_HANDLERS_H
#define SUPPORT_PROBE_HANDLERS_H

#include "heddle/operation.h"

enum { PROBE_HANDLERS_MAX = 16 }; /* with the NULL that ends them */

/* NULL-terminated. */
extern const struct heddle_handler *const probe_handlers[];

#endif
