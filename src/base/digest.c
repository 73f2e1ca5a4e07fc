/* See digest.h. */
#include "base/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The newer ways look the algorithm up at each call, which takes longer than all of a short digest.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <sys/random.h>

static int64_t key_of(struct heddle_text lane, const char *kind, struct heddle_text name);
static void sha1_of(struct heddle_text bytes, unsigned char sha1[SHA_DIGEST_LENGTH]);
static char *put_hex(char *out, unsigned char byte);
static void format_uuid(const unsigned char bytes[16], char uuid[HEDDLE_ID_SIZE + 1]);

unsigned digest_partition(struct heddle_text user, unsigned partitions)
{
    unsigned char sha1[SHA_DIGEST_LENGTH];

    sha1_of(user, sha1);
    return ((unsigned)sha1[0] << 8 | sha1[1]) % partitions;
}

int64_t digest_lane_key(struct heddle_text lane)
{
    return key_of(lane, NULL, (struct heddle_text){NULL, 0});
}

int64_t digest_thread_key(struct heddle_text lane, struct heddle_text thread)
{
    return key_of(lane, "thread", thread);
}

int64_t digest_place_key(struct heddle_text lane, int place)
{
    char number[12];
    const int size = snprintf(number, sizeof number, "%d", place);

    return key_of(lane, "place", (struct heddle_text){number, (size_t)size});
}

void digest_operation(const struct heddle_operation *operation, char hex[DIGEST_HEX_SIZE + 1])
{
    const struct heddle_text parts[] = {operation->user, operation->op, operation->thread,
                                        operation->payload};
    unsigned char sha256[SHA256_DIGEST_LENGTH];
    SHA256_CTX context;

    SHA256_Init(&context);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (i > 0)
            SHA256_Update(&context, "", 1);
        SHA256_Update(&context, parts[i].data, parts[i].size);
    }
    SHA256_Final(sha256, &context);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
        hex = put_hex(hex, sha256[i]);
    *hex = '\0';
}

void digest_bytes(struct heddle_text bytes, unsigned char digest[DIGEST_BYTES_SIZE])
{
    unsigned char sha1[SHA_DIGEST_LENGTH];

    sha1_of(bytes, sha1);
    memcpy(digest, sha1, DIGEST_BYTES_SIZE);
}

void digest_uuid(const char *name, size_t size, char uuid[HEDDLE_ID_SIZE + 1])
{
    unsigned char sha1[SHA_DIGEST_LENGTH];

    sha1_of((struct heddle_text){name, size}, sha1);
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
        const char c = text[i], letter = (char)(c | 0x20);
        if (i == 8 || i == 13 || i == 18 || i == 23
                ? c != '-'
                : !(c >= '0' && c <= '9') && !(letter >= 'a' && letter <= 'f'))
            return false;
    }
    return true;
}

/* Of the lane, and of what it is about, with a NUL before each, which no name has. */
static int64_t key_of(struct heddle_text lane, const char *kind, struct heddle_text name)
{
    unsigned char sha256[SHA256_DIGEST_LENGTH];
    SHA256_CTX context;
    uint64_t key = 0;

    SHA256_Init(&context);
    SHA256_Update(&context, lane.data, lane.size);
    if (kind) {
        SHA256_Update(&context, "", 1);
        SHA256_Update(&context, kind, strlen(kind) + 1);
        SHA256_Update(&context, name.data, name.size);
    }
    SHA256_Final(sha256, &context);
    for (int i = 0; i < 8; i++)
        key = key << 8 | sha256[i];
    return (int64_t)key;
}

static void sha1_of(struct heddle_text bytes, unsigned char sha1[SHA_DIGEST_LENGTH])
{
    SHA_CTX context;

    SHA1_Init(&context);
    SHA1_Update(&context, bytes.data, bytes.size);
    SHA1_Final(sha1, &context);
}

static char *put_hex(char *out, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";

    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 15];
    return out;
}

static void format_uuid(const unsigned char bytes[16], char uuid[HEDDLE_ID_SIZE + 1])
{
    char *out = uuid;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        out = put_hex(out, bytes[i]);
    }
    *out = '\0';
}
