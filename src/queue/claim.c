/* Claims and the records they are read from. The layout of a record stands in lua/library.lua. */
#include "queue/claim.h"

#include "base/clock.h"
#include "base/text.h"
#include "queue/strands.h"

#include <stdlib.h>
#include <string.h>

enum {
    RECORD_VERSION = 1,
    RECORD_HEADER_SIZE = 24,
    RECORD_FLAG_REPLY = 1,
    RECORD_FLAG_JOURNAL = 2,
    RECORD_FLAG_POISON = 4,
    RECORD_FLAG_CANCELLED = 8,
    RECORD_FLAG_POLICY = 16,
    RECORD_FLAG_FLOW = 64,
    RECORD_POLICY_SIZE = 15,
    RECORD_FLOW_SIZE = 11, /* and the batch with its NUL */
    RESULTS_KEEP_BYTES = 0,
};

/* What the header of a record says. */
struct record_header {
    bool wants_reply, is_journaled, is_poisoned, is_cancelled, has_policy, has_flow;
    size_t user_size, op_size, thread_size, trace_size, payload_size, batch_size, size;
    int attempts;
    int64_t submitted_us;
};

static bool read_header(const char *data, size_t size, struct record_header *header);
static bool read_operation(const char *data, const struct record_header *header,
                           struct claimed_operation *claimed);
static struct heddle_text next_text(const char **cursor, size_t size);
static bool read_policy(const char *data, struct heddle_policy *policy);
static bool read_flow(const char *data, size_t batch_size, struct heddle_flow *flow);
static bool is_string(struct heddle_text text);
static uint64_t big_endian(const char *data, size_t size);

heddle_status claim_new(unsigned partition, uint64_t seq, struct heddle_text lane,
                        const struct heddle_text *pieces, size_t piece_count, struct claim **claim,
                        struct heddle_error *err)
{
    struct record_header header;
    size_t count = 0, records_size = 0;

    for (size_t p = 0; p < piece_count; p++) {
        records_size += pieces[p].size;
        for (size_t at = 0; at < pieces[p].size; at += header.size, count++) {
            struct claimed_operation ignored;
            if (!read_header(pieces[p].data + at, pieces[p].size - at, &header) ||
                !read_operation(pieces[p].data + at, &header, &ignored))
                return heddle_fail(err, HEDDLE_FATAL, "claim",
                                   "operation record of an unknown version in partition %u",
                                   partition);
        }
    }

    /* One piece of memory: the claim, its operations, the lane's name, the records. */
    size_t head_size = sizeof(struct claim) + count * sizeof(struct claimed_operation);
    struct claim *fresh = memory_take(head_size + lane.size + 1 + records_size + 1);
    char *name = (char *)fresh + head_size;
    char *data = name + lane.size + 1;

    memset(fresh, 0, head_size);
    memcpy(name, lane.data, lane.size);
    name[lane.size] = '\0';
    for (size_t p = 0, at = 0; p < piece_count; at += pieces[p++].size)
        memcpy(data + at, pieces[p].data, pieces[p].size);
    fresh->partition = partition;
    fresh->seq = seq;
    fresh->lane = (struct heddle_text){name, lane.size};
    fresh->operation_count = count;
    fresh->operations = (struct claimed_operation *)(fresh + 1);
    arena_init(&fresh->arena, RESULTS_KEEP_BYTES);
    for (size_t i = 0; i < count; i++) {
        if (!read_header(data, records_size, &header) ||
            !read_operation(data, &header, &fresh->operations[i]))
            abort();
        data += header.size;
    }
    *claim = fresh;
    return HEDDLE_OK;
}

void claim_free(struct claim *claim)
{
    if (!claim)
        return;
    strands_free(claim);
    arena_done(&claim->arena);
    free(claim);
}

void claimed_cancel(struct claimed_operation *claimed, enum cancel_cause cause)
{
    int before = atomic_load(&claimed->cancel);

    while (before < (int)cause &&
           !atomic_compare_exchange_weak(&claimed->cancel, &before, (int)cause))
        ;
}

enum cancel_cause claimed_cancel_cause(const struct claimed_operation *claimed)
{
    return (enum cancel_cause)atomic_load(&claimed->cancel);
}

bool claimed_has_expired(const struct claimed_operation *claimed)
{
    const struct heddle_operation *operation = &claimed->operation;

    return operation->flow.expires_ms > 0 && operation->attempt == 1 &&
           clock_wall_us() - operation->submitted_us > operation->flow.expires_ms * 1000;
}

void claim_list_init(struct claim_list *list)
{
    list->first = NULL;
    list->last = &list->first;
    list->count = 0;
}

void claim_list_push(struct claim_list *list, struct claim *claim)
{
    claim->next = NULL;
    *list->last = claim;
    list->last = &claim->next;
    list->count++;
}

void claim_list_push_front(struct claim_list *list, struct claim *claim)
{
    claim->next = list->first;
    if (!list->first)
        list->last = &claim->next;
    list->first = claim;
    list->count++;
}

