/* Controls as the partitions know them: lua/controls.lua. On the caller's thread and link; the
 * statuses are those of link/redis.h. */
#ifndef QUEUE_CONTROLS_H
#define QUEUE_CONTROLS_H

#include "heddle/error.h"
#include "queue/command.h"

#include <stdbool.h>
#include <stdint.h>

struct redis_link;

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

#endif
