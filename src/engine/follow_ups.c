/* What operations enqueue while they are applied (heddle_task_enqueue), and what else is looked at
 * when apply is over. Follow-ups are kept in memory until the effects of the whole unit of work are
 * there, so that lane tails are taken last. Runs on a worker. */
#include "engine/task.h"

#include "heddle/client.h"
#include "ledger/journal.h"

#include <stdio.h>
#include <string.h>

struct follow_up {
    struct heddle_submission submission;
    struct follow_up *next;
};

static heddle_status judge(const struct follow_ups *follow_ups,
                           const struct heddle_submission *submission, struct heddle_error *err);
static void copy_texts(struct arena *arena, struct heddle_submission *submission);
static void copy_text(struct arena *arena, struct heddle_text *text);
static size_t size_of(const struct heddle_submission *submission);

void task_begin_apply(struct heddle_task *task, const struct heddle_handler *handler)
{
    task->result = NULL;
    task->follow_ups = (struct follow_ups){
        .is_open = (handler->flags & (HEDDLE_HANDLER_READ_ONLY | HEDDLE_HANDLER_NO_EFFECTS)) == 0};
}

heddle_status task_end_apply(struct heddle_task *task, heddle_status status,
                             int64_t result_bytes_max, struct heddle_error *err)
{
    struct follow_ups *follow_ups = &task->follow_ups;

    follow_ups->is_open = false;
    if (task->refusal)
        *follow_ups = (struct follow_ups){0};
    if (status != HEDDLE_OK || task->refusal)
        return status;
    if (follow_ups->failed != HEDDLE_OK) {
        *err = *follow_ups->error;
        return follow_ups->failed;
    }
    return task_check_result(task, result_bytes_max, err);
}

heddle_status task_check_result(const struct heddle_task *task, int64_t result_bytes_max,
                                struct heddle_error *err)
{
    const size_t most = (size_t)result_bytes_max;

    if (!task->result || result_bytes_max <= 0 || strnlen(task->result, most + 1) <= most)
        return HEDDLE_OK;
    return heddle_refuse(err, HEDDLE_KIND_TOO_LARGE,
                         "the result has %zu bytes, result_max allows %zu", strlen(task->result),
                         most);
}

heddle_status heddle_task_enqueue(struct heddle_task *task,
                                  const struct heddle_submission *submission,
                                  char id[HEDDLE_ID_SIZE + 1], struct heddle_error *err)
{
    struct follow_ups *follow_ups = &task->follow_ups;

    heddle_status status = judge(follow_ups, submission, err);
    if (status != HEDDLE_OK && follow_ups->failed == HEDDLE_OK) {
        struct heddle_error *error = arena_alloc(task->arena, sizeof *error);
        *error = *err;
        follow_ups->failed = status;
        follow_ups->error = error;
    }
    if (status != HEDDLE_OK)
        return status;

    struct follow_up *follow_up = arena_alloc(task->arena, sizeof *follow_up);
    *follow_up = (struct follow_up){.submission = *submission};
    copy_texts(task->arena, &follow_up->submission);
    if (follow_up->submission.id.size == 0) {
        char *fresh = arena_alloc(task->arena, HEDDLE_ID_SIZE + 1);
        heddle_uuid_new(fresh);
        follow_up->submission.id = (struct heddle_text){fresh, HEDDLE_ID_SIZE};
    }
    if (id)
        snprintf(id, HEDDLE_ID_SIZE + 1, "%s", follow_up->submission.id.data);
    if (follow_ups->last)
        follow_ups->last->next = follow_up;
    else
        follow_ups->first = follow_up;
    follow_ups->last = follow_up;
    follow_ups->count++;
    follow_ups->size += size_of(submission);
    return HEDDLE_OK;
}

heddle_status task_follow_up(struct heddle_task *const *tasks, size_t count, struct heddle_uow *uow,
                             struct arena *arena, struct heddle_error *err)
{
    size_t total = 0, n = 0;

    for (size_t i = 0; i < count; i++)
        total += tasks[i]->follow_ups.count;
    if (total == 0)
        return HEDDLE_OK;
    const struct heddle_submission **all = arena_alloc(arena, total * sizeof(*all));
    for (size_t i = 0; i < count; i++)
        for (const struct follow_up *f = tasks[i]->follow_ups.first; f; f = f->next)
            all[n++] = &f->submission;
    return journal_follow_up(uow, all, total, arena, err);
}

static heddle_status judge(const struct follow_ups *follow_ups,
                           const struct heddle_submission *submission, struct heddle_error *err)
{
    if (!follow_ups->is_open)
        return heddle_fail(err, HEDDLE_PERMANENT, "enqueue",
                           "only apply enqueues, and not that of a handler that only reads");
    if (follow_ups->count == HEDDLE_FOLLOW_UPS_MAX)
        return heddle_refuse(err, HEDDLE_KIND_TOO_LARGE, "an operation enqueues at most %d others",
                             HEDDLE_FOLLOW_UPS_MAX);
    if (follow_ups->size + size_of(submission) > HEDDLE_FOLLOW_UPS_SIZE_MAX)
        return heddle_refuse(err, HEDDLE_KIND_TOO_LARGE,
                             "what an operation enqueues has at most %d bytes",
                             HEDDLE_FOLLOW_UPS_SIZE_MAX);
    if (submission->id.size > 0 && !heddle_is_uuid(submission->id.data, submission->id.size))
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "follow-up: id must be a UUID");
    return HEDDLE_OK;
}

static void copy_texts(struct arena *arena, struct heddle_submission *submission)
{
    copy_text(arena, &submission->user);
    copy_text(arena, &submission->op);
    copy_text(arena, &submission->thread);
    copy_text(arena, &submission->payload);
    copy_text(arena, &submission->id);
    copy_text(arena, &submission->flow.batch);
    copy_text(arena, &submission->flow.unique_key);
}

static void copy_text(struct arena *arena, struct heddle_text *text)
{
    *text = arena_copy_text(arena, text->data ? text->data : "", text->size);
}

static size_t size_of(const struct heddle_submission *submission)
{
    return submission->user.size + submission->op.size + submission->thread.size +
           submission->payload.size;
}
