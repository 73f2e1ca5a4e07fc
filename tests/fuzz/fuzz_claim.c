/* The records of a claim, as Redis hands them out: what is read lies in the claim and is what was
 * written; anything else is refused as a whole. */
#include "fuzz.h"

#include "queue/claim.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_SIZE = 24, FLAGS = 15, FLAG_POLICY = 16, FLAG_FLOW = 64, RESERVED = 10 };

static uint8_t *put(uint8_t *at, uint64_t number, int size)
{
    for (int i = size - 1; i >= 0; i--)
        *at++ = (uint8_t)(number >> (8 * i));
    return at;
}

static uint8_t *put_text(uint8_t *at, struct heddle_text text)
{
    memcpy(at, text.data, text.size + 1);
    return at + text.size + 1;
}

/* Writes the record again, with what nobody reads (unknown flags, two counted bytes) as it was in
 * `before`. */
static uint8_t *put_record(uint8_t *at, const struct claimed_operation *claimed,
                           const uint8_t *before)
{
    const struct heddle_operation *operation = &claimed->operation;
    const struct heddle_text id = {operation->id, HEDDLE_ID_SIZE};
    const struct heddle_policy *policy = &operation->policy;
    const int flags = claimed->wants_reply | claimed->is_journaled << 1 |
                      claimed->is_poisoned << 2 |
                      (claimed_cancel_cause(claimed) == CANCEL_ASKED) << 3;

    at = put(at, 1, 1);
    at = put(at, (uint64_t)(flags | (before[1] & ~FLAGS)), 1);
    at = put(at, operation->user.size, 2);
    at = put(at, operation->op.size, 1);
    at = put(at, operation->thread.size, 1);
    at = put(at, claimed->operation.trace.size, 2);
    at = put(at, (uint64_t)operation->attempt - 1, 2);
    memcpy(at, before + RESERVED, 2);
    at = put(at + 2, operation->payload.size, 4);
    at = put(at, (uint64_t)operation->submitted_us, 8);
    at = put_text(at, id);
    at = put_text(at, operation->user);
    at = put_text(at, operation->op);
    at = put_text(at, operation->thread);
    at = put_text(at, operation->payload);
    at = put_text(at, claimed->operation.trace);
    if (before[1] & FLAG_POLICY) {
        at = put(at, (uint64_t)policy->attempts, 2);
        at = put(at, policy->on_failure, 1);
        at = put(at, (uint64_t)policy->backoff_ms, 4);
        at = put(at, (uint64_t)policy->backoff_max_ms, 4);
        at = put(at, (uint64_t)policy->deadline_ms, 4);
    }
    if (!(before[1] & FLAG_FLOW))
        return at;
    at = put(at, operation->flow.priority, 1);
    at = put(at, (uint64_t)operation->flow.expires_ms, 8);
    at = put(at, operation->flow.batch.size, 2);
    return put_text(at, operation->flow.batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct heddle_text lane = {"ann", 3}, records = {(const char *)data, size};
    struct claim *claim = NULL;
    struct heddle_error err;

    heddle_status status = claim_new(7, 42, lane, &records, 1, &claim, &err);
    if (status != HEDDLE_OK) {
        FUZZ_CHECK(status == HEDDLE_FATAL && claim == NULL);
        fuzz_check_error(&err);
        return 0;
    }
    FUZZ_CHECK(claim->partition == 7 && claim->seq == 42);
    fuzz_check_name(claim->lane, 3, 3);

    uint8_t *again = malloc(size + 1), *end = again;
    for (size_t i = 0; i < claim->operation_count; i++) {
        const struct claimed_operation *claimed = &claim->operations[i];
        FUZZ_CHECK((size_t)(end - again) + HEADER_SIZE < size);
        FUZZ_CHECK(strlen(claimed->operation.id) == HEDDLE_ID_SIZE);
        fuzz_check_text(claimed->operation.payload);
        /* Each is used as a C string as well. */
        FUZZ_CHECK(strlen(claimed->operation.user.data) == claimed->operation.user.size);
        FUZZ_CHECK(strlen(claimed->operation.op.data) == claimed->operation.op.size);
        FUZZ_CHECK(strlen(claimed->operation.thread.data) == claimed->operation.thread.size);
        FUZZ_CHECK(strlen(claimed->operation.trace.data) == claimed->operation.trace.size);
        FUZZ_CHECK(claimed->operation.attempt >= 1 && claimed->end == HEDDLE_END_NONE);
        FUZZ_CHECK(claimed->operation.policy.on_failure <= HEDDLE_ON_FAILURE_HALT);
        end = put_record(end, claimed, data + (end - again));
    }
    FUZZ_CHECK((size_t)(end - again) == size && memcmp(again, data, size) == 0);
    free(again);
    claim_free(claim);
    return 0;
}
