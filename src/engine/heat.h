/* Which partitions are *hot*: may have ready lanes. One that had none is left alone until it wakes
 * us, a waiting lane of it comes due, or the slow poll, the net under both. Confined to the
 * fetcher. */
#ifndef ENGINE_HEAT_H
#define ENGINE_HEAT_H

#include "queue/claim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heat;

enum { HEAT_POLL_MS = 1000 }; /* the net: nothing relies on it at a healthy Redis */

/* All are hot. */
struct heat *heat_new(unsigned partitions);
void heat_free(struct heat *heat);

bool heat_is_hot(const struct heat *heat, unsigned partition);
size_t heat_count(const struct heat *heat);

/* `partition` as it was heard of: any number. */
void heat_partition(struct heat *heat, int64_t partition);
void heat_all(struct heat *heat);

/* A round of claims, for so many lanes and about so many operations in all. */
void heat_begin_round(struct heat *heat, size_t lanes, size_t operations);

/* How many lanes, `most` at most, this round asks the partition for: 0 where it is not hot, or all
 * is given away. One that gave all that it was asked for last time has more, and few calls with
 * many lanes cost less than many calls with few. */
size_t heat_take_lanes(struct heat *heat, unsigned partition, size_t most);

/* Some partition has more than it was asked for. */
bool heat_is_deep(const struct heat *heat);

/* So many lanes were asked for, and these came. */
void heat_claimed(struct heat *heat, unsigned partition, size_t asked,
                  const struct claim_list *claims);

/* A claim has found the partition's last ready lane; a waiting one comes due in `due_ms`, -1: none.
 */
void heat_exhausted(struct heat *heat, unsigned partition, int64_t due_ms);

/* How long there is nothing to do: 0 where something has come due. */
int64_t heat_wait_ms(const struct heat *heat);

/* Heats what has come due. */
void heat_due(struct heat *heat);

/* The next poll comes so soon. */
void heat_poll_in(struct heat *heat, int64_t wait_ms);

#endif
