/* Controls and limits at the desk: set as the relay does it, and what was handed out under them, by
 * Redis' clock. One thread. */
#ifndef LIMITS_H
#define LIMITS_H

#include "desk.h"

#include <stddef.h>
#include <stdint.h>

enum { LIMITS_CALLS_MAX = 1000 };

struct limits_record {
    size_t begun; /* operations that were handed out */
    int calls;    /* of heddle_claim */
};
extern struct limits_record limits_record;

/* desk_set_up with nothing noted. */
int limits_set_up(void **state);

/* A control as the relay brings it; an empty value takes it back. */
void limits_control(const char *kind, const char *target, const char *value);
/* A rate of so many a second, and at once. */
void limits_rate(const char *target, int rate, int burst);
/* A share as the relay moves it, with credit in millionths. Returns the credit that came back. */
int64_t limits_share(const char *kind, const char *target, const char *amount, const char *credit);

void limits_submit(const char *user, const char *op, int count);

/* A claim, with what it hands out noted. */
struct lanes_answer limits_claim(unsigned partition, const char *processor, int lanes,
                                 int operations);

/* Claims from partition 0 and settles until so many were handed out, asleep whenever it is told to.
 */
void limits_drain(size_t count, int lanes, int operations);

/* In no window was more handed out than the rate and the burst allow. */
void limits_assert_rate(double per_us, int burst);

void limits_assert_reason(const char *lane, const char *expected);

/* All controls were taken back: nothing tells of them soon. */
void limits_assert_nothing_left(void);

#endif
