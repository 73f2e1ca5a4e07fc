/* See digest.h. */
#include "base/digest.h"

#include "base/arena.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/random.h>

static void check(bool is_done);
static void format_uuid(const unsigned char bytes[16], char uuid[HEDDLE_ID_SIZE + 1]);

unsigned digest_partition(struct heddle_text user, unsigned partitions)
{
    unsigned char sha1[SHA_DIGEST_LENGTH];
    check(SHA1((const unsigned char *)user.data, user.size, sha1) != NULL);
    return ((unsigned)sha1[0] << 8 | sha1[1]) % partitions;
}

int64_t digest_lane_key(struct heddle_text lane)
{
    unsigned char sha256[SHA256_DIGEST_LENGTH];
    uint64_t key = 0;

    check(SHA256((const unsigned char *)lane.data, lane.size, sha256) != NULL);
    for (int i = 0; i < 8; i++)
        key = key << 8 | sha256[i];
    return (int64_t)key;
}

void digest_operation(const struct heddle_operation *operation, char hex[DIGEST_HEX_SIZE + 1])
{
    const struct heddle_text parts[] = {operation->user, operation->op, operation->thread,
                                        operation->payload};
    unsigned char sha256[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    check(context && EVP_DigestInit_ex(context, EVP_sha256(), NULL));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (i > 0)
            check(EVP_DigestUpdate(context, "", 1));
        check(EVP_DigestUpdate(context, parts[i].data, parts[i].size));
    }
    check(EVP_DigestFinal_ex(context, sha256, NULL));
    EVP_MD_CTX_free(context);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
        snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
}

void digest_uuid(const char *name, size_t size, char uuid[HEDDLE_ID_SIZE + 1])
{
    unsigned char sha1[SHA_DIGEST_LENGTH];

    check(SHA1((const unsigned char *)name, size, sha1) != NULL);
    sha1[6] = (unsigned char)((sha1[6] & 0x0F) | 0x50);
    sha1[8] = (unsigned char)((sha1[8] & 0x3F) | 0x80);
    format_uuid(sha1, uuid);
}

void heddle_uuid_new(char uuid[HEDDLE_ID_SIZE + 1])
{
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        abort();
    bytes[6] = (unsigned char)((bytes[6] & 0x0F) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80);
    format_uuid(bytes, uuid);
}

bool heddle_is_uuid(const char *text, size_t size)
{
    if (size != HEDDLE_ID_SIZE)
        return false;
    for (size_t i = 0; i < size; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]))
            return false;
        if (text[i] == '\0')
            return false;
    }
    return true;
}

/* Where a digest can't be made, only memory can be the reason; a wrong one would be another lane.
 */
static void check(bool is_done)
{
    if (!is_done)
        memory_exhausted();
}

static void format_uuid(const unsigned char bytes[16], char uuid[HEDDLE_ID_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";
    char *out = uuid;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}
