/* Claims: the records of src/queue/lua, written here by hand from their description. */
#include "base/text.h"
#include "queue/claim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID_1 "0190a1b2-c3d4-8e5f-8001-000a1234abcd"
#define ID_2 "0190a1b2-c3d4-8e5f-8001-000b1234abcd"

enum { HEADER_SIZE = 24, RECORD_SIZE_MAX = 4096 };

struct record {
    const char *id, *user, *op, *thread, *payload, *trace;
    unsigned version, flags, attempts;
    uint64_t submitted_us;
};

static const struct record usual = {
    .id = ID_1,
    .user = "ann",
    .op = "send_message",
    .thread = "t-1",
    .payload = "{\"a\":1}",
    .trace = "",
    .version = 1,
    .submitted_us = UINT64_C(1700000000123456),
};

static unsigned char *put(unsigned char *at, uint64_t number, int size)
{
    for (int i = size - 1; i >= 0; i--)
        *at++ = (unsigned char)(number >> (8 * i));
    return at;
}

static unsigned char *put_text(unsigned char *at, const char *text)
{
    return (unsigned char *)stpcpy((char *)at, text) + 1;
}

/* Appends the record's bytes at `at`; returns where they end. */
static unsigned char *put_record(unsigned char *at, const struct record *r)
{
    at = put(at, r->version, 1);
    at = put(at, r->flags, 1);
    at = put(at, strlen(r->user), 2);
    at = put(at, strlen(r->op), 1);
    at = put(at, strlen(r->thread), 1);
    at = put(at, strlen(r->trace), 2);
    at = put(at, r->attempts, 2);
    at = put(at, 0, 2);
    at = put(at, strlen(r->payload), 4);
    at = put(at, r->submitted_us, 8);
    at = put_text(at, r->id);
    at = put_text(at, r->user);
    at = put_text(at, r->op);
    at = put_text(at, r->thread);
    at = put_text(at, r->payload);
    return put_text(at, r->trace);
}

static heddle_status read_bytes(const unsigned char *bytes, size_t size, struct claim **claim,
                                struct heddle_error *err)
{
    const struct heddle_text records = {(const char *)bytes, size};

    return claim_new(3, 42, TEXT("ann"), &records, 1, claim, err);
}

static void assert_text(struct heddle_text text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_string_equal(text.data, expected);
}

static void a_record_is_read_as_it_was_written(void **state)
{
    unsigned char bytes[RECORD_SIZE_MAX];
    struct record one = usual, two = usual;
    struct heddle_error err;
    struct claim *claim;

    (void)state;
    one.flags = 1;
    one.attempts = 6;
    two.id = ID_2;
    two.thread = "";
    two.payload = "{}";
    two.trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    size_t size = (size_t)(put_record(put_record(bytes, &one), &two) - bytes);
    assert_int_equal(read_bytes(bytes, size, &claim, &err), HEDDLE_OK);
    /* It owns a copy. */
    memset(bytes, 0xA5, sizeof bytes);

    assert_int_equal(claim->partition, 3);
    assert_int_equal(claim->seq, 42);
    assert_text(claim->lane, "ann");
    assert_null(claim->events);
    assert_int_equal(claim->operation_count, 2);
    const struct claimed_operation *first = &claim->operations[0], *second = first + 1;
    assert_string_equal(first->operation.id, ID_1);
    assert_text(first->operation.user, "ann");
    assert_text(first->operation.op, "send_message");
    assert_text(first->operation.thread, "t-1");
    assert_text(first->operation.payload, "{\"a\":1}");
    assert_int_equal(first->operation.submitted_us, INT64_C(1700000000123456));
    assert_int_equal(first->operation.attempt, 7);
    assert_true(first->wants_reply);
    assert_int_equal(first->end, HEDDLE_END_NONE);
    assert_string_equal(second->operation.id, ID_2);
    assert_text(second->operation.thread, "");
    assert_text(second->operation.trace, two.trace);
    assert_int_equal(second->operation.attempt, 1);
    assert_false(second->wants_reply);
    claim_free(claim);
    claim_free(NULL);
}

static void a_record_of_the_largest_sizes_is_read(void **state)
{
    unsigned char *bytes = malloc(2 << 20);
    char user[257], thread[65], op[65], trace[513], *payload = malloc((1 << 20) + 1);
    struct record big = usual;
    struct heddle_error err;
    struct claim *claim;

    (void)state;
    sprintf(user, "%0256d", 1);
    sprintf(thread, "%064d", 1);
    sprintf(op, "%064d", 1);
    sprintf(trace, "%0512d", 1);
    memset(payload, ' ', 1 << 20);
    payload[1 << 20] = '\0';
    big.user = user;
    big.thread = thread;
    big.op = op;
    big.trace = trace;
    big.payload = payload;
    big.attempts = 65535;
    size_t size = (size_t)(put_record(bytes, &big) - bytes);
    assert_int_equal(read_bytes(bytes, size, &claim, &err), HEDDLE_OK);
    assert_text(claim->operations[0].operation.user, user);
    assert_text(claim->operations[0].operation.thread, thread);
    assert_text(claim->operations[0].operation.op, op);
    assert_int_equal(claim->operations[0].operation.payload.size, 1 << 20);
    assert_text(claim->operations[0].operation.trace, trace);
    assert_int_equal(claim->operations[0].operation.attempt, 65536);
    claim_free(claim);
    free(payload);
    free(bytes);
}

