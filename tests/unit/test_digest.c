/* Partitions, lane keys, digests and ids: others compute them as well, so they are fixed for good.
 */
#include "base/digest.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Reference values: sha1sum and sha256sum of the names. */
static void a_partition_is_the_first_four_hex_digits_of_sha1(void **state)
{
    (void)state;
    /* sha1("abc") = a9993e36…, sha1("") = da39a3ee… */
    assert_int_equal(digest_partition(TEXT("abc"), 65536), 0xa999);
    assert_int_equal(digest_partition(TEXT(""), 65536), 0xda39);
    assert_int_equal(digest_partition(TEXT("abc"), 64), 0xa999 % 64);
    assert_int_equal(digest_partition(TEXT("abc"), 1), 0);
}

static void users_spread_over_the_partitions(void **state)
{
    enum { PARTITIONS = 16, USERS = 16000 };
    int counts[PARTITIONS] = {0};

    (void)state;
    for (int i = 0; i < USERS; i++) {
        char user[32];
        snprintf(user, sizeof user, "user-%d", i);
        counts[digest_partition(text_of(user), PARTITIONS)]++;
    }
    for (int p = 0; p < PARTITIONS; p++)
        assert_in_range(counts[p], USERS / PARTITIONS * 8 / 10, USERS / PARTITIONS * 12 / 10);
}

static void a_lane_key_is_the_first_eight_bytes_of_sha256(void **state)
{
    (void)state;
    /* sha256("abc") = ba7816bf8f01cfea…, sha256("") = e3b0c44298fc1c14… */
    assert_int_equal((uint64_t)digest_lane_key(TEXT("abc")), UINT64_C(0xba7816bf8f01cfea));
    assert_int_equal((uint64_t)digest_lane_key(TEXT("")), UINT64_C(0xe3b0c44298fc1c14));
}

static void keys_of_a_lanes_strands_are_their_own(void **state)
{
    const int64_t keys[] = {
        digest_lane_key(TEXT("ann")),
        digest_thread_key(TEXT("ann"), TEXT("")),
        digest_thread_key(TEXT("ann"), TEXT("0")),
        digest_thread_key(TEXT("ann"), TEXT("1")),
        digest_thread_key(TEXT("an"), TEXT("n0")),
        digest_place_key(TEXT("ann"), 0),
        digest_place_key(TEXT("ann"), 1),
    };

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(keys[i] != keys[j]);
    /* sha256("ann\0thread\0" "0"), as any other version has it. */
    assert_int_equal((uint64_t)keys[2], UINT64_C(0xe43b57137362188f));
}

static struct heddle_operation operation(const char *user, const char *op, const char *thread,
                                         const char *payload)
{
    return (struct heddle_operation){.user = text_of(user),
                                     .op = text_of(op),
                                     .thread = text_of(thread),
                                     .payload = text_of(payload)};
}

static void assert_digests(struct heddle_operation a, struct heddle_operation b, bool are_equal)
{
    char digest_a[DIGEST_HEX_SIZE + 1], digest_b[DIGEST_HEX_SIZE + 1];

    digest_operation(&a, digest_a);
    digest_operation(&b, digest_b);
    assert_int_equal(strlen(digest_a), DIGEST_HEX_SIZE);
    assert_int_equal(strcmp(digest_a, digest_b) == 0, are_equal);
}

static void a_digest_tells_operations_apart_by_their_content_alone(void **state)
{
    struct heddle_operation one = operation("ann", "send_message", "t", "{}");
    struct heddle_operation again = one;

    (void)state;
    strcpy(again.id, "00000000-0000-4000-8000-000000000001");
    again.attempt = 7;
    again.submitted_us = 1;
    assert_digests(one, again, true);
    assert_digests(one, operation("anna", "send_message", "t", "{}"), false);
    assert_digests(one, operation("ann", "send_messages", "t", "{}"), false);
    assert_digests(one, operation("ann", "send_message", "", "{}"), false);
    assert_digests(one, operation("ann", "send_message", "t", "{ }"), false);
    /* No bytes move from one part into the next. */
    assert_digests(operation("ab", "c", "", "{}"), operation("a", "bc", "", "{}"), false);
    assert_digests(operation("a", "b", "c", "{}"), operation("a", "b", "", "c{}"), false);
}

