/* Handlers that leave traces, for tests of order, exclusion and failure. */
#ifndef SUPPORT_PROBE_HANDLERS_H
#define SUPPORT_PROBE_HANDLERS_H

#include "heddle/operation.h"

enum { PROBE_HANDLERS_MAX = 16 }; /* with the NULL that ends them */

/* NULL-terminated. */
extern const struct heddle_handler *const probe_handlers[];

/* What those of probe_sets.c have in common with the others. */
heddle_status probe_record(struct heddle_task *task, struct heddle_uow *uow, int64_t duration_ms,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status probe_crash(struct heddle_task *task, struct heddle_uow *uow,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status probe_stick(struct heddle_task *task, struct heddle_uow *uow,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;
void probe_trace(struct heddle_task *task, const char *phase, int64_t n);

extern const struct heddle_handler probe_crash_set, probe_stick_set, probe_follow;

#endif
