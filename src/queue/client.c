/* The C client (heddle/client.h). Runs on the caller's thread. */
#include "heddle/client.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "link/redis.h"
#include "queue/command.h"
#include "queue/partitions.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUP_COUNT_MAX = 256,     /* of heddle_submit_many */
    GROUP_BYTES_MAX = 4 << 20, /* so that no call holds Redis up for long */
    AWAIT_WINDOW = 128,        /* waits in flight on the connection */
    AWAIT_SLACK_MS = 1000,     /* beyond Redis' own timeout */
    SCRATCH_KEEP_BYTES = 1 << 18,
};

struct heddle_client {
    struct redis_link *link;
    struct command command;
    struct arena scratch; /* of one call */
    unsigned partitions;  /* 0: not asked yet */
};

/* Submissions of one partition that go in one call. */
struct group {
    unsigned partition;
    size_t first, count; /* in the order of partitions */
};

static heddle_status learn_partitions(struct heddle_client *client, struct heddle_error *err);
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
static heddle_status send_wait(struct heddle_client *client, const struct heddle_receipt *receipt,
                               int64_t left_ms, struct heddle_error *err);
static heddle_status ask_partition(struct heddle_client *client, unsigned partition, const char *id,
                                   char state[16], char **result, struct heddle_error *err);
static heddle_status call_for_id(struct heddle_client *client, const char *function,
                                 unsigned partition, const char *id, struct redis_reply **reply,
                                 struct heddle_error *err);

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
    heddle_status status = learn_partitions(client, err);
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

heddle_status heddle_client_want(struct heddle_client *client, struct heddle_text user,
                                 const char *id, struct heddle_receipt *receipt,
                                 struct heddle_error *err)
{
    const struct heddle_submission submission = {.user = user, .id = text_of(id)};

    heddle_status status = heddle_client_want_many(client, &submission, 1, receipt, err);
    if (status == HEDDLE_OK && receipt->status != HEDDLE_OK)
        *err = receipt->error;
    return status == HEDDLE_OK ? receipt->status : status;
}

heddle_status heddle_client_want_many(struct heddle_client *client,
                                      const struct heddle_submission *submissions, size_t count,
                                      struct heddle_receipt *receipts, struct heddle_error *err)
{
    heddle_status status = learn_partitions(client, err);

    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        receipts[i].partition = digest_partition(submissions[i].user, client->partitions);
        command_begin(&client->command, "heddle_want", receipts[i].partition);
        command_text(&client->command, submissions[i].id);
        status = command_send(&client->command, client->link, err);
    }
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        AUTO_REPLY reply = NULL;
        status = redis_next(client->link, 0, &reply, err);
        receipts[i].status = redis_refusal(reply, &receipts[i].error);
        snprintf(receipts[i].state, sizeof receipts[i].state, "%s", redis_reply_text(reply).data);
        snprintf(receipts[i].id, sizeof receipts[i].id, "%s", submissions[i].id.data);
        for (char *c = receipts[i].id; *c; c++)
            *c = (char)tolower((unsigned char)*c);
    }
    if (status != HEDDLE_OK)
        redis_close(client->link);
    return status;
}

heddle_status heddle_client_unwant(struct heddle_client *client,
                                   const struct heddle_receipt *receipt, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;
    return call_for_id(client, "heddle_unwant", receipt->partition, receipt->id, &reply, err);
}