static void another_version_is_refused_wherever_it_stands(void **state)
{
    static const unsigned versions[] = {0, 2, 255};
    unsigned char bytes[RECORD_SIZE_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct record other = usual;
        struct heddle_error err = {0};
        struct claim *claim = NULL;
        other.version = versions[i];
        size_t size = (size_t)(put_record(put_record(bytes, &usual), &other) - bytes);
        assert_int_equal(read_bytes(bytes, size, &claim, &err), HEDDLE_FATAL);
        assert_null(claim);
        assert_non_null(strstr(err.text, "version"));
    }
}

/* Each prefix stands in memory of its own, so that a sanitizer sees a byte too far. */
static void a_record_cut_anywhere_is_refused(void **state)
{
    unsigned char bytes[RECORD_SIZE_MAX];
    size_t size = (size_t)(put_record(bytes, &usual) - bytes);

    (void)state;
    for (size_t cut = 1; cut < size; cut++) {
        struct heddle_error err = {0};
        struct claim *claim = NULL;
        unsigned char *part = malloc(cut);
        memcpy(part, bytes, cut);
        if (read_bytes(part, cut, &claim, &err) != HEDDLE_FATAL)
            fail_msg("%zu of %zu bytes were taken", cut, size);
        assert_null(claim);
        free(part);
    }
}

static void sizes_beyond_the_record_are_refused(void **state)
{
    static const struct {
        int at, size;
    } sizes[] = {{2, 2}, {4, 1}, {5, 1}, {6, 2}, {12, 4}};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char bytes[RECORD_SIZE_MAX];
        struct heddle_error err = {0};
        struct claim *claim = NULL;
        size_t size = (size_t)(put_record(bytes, &usual) - bytes);
        memset(bytes + sizes[i].at, 0xFF, (size_t)sizes[i].size);
        assert_int_equal(read_bytes(bytes, size, &claim, &err), HEDDLE_FATAL);
    }
}

/* Behind the texts: priority, expiry, size of the batch, the batch. */
static void a_flow_is_read_and_one_that_makes_no_sense_is_refused(void **state)
{
    unsigned char bytes[RECORD_SIZE_MAX];
    struct record record = usual;
    struct heddle_error err;
    struct claim *claim = NULL;

    (void)state;
    record.flags = 64;
    unsigned char *tail = put_record(bytes, &record);
    unsigned char *end = put_text(put(put(put(tail, 2, 1), 77, 8), 3, 2), "b-1");
    assert_int_equal(read_bytes(bytes, (size_t)(end - bytes), &claim, &err), HEDDLE_OK);
    assert_int_equal(claim->operations[0].operation.flow.priority, HEDDLE_PRIORITY_BULK);
    assert_int_equal(claim->operations[0].operation.flow.expires_ms, 77);
    assert_text(claim->operations[0].operation.flow.batch, "b-1");
    claim_free(claim);
    for (unsigned char *cut = tail; cut < end; cut++)
        assert_int_equal(read_bytes(bytes, (size_t)(cut - bytes), &claim, &err), HEDDLE_FATAL);
    put(tail, 3, 1);
    assert_int_equal(read_bytes(bytes, (size_t)(end - bytes), &claim, &err), HEDDLE_FATAL);
    put(tail, 2, 1);
    put(end - 1, 'x', 1);
    assert_int_equal(read_bytes(bytes, (size_t)(end - bytes), &claim, &err), HEDDLE_FATAL);
}

static void a_text_that_does_not_end_where_the_record_says_is_refused(void **state)
{
    unsigned char bytes[RECORD_SIZE_MAX];
    struct record bare = usual;

    (void)state;
    /* A NUL inside a payload is for the payload's own check to find. */
    bare.payload = "";
    size_t size = (size_t)(put_record(bytes, &bare) - bytes);
    for (size_t i = HEADER_SIZE; i < size; i++) {
        struct heddle_error err = {0};
        struct claim *claim = NULL;
        const unsigned char before = bytes[i];
        bytes[i] = before ? '\0' : 'x';
        if (read_bytes(bytes, size, &claim, &err) != HEDDLE_FATAL)
            fail_msg("taken with another byte %zu", i);
        assert_null(claim);
        bytes[i] = before;
    }
}

static void no_records_make_a_claim_without_operations(void **state)
{
    struct heddle_error err;
    struct claim *claim;

    (void)state;
    assert_int_equal(read_bytes((const unsigned char *)"", 0, &claim, &err), HEDDLE_OK);
    assert_int_equal(claim->operation_count, 0);
    claim_free(claim);
}

static void a_list_of_claims_is_a_fifo(void **state)
{
    struct claim_list list;
    struct heddle_error err;

    (void)state;
    claim_list_init(&list);
    assert_null(claim_list_pop(&list));
    for (int round = 0; round < 3; round++) {
        struct claim *claims[5];
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(read_bytes((const unsigned char *)"", 0, &claims[i], &err), HEDDLE_OK);
            claim_list_push(&list, claims[i]);
            assert_int_equal(list.count, i + 1);
        }
        for (size_t i = 0; i < 5; i++) {
            assert_ptr_equal(claim_list_pop(&list), claims[i]);
            claim_free(claims[i]);
        }
        assert_int_equal(list.count, 0);
        assert_null(claim_list_pop(&list));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read_as_it_was_written),
        cmocka_unit_test(a_record_of_the_largest_sizes_is_read),
        cmocka_unit_test(another_version_is_refused_wherever_it_stands),
        cmocka_unit_test(a_record_cut_anywhere_is_refused),
        cmocka_unit_test(sizes_beyond_the_record_are_refused),
        cmocka_unit_test(a_flow_is_read_and_one_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_text_that_does_not_end_where_the_record_says_is_refused),
        cmocka_unit_test(no_records_make_a_claim_without_operations),
        cmocka_unit_test(a_list_of_claims_is_a_fifo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