static void a_digest_is_sha256_over_the_parts_with_a_nul_between_them(void **state)
{
    char digest[DIGEST_HEX_SIZE + 1];
    struct heddle_operation one = operation("ann", "send_message", "t", "{}");

    (void)state;
    digest_operation(&one, digest);
    /* printf 'ann\0send_message\0t\0{}' | sha256sum */
    assert_string_equal(digest, "cf4d5fefc8f92cd97deccda8eb7ca6fbf2fcc157e5dc51773e6522dab12a1ab5");
}

static void a_named_id_is_the_same_each_time(void **state)
{
    char one[HEDDLE_ID_SIZE + 1], again[HEDDLE_ID_SIZE + 1], other[HEDDLE_ID_SIZE + 1];

    (void)state;
    digest_uuid("batch:1", 7, one);
    digest_uuid("batch:1", 7, again);
    digest_uuid("batch:2", 7, other);
    assert_string_equal(one, again);
    assert_string_not_equal(one, other);
    assert_true(heddle_is_uuid(one, strlen(one)));
    assert_int_equal(one[14], '5');
    assert_non_null(strchr("89ab", one[19]));
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void new_ids_are_random_uuids(void **state)
{
    enum { COUNT = 100000 };
    char(*ids)[HEDDLE_ID_SIZE + 1] = calloc(COUNT, sizeof *ids);

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        heddle_uuid_new(ids[i]);
        assert_true(heddle_is_uuid(ids[i], strlen(ids[i])));
        assert_int_equal(ids[i][14], '4');
        assert_non_null(strchr("89ab", ids[i][19]));
    }
    qsort(ids, COUNT, sizeof *ids, compare);
    for (int i = 1; i < COUNT; i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
    free(ids);
}

static void only_the_canonical_text_is_a_uuid(void **state)
{
    static const char *const bad[] = {"",
                                      "75f8796bbf154028a476630218bd7b88",
                                      "75f8796b-bf15-4028-a476-630218bd7b8",
                                      "75f8796b-bf15-4028-a476-630218bd7b888",
                                      "{75f8796b-bf15-4028-a476-630218bd7b8}",
                                      "75f8796b-bf15-4028-a476_630218bd7b88",
                                      "75f8796b-bf15-4028-a476-630218bd7b8g",
                                      "75f8796-bbf15-4028-a476-630218bd7b88",
                                      " 75f8796b-bf15-4028-a476-630218bd7b8",
                                      NULL};
    char with_nul[] = "75f8796b-bf15-4028-a476-630218bd7b88";

    (void)state;
    for (size_t i = 0; bad[i]; i++)
        assert_false(heddle_is_uuid(bad[i], strlen(bad[i])));
    assert_true(heddle_is_uuid("75f8796b-bf15-4028-a476-630218bd7b88", HEDDLE_ID_SIZE));
    assert_true(heddle_is_uuid("75F8796B-BF15-4028-A476-630218BD7B88", HEDDLE_ID_SIZE));
    with_nul[3] = '\0';
    assert_false(heddle_is_uuid(with_nul, HEDDLE_ID_SIZE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_partition_is_the_first_four_hex_digits_of_sha1),
        cmocka_unit_test(users_spread_over_the_partitions),
        cmocka_unit_test(a_lane_key_is_the_first_eight_bytes_of_sha256),
        cmocka_unit_test(keys_of_a_lanes_strands_are_their_own),
        cmocka_unit_test(a_digest_tells_operations_apart_by_their_content_alone),
        cmocka_unit_test(a_digest_is_sha256_over_the_parts_with_a_nul_between_them),
        cmocka_unit_test(a_named_id_is_the_same_each_time),
        cmocka_unit_test(new_ids_are_random_uuids),
        cmocka_unit_test(only_the_canonical_text_is_a_uuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
