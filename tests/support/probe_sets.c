/* Handlers of the probe whose operations go in sets; of these, some do what probe_crash and
 * probe_stick do (see the head of probe_handlers.c), the others are only recorded. And
 * probe_follow, which is recorded and enqueues a probe_record with its own n for the user that is
 * its `to`. */
#include "probe_handlers.h"

#include "heddle/client.h"

#include <string.h>

typedef heddle_status apply_function(struct heddle_task *task, struct heddle_uow *uow,
                                     struct heddle_error *err);

static heddle_status apply_all(struct heddle_task *const *tasks, size_t count,
                               apply_function *apply, struct heddle_uow *uow,
                               struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    probe_trace(tasks[0], "set", (int64_t)count);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
        status = apply(tasks[i], uow, err);
    return status;
}

/* Where it has a kind. */
static heddle_status crash(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    struct heddle_text kind;
    bool crashes;
    heddle_status status = heddle_payload_text(task, "kind", &kind, &crashes, err);

    if (status != HEDDLE_OK)
        return status;
    return crashes ? probe_crash(task, uow, err) : probe_record(task, uow, 0, err);
}

static heddle_status crash_many(struct heddle_task *const *tasks, size_t count,
                                struct heddle_uow *uow, struct heddle_error *err)
{
    return apply_all(tasks, count, crash, uow, err);
}

static heddle_status stick_many(struct heddle_task *const *tasks, size_t count,
                                struct heddle_uow *uow, struct heddle_error *err)
{
    return apply_all(tasks, count, probe_stick, uow, err);
}

static heddle_status follow(struct heddle_task *task, struct heddle_uow *uow,
                            struct heddle_error *err)
{
    struct heddle_submission next = {.op = {"probe_record", strlen("probe_record")},
                                     .payload = heddle_task_operation(task)->payload};
    bool found;
    heddle_status status = probe_record(task, uow, 0, err);

    if (status == HEDDLE_OK)
        status = heddle_payload_text(task, "to", &next.user, &found, err);
    return status == HEDDLE_OK ? heddle_task_enqueue(task, &next, NULL, err) : status;
}

const struct heddle_handler probe_crash_set = {
    .op = "probe_crash_set", .apply = crash, .apply_many = crash_many};
const struct heddle_handler probe_stick_set = {
    .op = "probe_stick_set", .apply = probe_stick, .apply_many = stick_many};
const struct heddle_handler probe_follow = {.op = "probe_follow", .apply = follow};
