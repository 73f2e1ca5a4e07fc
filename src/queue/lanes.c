/* See lanes.h. The functions that are called here stand in lua/. */
#include "queue/lanes.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "link/redis.h"
#include "queue/partitions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RELEASE_ROUNDS_MAX = 100000,
    FREED_MAX = 1000,      /* that a partition counts */
    OPERATIONS_MAX = 1000, /* of one lane that a claim takes */
};

static void append_request(struct command *command, const struct lanes_request *request);
static heddle_status read_claims(const struct redis_reply *reply, unsigned partition,
                                 const struct lanes_request *request, struct lanes_answer *answer,
                                 struct heddle_error *err);
static void append_settlement(struct command *command, const struct settlement *settlement);
static void append_id(struct command *command, const struct claimed_operation *claimed);
static void append_result(struct command *command, const struct claimed_operation *claimed);
static bool says_nothing(const struct claimed_operation *claimed);

static heddle_status everywhere(struct redis_link *link, struct command *command,
                                const char *function, unsigned partitions, const char *incarnation,
                                int64_t *sum, struct heddle_error *err);

heddle_status lanes_claim_send(struct redis_link *link, struct command *command, unsigned partition,
                               const struct lanes_request *request, struct heddle_error *err)
{
    command_begin(command, "heddle_claim", partition);
    append_request(command, request);
    return command_send(command, link, err);
}

