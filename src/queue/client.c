/* The C client (heddle/client.h): submission; what comes of it is asked for in client_results.c.
 * Runs on the caller's thread. */
#include "queue/client_internal.h"

#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "link/redis.h"
#include "queue/command.h"
#include "queue/partitions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUP_COUNT_MAX = 256,     /* of heddle_submit_many */
    GROUP_BYTES_MAX = 4 << 20, /* so that no call holds Redis up for long */
    SCRATCH_KEEP_BYTES = 1 << 18,
};

/* Submissions of one partition that go in one call. */
struct group {
    unsigned partition;
    size_t first, count; /* in the order of partitions */
};

static void sort_by_partition(struct heddle_client *client,
                              const struct heddle_submission *submissions, size_t count,
                              struct heddle_receipt *receipts, size_t *order);
static size_t make_groups(const struct heddle_submission *submissions,
                          const struct heddle_receipt *receipts, const size_t *order, size_t count,
                          struct group *groups);
static heddle_status send_group(struct heddle_client *client, const struct group *group,
                                const struct heddle_submission *submissions, const size_t *order,
                                struct heddle_error *err);
static size_t count_options(const struct heddle_submission *submission);
static void append_options(struct command *command, const struct heddle_submission *submission);
static void append_option(struct command *command, const char *name, struct heddle_text value);
static heddle_status receive_group(struct heddle_client *client, const struct group *group,
                                   struct heddle_receipt *receipts, const size_t *order,
                                   struct heddle_error *err);
static void read_answer(const struct redis_reply *answer, struct heddle_receipt *receipt);

heddle_status heddle_client_new(const char *redis, int timeout_ms, struct heddle_client **client,
                                struct heddle_error *err)
{
    struct redis_link *link;

    heddle_status status = redis_new(redis, timeout_ms, &link, err);
    if (status != HEDDLE_OK)
        return status;
    *client = memory_take_zeroed(1, sizeof **client);
    (*client)->link = link;
    command_init(&(*client)->command);
    arena_init(&(*client)->scratch, SCRATCH_KEEP_BYTES);
    return HEDDLE_OK;
}

void heddle_client_free(struct heddle_client *client)
{
    if (!client)
        return;
    redis_free(client->link);
    command_done(&client->command);
    arena_done(&client->scratch);
    free(client);
}

heddle_status heddle_client_submit(struct heddle_client *client,
                                   const struct heddle_submission *submissions, size_t count,
                                   struct heddle_receipt *receipts, struct heddle_error *err)
{
    heddle_status status = client_learn_partitions(client, err);
    if (status != HEDDLE_OK)
        return status;

    size_t *order = arena_alloc(&client->scratch, count * sizeof *order);
    struct group *groups = arena_alloc(&client->scratch, count * sizeof *groups);
    sort_by_partition(client, submissions, count, receipts, order);
    size_t group_count = make_groups(submissions, receipts, order, count, groups);

    for (size_t i = 0; status == HEDDLE_OK && i < group_count; i++)
        status = send_group(client, &groups[i], submissions, order, err);
    for (size_t i = 0; status == HEDDLE_OK && i < group_count; i++)
        status = receive_group(client, &groups[i], receipts, order, err);
    if (status != HEDDLE_OK)
        redis_close(client->link);
    arena_reset(&client->scratch);
    return status;
}

heddle_status client_learn_partitions(struct heddle_client *client, struct heddle_error *err)
{
    if (client->partitions > 0)
        return HEDDLE_OK;
    heddle_status status = partitions_get(client->link, &client->partitions, err);
    if (status == HEDDLE_OK && client->partitions == 0)
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "Redis is not set up for Heddle: run `heddle migrate`");
    return status;
}

/* A counting sort, so that each partition's submissions keep their order. */
static void sort_by_partition(struct heddle_client *client,
                              const struct heddle_submission *submissions, size_t count,
                              struct heddle_receipt *receipts, size_t *order)
{
    const size_t starts_size = (client->partitions + 1) * sizeof(size_t);
    size_t *starts = memset(arena_alloc(&client->scratch, starts_size), 0, starts_size);

