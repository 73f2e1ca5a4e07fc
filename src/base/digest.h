/* Digests of lanes and operations. Pure, thread-safe. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "heddle/operation.h"

#include <stdint.h>

#define DIGEST_HEX_SIZE 64
#define DIGEST_BYTES_SIZE 16

/* The partition of a user: the first four hex digits of SHA-1, modulo `partitions`. */
unsigned digest_partition(struct heddle_text user, unsigned partitions);

/* The key of a lane's advisory lock: the first eight bytes of SHA-256, big-endian. Two lanes that
 * share a key would wait for each other, which costs time and nothing else. */
int64_t digest_lane_key(struct heddle_text lane);

/* Likewise the keys of what a strand of a lane has for itself: its thread, and its place. */
int64_t digest_thread_key(struct heddle_text lane, struct heddle_text thread);
int64_t digest_place_key(struct heddle_text lane, int place);

/* SHA-256 over user, op, thread and payload with a NUL between them, in hex with a NUL. */
void digest_operation(const struct heddle_operation *operation, char hex[DIGEST_HEX_SIZE + 1]);

/* The first bytes of SHA-1 over any bytes. */
void digest_bytes(struct heddle_text bytes, unsigned char digest[DIGEST_BYTES_SIZE]);

/* A UUID (version 5 in form, of SHA-1) that derives from a name: the same name, the same id. */
void digest_uuid(const char *name, size_t size, char uuid[HEDDLE_ID_SIZE + 1]);

#endif
