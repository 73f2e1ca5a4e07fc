/* Controls as the partitions know them: lua/controls.lua. On the caller's thread and link; the
 * statuses are those of link/redis.h. */
#ifndef QUEUE_CONTROLS_H
#define QUEUE_CONTROLS_H

#include "heddle/error.h"
#include "queue/command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis_link;
struct redis_reply;

/* The version that each partition knows; 0: none. One round trip. */
heddle_status partition_controls(struct redis_link *link, unsigned partitions, int64_t *versions,
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Begins a page of controls behind version `from`, up to version `to`; with `to` before `from` all
 * that was known is forgotten first. Then each control of the page is appended, by command_number
 * (its version), and three texts: kind, key, and its value or an empty text. */
void partition_controls_begin(struct command *command, unsigned partition, int64_t from, int64_t to,
                              bool is_last);

/* Sends the page. `*version`: what the partition knows now. It has not taken the page where it knew
 * another version than `from`. */
heddle_status partition_controls_end(struct command *command, struct redis_link *link,
                                     int64_t *version, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Begins a call about a partition's shares of limits (engine/shares.h), in a round with this
 * number; then each limit is added: it is asked, or set to `share`, with so much credit, in
 * millionths of tokens. */
enum { SHARE_ASKED = -1 };
void partition_shares_begin(struct command *command, unsigned partition, int64_t epoch);
void partition_shares_add(struct command *command, const char *kind, const char *key, int64_t share,
                          int64_t credit);

struct partition_share {
    int64_t share; /* -1: the partition does not know the limit */
    int64_t used, waiting, oldest_us;
    int64_t taken; /* credit that it had too much, in millionths of tokens */
};

/* Reading the answer. False: a later round has asked since; nothing was done. */
bool partition_shares_accepted(const struct redis_reply *reply);
/* What it says of the limit that was added as the `index`th. False: nothing. */
bool partition_shares_read(const struct redis_reply *reply, size_t index,
                           struct partition_share *share);

#endif