heddle_status heddle_client_await_many(struct heddle_client *client,
                                       const struct heddle_receipt *receipts, size_t count,
                                       int64_t timeout_ms, heddle_result_function *deliver,
                                       void *argument, size_t *next, struct heddle_error *err)
{
    const int64_t deadline_ms = clock_now_ms() + timeout_ms;
    heddle_status status = HEDDLE_OK;
    size_t sent = 0;

    for (*next = 0; status == HEDDLE_OK && *next < count; ++*next) {
        AUTO_REPLY reply = NULL;
        int64_t left_ms = deadline_ms - clock_now_ms();
        if (left_ms <= 0)
            break;
        if (sent == *next)
            for (; status == HEDDLE_OK && sent < count && sent < *next + AWAIT_WINDOW; sent++)
                status = send_wait(client, &receipts[sent], left_ms, err);
        if (status == HEDDLE_OK)
            status = redis_next(client->link, (int)(left_ms + AWAIT_SLACK_MS), &reply, err);
        if (status == HEDDLE_OK)
            status = redis_refusal(reply, err);
        if (status != HEDDLE_OK)
            break;
        struct heddle_text result = redis_reply_text(redis_reply_at(reply, 1));
        bool is_there = redis_reply_count(reply) == 2;
        deliver(argument, *next, is_there ? result.data : NULL, is_there ? result.size : 0);
    }
    if (status != HEDDLE_OK || sent > *next)
        redis_close(client->link); /* answers that nobody waits for any more */
    if (status != HEDDLE_OK)
        return status;
    for (; *next < count; ++*next)
        deliver(argument, *next, NULL, 0);
    return HEDDLE_OK;
}

heddle_status heddle_client_status(struct heddle_client *client, struct heddle_text user,
                                   const char *id, char state[16], char **result,
                                   struct heddle_error *err)
{
    heddle_status status = learn_partitions(client, err);
    unsigned own = client->partitions;

    if (status != HEDDLE_OK)
        return status;
    if (user.size > 0)
        return ask_partition(client, digest_partition(user, client->partitions), id, state, result,
                             err);
    /* An id of ours is a version 8 UUID and carries its partition: see lua/records.lua. */
    if (strlen(id) == HEDDLE_ID_SIZE && id[14] == '8') {
        char digits[4] = {id[20], id[21], id[22], '\0'};
        own = (unsigned)strtoul(digits, NULL, 16);
    }
    if (own < client->partitions) {
        status = ask_partition(client, own, id, state, result, err);
        if (status != HEDDLE_OK || strcmp(state, "unknown") != 0)
            return status;
    }
    for (unsigned p = 0; p < client->partitions; p++) {
        if (p == own)
            continue;
        status = ask_partition(client, p, id, state, result, err);
        if (status != HEDDLE_OK || strcmp(state, "unknown") != 0)
            return status;
    }
    return HEDDLE_OK;
}

static heddle_status learn_partitions(struct heddle_client *client, struct heddle_error *err)
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

static heddle_status send_wait(struct heddle_client *client, const struct heddle_receipt *receipt,
                               int64_t left_ms, struct heddle_error *err)
{
    char key[64], seconds[32];

    snprintf(key, sizeof key, "heddle:{%u}:reply:%s", receipt->partition, receipt->id);
    snprintf(seconds, sizeof seconds, "%lld.%03lld", (long long)(left_ms / 1000),
             (long long)(left_ms % 1000));
    const char *arguments[] = {"BLPOP", key, seconds};
    const size_t sizes[] = {5, strlen(key), strlen(seconds)};
    return redis_append(client->link, 3, arguments, sizes, err);
}

static heddle_status ask_partition(struct heddle_client *client, unsigned partition, const char *id,
                                   char state[16], char **result, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = call_for_id(client, "heddle_lookup", partition, id, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    snprintf(state, 16, "%s", redis_reply_text(redis_reply_at(reply, 0)).data);
    struct heddle_text text = redis_reply_text(redis_reply_at(reply, 1));
    /* The next partition may be asked for one that this one does not know. */
    bool has_result =
        redis_reply_type(redis_reply_at(reply, 1)) == REDIS_TEXT && strcmp(state, "unknown") != 0;
    *result = has_result ? memory_copy(text.data, text.size) : NULL;
    return HEDDLE_OK;
}

static heddle_status call_for_id(struct heddle_client *client, const char *function,
                                 unsigned partition, const char *id, struct redis_reply **reply,
                                 struct heddle_error *err)
{
    char key[32];

    snprintf(key, sizeof key, "heddle:{%u}", partition);
    return redis_callf(client->link, reply, err, "FCALL", function, "1", key, id, NULL);
}