heddle_status lanes_claim_receive(struct redis_link *link, unsigned partition,
                                  const struct lanes_request *request, struct lanes_answer *answer,
                                  struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = command_receive(link, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    answer->next_due_ms = redis_reply_integer(redis_reply_at(reply, 0));
    answer->halted = redis_reply_integer(redis_reply_at(reply, 1));
    answer->is_exhausted = redis_reply_integer(redis_reply_at(reply, 2)) == 1;
    return read_claims(reply, partition, request, answer, err);
}

heddle_status lanes_adopt(struct redis_link *link, struct command *command, unsigned partition,
                          const struct lanes_request *request, const char *const *reasons,
                          char cursor[COMMAND_CURSOR_SIZE], struct lanes_answer *answer,
                          struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    command_begin(command, "heddle_adopt", partition);
    append_request(command, request);
    command_string(command, cursor);
    for (; *reasons; reasons++)
        command_string(command, *reasons);
    heddle_status status = command_call_page(command, link, cursor, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    answer->next_due_ms = -1;
    answer->halted = 0;
    answer->is_exhausted = false;
    return read_claims(reply, partition, request, answer, err);
}

heddle_status lanes_settle_send(struct redis_link *link, struct command *command,
                                unsigned partition, const char *incarnation, int64_t result_ttl_ms,
                                const struct settlement *settlements, struct heddle_error *err)
{
    size_t results = 0, parked = 0;

    for (const struct settlement *s = settlements; s; s = s->next)
        for (size_t i = s->first; i < s->first + s->count; i++) {
            results += s->claim->operations[i].sends_result;
            parked += s->claim->operations[i].is_parked;
        }
    command_begin(command, "heddle_settle", partition);
    command_string(command, incarnation);
    command_number(command, result_ttl_ms);
    command_number(command, (int64_t)results);
    command_number(command, (int64_t)parked);
    for (const struct settlement *s = settlements; results > 0 && s; s = s->next)
        for (size_t i = s->first; i < s->first + s->count; i++)
            if (s->claim->operations[i].sends_result)
                append_result(command, &s->claim->operations[i]);
    for (const struct settlement *s = settlements; parked > 0 && s; s = s->next)
        for (size_t i = s->first; i < s->first + s->count; i++)
            if (s->claim->operations[i].is_parked)
                append_id(command, &s->claim->operations[i]);
    for (; settlements; settlements = settlements->next)
        append_settlement(command, settlements);
    return command_send(command, link, err);
}

heddle_status lanes_settle_receive(struct redis_link *link, lanes_wanted_function *wanted,
                                   void *argument, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = command_receive(link, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    const struct redis_reply *lost = redis_reply_at(reply, 0), *late = redis_reply_at(reply, 1);
    for (size_t i = 0; i < redis_reply_count(lost); i++)
        heddle_log(HEDDLE_LOG_WARNING, "claim_lost", "lane=%s",
                   LOG_TEXT(redis_reply_text(redis_reply_at(lost, i)).data));
    for (size_t i = 0; i < redis_reply_count(late); i++)
        wanted(argument, redis_reply_text(redis_reply_at(late, i)));
    return HEDDLE_OK;
}

heddle_status lanes_reply(struct redis_link *link, struct command *command, unsigned partition,
                          int64_t result_ttl_ms, struct heddle_text id, struct heddle_text result,
                          struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    command_begin(command, "heddle_reply", partition);
    command_number(command, result_ttl_ms);
    command_text(command, id);
    command_text(command, result);
    return command_call(command, link, &reply, err);
}

heddle_status lanes_beat(struct redis_link *link, struct command *command, unsigned partitions,
                         const char *incarnation, int64_t lease_ms, int *freed,
                         struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        command_begin(command, "heddle_beat", p);
        command_string(command, incarnation);
        command_number(command, lease_ms);
        status = command_send(command, link, err);
    }
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        AUTO_REPLY reply = NULL;
        status = command_receive(link, &reply, err);
        int64_t found = redis_reply_amount(redis_reply_at(reply, 0));
        *freed += found < FREED_MAX ? (int)found : FREED_MAX;
    }
    return status;
}

heddle_status lanes_release(struct redis_link *link, struct command *command, unsigned partitions,
                            const char *incarnation, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    int64_t left = 1;

    for (int round = 0; status == HEDDLE_OK && left > 0 && round < RELEASE_ROUNDS_MAX; round++)
        status = everywhere(link, command, "heddle_release", partitions, incarnation, &left, err);
    return status;
}

heddle_status lanes_decline(struct redis_link *link, struct command *command, unsigned partitions,
                            const char *incarnation, struct heddle_error *err)
{
    int64_t unused;

    return everywhere(link, command, "heddle_decline", partitions, incarnation, &unused, err);
}

heddle_status lanes_release_everywhere(struct redis_link *link, struct command *command,
                                       const char *incarnation, struct heddle_error *err)
{
    unsigned partitions = 0;

    heddle_status status = partitions_get(link, &partitions, err);
    if (status != HEDDLE_OK)
        return status;
    return lanes_release(link, command, partitions, incarnation, err);
}

heddle_status lanes_suspect(struct redis_link *link, struct command *command, unsigned partition,
                            const char *incarnation, const char *lane, const char *id,
                            int poison_crashes, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    command_begin(command, "heddle_suspect", partition);
    command_string(command, incarnation);
    command_string(command, lane);
    command_string(command, id);
    command_number(command, poison_crashes);
    return command_call(command, link, &reply, err);
}

heddle_status lanes_give_back(struct redis_link *link, struct command *command, unsigned partition,
                              const char *incarnation, char cursor[COMMAND_CURSOR_SIZE],
                              lanes_unknown_function *is_unknown, void *argument,
                              struct heddle_error *err)
{
    AUTO_REPLY page = NULL;
    AUTO_REPLY reply = NULL;
    bool is_any = false;

    command_begin(command, "heddle_holds", partition);
    command_string(command, incarnation);
    command_string(command, cursor);
    heddle_status status = command_call_page(command, link, cursor, &page, err);
    if (status != HEDDLE_OK)
        return status;
    command_begin(command, "heddle_give_back", partition);
    command_string(command, incarnation);
    for (size_t i = 1; i + 1 < redis_reply_count(page); i += 2) {
        struct heddle_text lane = redis_reply_text(redis_reply_at(page, i));
        int64_t seq = redis_reply_integer(redis_reply_at(page, i + 1));
        if (!is_unknown(argument, lane, (uint64_t)seq))
            continue;
        is_any = true;
        command_text(command, lane);
        command_number(command, seq);
    }
    if (!is_any)
        return HEDDLE_OK;
    status = command_call(command, link, &reply, err);
    /* The others were settled while their names were on the way. */
    for (size_t i = 0; status == HEDDLE_OK && i < redis_reply_count(reply); i++)
        heddle_log(HEDDLE_LOG_WARNING, "claim_given_back", "lane=%s",
                   LOG_TEXT(redis_reply_text(redis_reply_at(reply, i)).data));
    return status;
}

static void append_request(struct command *command, const struct lanes_request *request)
{
    command_string(command, request->incarnation);
    command_number(command, (int64_t)request->seq);
    command_number(command, request->lanes_max);
    command_number(command, request->operations_max);
    command_number(command, request->bytes_max);
    command_number(command, request->lease_ms);
}

static heddle_status read_claims(const struct redis_reply *reply, unsigned partition,
                                 const struct lanes_request *request, struct lanes_answer *answer,
                                 struct heddle_error *err)
{
    struct heddle_text records[OPERATIONS_MAX];
    size_t count;

    claim_list_init(&answer->claims);
    for (size_t i = 3; i + 2 < redis_reply_count(reply); i += 2 + count) {
        struct claim *claim;
        count = (size_t)redis_reply_amount(redis_reply_at(reply, i + 1));
        for (size_t n = 0; n < count && n < OPERATIONS_MAX; n++)
            records[n] = redis_reply_text(redis_reply_at(reply, i + 2 + n));
        heddle_status status =
            count == 0 || count > OPERATIONS_MAX
                ? heddle_fail(err, HEDDLE_FATAL, "redis", "unexpected answer to a claim")
                : claim_new(partition, request->seq, redis_reply_text(redis_reply_at(reply, i)),
                            records, count, &claim, err);
        if (status != HEDDLE_OK) {
            while ((claim = claim_list_pop(&answer->claims)))
                claim_free(claim);
            return status;
        }
        claim_list_push(&answer->claims, claim);
    }
    return HEDDLE_OK;
}

static void append_settlement(struct command *command, const struct settlement *settlement)
{
    const struct claim *claim = settlement->claim;
    const size_t last = settlement->first + settlement->count;
    char id[HEDDLE_ID_SIZE + 2] = "";

    if (last < claim->operation_count)
        snprintf(id, sizeof id, " %s", claim->operations[last].operation.id);
    command_text(command, claim->lane);
    command_number(command, (int64_t)claim->seq);
    switch (settlement->disposition) {
    case LANE_KEEP:
        command_text(command, TEXT("keep"));
        break;
    case LANE_RELEASE:
        command_text(command, TEXT("release"));
        break;
    case LANE_WAIT:
        command_format(command, "wait %" PRId64 "%s", settlement->wait_ms, id);
        break;
    case LANE_PAUSE:
    case LANE_GAP:
        command_format(command, "pause %" PRId64 "%s", settlement->wait_ms, id);
        break;
    case LANE_HALT:
        command_format(command, "halt %s%s", settlement->reason, id);
        break;
    }
    command_number(command, settlement->cost_us);
    command_number(command, (int64_t)settlement->count);
    for (size_t i = 0; i < settlement->count; i++)
        append_id(command, &claim->operations[settlement->first + i]);
}

static void append_id(struct command *command, const struct claimed_operation *claimed)
{
    command_text(command, (struct heddle_text){claimed->operation.id, HEDDLE_ID_SIZE});
}

/* The entry that lua/results.lua describes. */
static void append_result(struct command *command, const struct claimed_operation *claimed)
{
    const struct heddle_text result = says_nothing(claimed) ? TEXT("") : claimed->result;
    char *entry = arena_alloc(&command->numbers, 1 + DIGEST_BYTES_SIZE + result.size);

    entry[0] = (char)claimed->end;
    digest_bytes(claimed->content, (unsigned char *)entry + 1);
    memcpy(entry + 1 + DIGEST_BYTES_SIZE, result.data, result.size);
    append_id(command, claimed);
    command_text(command, (struct heddle_text){entry, 1 + DIGEST_BYTES_SIZE + result.size});
}

/* Done, without data. */
static bool says_nothing(const struct claimed_operation *claimed)
{
    static const char head[] = "{\"id\":\"",
                      tail[] = "\",\"state\":\"done\",\"code\":200,\"data\":null}";
    const size_t head_size = sizeof head - 1, tail_size = sizeof tail - 1;
    const struct heddle_text result = claimed->result;

    return result.size == head_size + HEDDLE_ID_SIZE + tail_size &&
           memcmp(result.data, head, head_size) == 0 &&
           memcmp(result.data + head_size, claimed->operation.id, HEDDLE_ID_SIZE) == 0 &&
           memcmp(result.data + head_size + HEDDLE_ID_SIZE, tail, tail_size) == 0;
}

/* Calls a function with the incarnation in every partition; the sum of the answers. */
static heddle_status everywhere(struct redis_link *link, struct command *command,
                                const char *function, unsigned partitions, const char *incarnation,
                                int64_t *sum, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    *sum = 0;
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        command_begin(command, function, p);
        command_string(command, incarnation);
        status = command_send(command, link, err);
    }
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        AUTO_REPLY reply = NULL;
        status = command_receive(link, &reply, err);
        *sum += redis_reply_amount(reply);
    }
    return status;
}
