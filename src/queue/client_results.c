/* What becomes of operations (heddle/client.h): replies that are wanted and waited for, and what
 * Redis knows of one. Runs on the caller's thread. */
#include "queue/client_internal.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "link/redis.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AWAIT_WINDOW = 128,    /* waits in flight on the connection */
    AWAIT_SLACK_MS = 1000, /* beyond Redis' own timeout */
};

static heddle_status want_somewhere(struct heddle_client *client, const char *id,
                                    struct heddle_receipt *receipt, struct heddle_error *err);
static heddle_status send_want(struct heddle_client *client, unsigned partition,
                               struct heddle_text id, struct heddle_error *err);
static heddle_status receive_want(struct heddle_client *client, const char *id,
                                  struct heddle_receipt *receipt, struct heddle_error *err);
static heddle_status find(struct heddle_client *client, const char *id, unsigned *partition,
                          char state[16], char **result, struct heddle_error *err);
static heddle_status send_wait(struct heddle_client *client, const struct heddle_receipt *receipt,
                               int64_t left_ms, struct heddle_error *err);
static heddle_status ask_partition(struct heddle_client *client, unsigned partition, const char *id,
                                   char state[16], char **result, struct heddle_error *err);
static heddle_status call_for_id(struct heddle_client *client, const char *function,
                                 unsigned partition, const char *id, struct redis_reply **reply,
                                 struct heddle_error *err);

heddle_status heddle_client_want(struct heddle_client *client, struct heddle_text user,
                                 const char *id, struct heddle_receipt *receipt,
                                 struct heddle_error *err)
{
    const struct heddle_submission submission = {.user = user, .id = text_of(id)};

    heddle_status status = user.size > 0
                               ? heddle_client_want_many(client, &submission, 1, receipt, err)
                               : want_somewhere(client, id, receipt, err);
    if (status == HEDDLE_OK && receipt->status != HEDDLE_OK)
        *err = receipt->error;
    return status == HEDDLE_OK ? receipt->status : status;
}

heddle_status heddle_client_want_many(struct heddle_client *client,
                                      const struct heddle_submission *submissions, size_t count,
                                      struct heddle_receipt *receipts, struct heddle_error *err)
{
    heddle_status status = client_learn_partitions(client, err);

    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        receipts[i].partition = digest_partition(submissions[i].user, client->partitions);
        status = send_want(client, receipts[i].partition, submissions[i].id, err);
    }
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
        status = receive_want(client, submissions[i].id.data, &receipts[i], err);
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
    unsigned partition;
    heddle_status status = client_learn_partitions(client, err);

    if (status != HEDDLE_OK)
        return status;
    if (user.size > 0)
        return ask_partition(client, digest_partition(user, client->partitions), id, state, result,
                             err);
    return find(client, id, &partition, state, result, err);
}

static heddle_status want_somewhere(struct heddle_client *client, const char *id,
                                    struct heddle_receipt *receipt, struct heddle_error *err)
{
    char state[16], *result = NULL;

    heddle_status status = client_learn_partitions(client, err);
    if (status == HEDDLE_OK)
        status = find(client, id, &receipt->partition, state, &result, err);
    free(result);
    if (status == HEDDLE_OK && strcmp(state, "unknown") == 0) {
        receipt->status =
            heddle_refuse(&receipt->error, HEDDLE_KIND_NOT_FOUND, "Redis does not have it");
        return HEDDLE_OK;
    }
    if (status == HEDDLE_OK)
        status = send_want(client, receipt->partition, text_of(id), err);
    return status == HEDDLE_OK ? receive_want(client, id, receipt, err) : status;
}

static heddle_status send_want(struct heddle_client *client, unsigned partition,
                               struct heddle_text id, struct heddle_error *err)
{
    command_begin(&client->command, "heddle_want", partition);
    command_text(&client->command, id);
    return command_send(&client->command, client->link, err);
}

static heddle_status receive_want(struct heddle_client *client, const char *id,
                                  struct heddle_receipt *receipt, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = redis_next(client->link, 0, &reply, err);
    receipt->status = redis_refusal(reply, &receipt->error);
    snprintf(receipt->state, sizeof receipt->state, "%s", redis_reply_text(reply).data);
    snprintf(receipt->id, sizeof receipt->id, "%s", id);
    for (char *c = receipt->id; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return status;
}

/* Asks the id's own partition, then all others, up to one that knows it. */
static heddle_status find(struct heddle_client *client, const char *id, unsigned *partition,
                          char state[16], char **result, struct heddle_error *err)
{
    unsigned own = client->partitions;
    heddle_status status = HEDDLE_OK;

    /* An id of ours is a version 8 UUID and carries its partition: see lua/records.lua. */
    if (strlen(id) == HEDDLE_ID_SIZE && id[14] == '8') {
        char digits[4] = {id[20], id[21], id[22], '\0'};
        own = (unsigned)strtoul(digits, NULL, 16);
    }
    if (own < client->partitions) {
        *partition = own;
        status = ask_partition(client, own, id, state, result, err);
        if (status != HEDDLE_OK || strcmp(state, "unknown") != 0)
            return status;
    }
    for (unsigned p = 0; p < client->partitions; p++) {
        if (p == own)
            continue;
        *partition = p;
        status = ask_partition(client, p, id, state, result, err);
        if (status != HEDDLE_OK || strcmp(state, "unknown") != 0)
            return status;
    }
    return HEDDLE_OK;
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