    for (size_t i = 0; i < count; i++) {
        receipts[i].partition = digest_partition(submissions[i].user, client->partitions);
        starts[receipts[i].partition + 1]++;
    }
    for (unsigned p = 0; p < client->partitions; p++)
        starts[p + 1] += starts[p];
    for (size_t i = 0; i < count; i++)
        order[starts[receipts[i].partition]++] = i;
}

static size_t make_groups(const struct heddle_submission *submissions,
                          const struct heddle_receipt *receipts, const size_t *order, size_t count,
                          struct group *groups)
{
    size_t group_count = 0, bytes = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned partition = receipts[order[i]].partition;
        struct group *last = group_count > 0 ? &groups[group_count - 1] : NULL;
        bytes += submissions[order[i]].payload.size;
        if (!last || last->partition != partition || last->count == GROUP_COUNT_MAX ||
            bytes > GROUP_BYTES_MAX) {
            groups[group_count++] = (struct group){partition, i, 1};
            bytes = submissions[order[i]].payload.size;
        } else {
            last->count++;
        }
    }
    return group_count;
}

static heddle_status send_group(struct heddle_client *client, const struct group *group,
                                const struct heddle_submission *submissions, const size_t *order,
                                struct heddle_error *err)
{
    struct command *command = &client->command;

    command_begin(command, group->count == 1 ? "heddle_submit" : "heddle_submit_many",
                  group->partition);
    for (size_t i = group->first; i < group->first + group->count; i++) {
        const struct heddle_submission *submission = &submissions[order[i]];
        command_text(command, submission->user);
        command_text(command, submission->op);
        command_text(command, submission->thread);
        command_text(command, submission->payload);
        if (group->count > 1)
            command_number(command, (int64_t)count_options(submission));
        append_options(command, submission);
    }
    return command_send(command, client->link, err);
}

static size_t count_options(const struct heddle_submission *submission)
{
    return (size_t)(submission->id.size > 0) + submission->reply + submission->is_journaled +
           (submission->attempts > 0) + (submission->submitted_us > 0) +
           command_options_count(&submission->policy, &submission->flow);
}

static void append_options(struct command *command, const struct heddle_submission *submission)
{
    if (submission->id.size > 0)
        append_option(command, "id", submission->id);
    if (submission->reply)
        append_option(command, "reply", TEXT("1"));
    if (submission->is_journaled)
        append_option(command, "journal", TEXT("1"));
    if (submission->attempts > 0) {
        command_string(command, "attempt");
        command_number(command, submission->attempts);
    }
    if (submission->submitted_us > 0) {
        command_string(command, "submitted_us");
        command_number(command, submission->submitted_us);
    }
    command_options(command, &submission->policy, &submission->flow);
}

static void append_option(struct command *command, const char *name, struct heddle_text value)
{
    command_string(command, name);
    command_text(command, value);
}

static heddle_status receive_group(struct heddle_client *client, const struct group *group,
                                   struct heddle_receipt *receipts, const size_t *order,
                                   struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = redis_next(client->link, 0, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    /* An error for the whole call, e.g. a full Redis, is an answer to each of its submissions. */
    bool is_error = redis_reply_type(reply) == REDIS_ERROR;
    for (size_t i = 0; i < group->count; i++)
        read_answer(is_error || group->count == 1 ? reply : redis_reply_at(reply, i),
                    &receipts[order[group->first + i]]);
    return HEDDLE_OK;
}

static void read_answer(const struct redis_reply *answer, struct heddle_receipt *receipt)
{
    receipt->id[0] = receipt->state[0] = '\0';
    receipt->status = redis_refusal(answer, &receipt->error);
    if (receipt->status != HEDDLE_OK)
        return;
    struct heddle_text id = redis_reply_text(redis_reply_at(answer, 0));
    struct heddle_text state = redis_reply_text(redis_reply_at(answer, 1));
    if (!heddle_is_uuid(id.data, id.size) || state.size >= sizeof receipt->state) {
        receipt->status = heddle_fail(&receipt->error, HEDDLE_PERMANENT, "redis",
                                      "unexpected answer to a submission");
        return;
    }
    memcpy(receipt->id, id.data, sizeof receipt->id);
    memcpy(receipt->state, state.data, state.size + 1);
}