struct claim *claim_list_pop(struct claim_list *list)
{
    struct claim *claim = list->first;

    if (!claim)
        return NULL;
    list->first = claim->next;
    if (!list->first)
        list->last = &list->first;
    list->count--;
    return claim;
}

static bool read_header(const char *data, size_t size, struct record_header *header)
{
    if (size < RECORD_HEADER_SIZE || data[0] != RECORD_VERSION)
        return false;
    *header = (struct record_header){
        .wants_reply = data[1] & RECORD_FLAG_REPLY,
        .is_journaled = data[1] & RECORD_FLAG_JOURNAL,
        .is_poisoned = data[1] & RECORD_FLAG_POISON,
        .is_cancelled = data[1] & RECORD_FLAG_CANCELLED,
        .has_policy = data[1] & RECORD_FLAG_POLICY,
        .has_flow = data[1] & RECORD_FLAG_FLOW,
        .user_size = big_endian(data + 2, 2),
        .op_size = big_endian(data + 4, 1),
        .thread_size = big_endian(data + 5, 1),
        .trace_size = big_endian(data + 6, 2),
        .attempts = (int)big_endian(data + 8, 2),
        .payload_size = big_endian(data + 12, 4),
        .submitted_us = (int64_t)big_endian(data + 16, 8),
    };
    header->size = RECORD_HEADER_SIZE + HEDDLE_ID_SIZE + header->user_size + header->op_size +
                   header->thread_size + header->payload_size + header->trace_size + 6 +
                   (header->has_policy ? RECORD_POLICY_SIZE : 0);
    if (header->has_flow) {
        header->size += RECORD_FLOW_SIZE;
        if (header->size > size)
            return false;
        header->batch_size = big_endian(data + header->size - 2, 2);
        header->size += header->batch_size + 1;
    }
    return header->size <= size;
}

/* False where a text does not end where the header says. */
static bool read_operation(const char *data, const struct record_header *header,
                           struct claimed_operation *claimed)
{
    struct heddle_operation *operation = &claimed->operation;
    const char *cursor = data + RECORD_HEADER_SIZE;

    const struct heddle_text id = next_text(&cursor, HEDDLE_ID_SIZE);
    memcpy(operation->id, id.data, sizeof operation->id);
    operation->user = next_text(&cursor, header->user_size);
    operation->op = next_text(&cursor, header->op_size);
    operation->thread = next_text(&cursor, header->thread_size);
    operation->payload = next_text(&cursor, header->payload_size);
    claimed->content.data = operation->user.data;
    claimed->content.size = (size_t)(cursor - 1 - operation->user.data);
    operation->submitted_us = header->submitted_us;
    operation->attempt = header->attempts + 1;
    operation->trace = next_text(&cursor, header->trace_size);
    claimed->wants_reply = header->wants_reply;
    claimed->is_journaled = header->is_journaled;
    claimed->is_poisoned = header->is_poisoned;
    claimed->cancel = header->is_cancelled ? CANCEL_ASKED : CANCEL_NONE;
    claimed->end = HEDDLE_END_NONE;
    if (header->has_policy && !read_policy(cursor, &operation->policy))
        return false;
    cursor += header->has_policy ? RECORD_POLICY_SIZE : 0;
    if (header->has_flow && !read_flow(cursor, header->batch_size, &operation->flow))
        return false;
    /* What a payload may hold is for its check to say. */
    return is_string(id) && is_string(operation->user) && is_string(operation->op) &&
           is_string(operation->thread) && is_string(operation->trace) &&
           operation->payload.data[operation->payload.size] == '\0';
}

static struct heddle_text next_text(const char **cursor, size_t size)
{
    struct heddle_text text = {*cursor, size};
    *cursor += size + 1;
    return text;
}

static bool read_policy(const char *data, struct heddle_policy *policy)
{
    uint64_t on_failure = big_endian(data + 2, 1);

    *policy = (struct heddle_policy){
        .attempts = (int64_t)big_endian(data, 2),
        .on_failure = (enum heddle_on_failure)on_failure,
        .backoff_ms = (int64_t)big_endian(data + 3, 4),
        .backoff_max_ms = (int64_t)big_endian(data + 7, 4),
        .deadline_ms = (int64_t)big_endian(data + 11, 4),
    };
    return on_failure <= HEDDLE_ON_FAILURE_HALT;
}

static bool read_flow(const char *data, size_t batch_size, struct heddle_flow *flow)
{
    uint64_t priority = big_endian(data, 1);

    *flow = (struct heddle_flow){
        .priority = (enum heddle_priority)priority,
        .expires_ms = (int64_t)big_endian(data + 1, 8),
        .batch = {data + RECORD_FLOW_SIZE, batch_size},
    };
    return priority <= HEDDLE_PRIORITY_BULK && flow->expires_ms >= 0 && is_string(flow->batch);
}

static bool is_string(struct heddle_text text)
{
    return memchr(text.data, '\0', text.size + 1) == text.data + text.size;
}

static uint64_t big_endian(const char *data, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | (unsigned char)data[i];
    return number;
}
