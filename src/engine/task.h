/* One execution of one operation (struct heddle_task), as the runner sees it. Confined to a worker.
 */
#ifndef ENGINE_TASK_H
#define ENGINE_TASK_H

#include "base/arena.h"
#include "heddle/operation.h"
#include "queue/claim.h"

struct heddle_hooks;
struct json_t;
struct pg_link;

/* What the operation enqueues: follow_ups.c. */
struct follow_ups {
    bool is_open; /* apply runs, and may enqueue */
    struct follow_up *first, *last;
    size_t count, size;
    heddle_status failed; /* the first that was refused, and why; HEDDLE_OK: none */
    const struct heddle_error *error;
};

struct heddle_task {
    const struct heddle_operation *operation;
    const struct claimed_operation *claimed; /* the same, with what is asked of it */
    const struct heddle_handler *handler;    /* NULL: nobody knows the op */
    const atomic_int *together; /* enum cancel_cause of the bundle that it is in; NULL: of none */
    struct claim *claim;        /* where events go */
    struct arena *arena;        /* the worker's; emptied after the operation */
    struct pg_link *link;       /* the worker's; for heddle_task_read */
    const struct heddle_hooks *const *hooks; /* set by hooks_start; NULL: none */
    void **started;                          /* what each of them gave */
    void *prepared;
    const char *result;           /* JSON; NULL: none */
    struct heddle_error *refusal; /* by apply_many; NULL: none */
    struct follow_ups follow_ups;
    struct json_t *payload; /* parsed at the first question; NULL before */
};

/* The handler stays the caller's to release. */
void task_init(struct heddle_task *task, struct claim *claim,
               const struct claimed_operation *claimed, const struct heddle_handler *handler,
               struct arena *arena, struct pg_link *link);
/* Checks and reads the payload. */
heddle_status task_check(struct heddle_task *task, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Around apply, each time it is called: forgets what an earlier one has left; afterwards fails
 * where the handler's success is none: a follow-up was refused, or the result is larger than it may
 * be. `status` is what apply returned. */
void task_begin_apply(struct heddle_task *task, const struct heddle_handler *handler);
heddle_status task_end_apply(struct heddle_task *task, heddle_status status,
                             int64_t result_bytes_max, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A result of prepare, where that is all. */
heddle_status task_check_result(const struct heddle_task *task, int64_t result_bytes_max,
                                struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Sends what the tasks, which are done, have enqueued: behind the effects of all of them. */
heddle_status task_follow_up(struct heddle_task *const *tasks, size_t count, struct heddle_uow *uow,
                             struct arena *arena, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Frees what is not the arena's; task_done empties the arena too. */
void task_forget(struct heddle_task *task);
void task_done(struct heddle_task *task);

#endif
