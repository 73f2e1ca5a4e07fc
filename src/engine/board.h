/* What a processor shows its supervisor: shared memory that outlives a crash.
 *
 * The supervisor maps a board before it forks. The child writes: each worker its own slot, the
 * crash handler the number of the crashing one. The supervisor reads after the child's death. */
#ifndef ENGINE_BOARD_H
#define ENGINE_BOARD_H

#include "heddle/operation.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    BOARD_NO_SLOT = -1,
    BOARD_ALL = -1,
    BOARD_LANES_MAX = 128, /* of a bundle */
};

/* A lane, and the operation of it that a worker runs. */
struct board_lane {
    unsigned partition;
    char id[HEDDLE_ID_SIZE + 1];
    char name[HEDDLE_USER_SIZE_MAX + 1];
};

/* What a worker runs. */
struct board_slot {
    atomic_bool is_busy;
    atomic_int pointed; /* the lane it is in; BOARD_ALL: any of them */
    int count;
    struct board_lane lanes[BOARD_LANES_MAX];
};

struct board {
    char incarnation[128]; /* set by the supervisor */
    atomic_bool is_quiet;  /* set by the supervisor: it starts without claiming */
    atomic_bool is_ready;  /* it has started once */
    atomic_int crashed;    /* the slot on whose thread it crashed, or BOARD_NO_SLOT */
    int slot_count;
    struct board_slot slots[];
};

/* A name that no other run of a processor has: host and pid for people, the rest at random. */
void incarnation_name(char *name, size_t size);

/* Maps a board that a child shares; NULL where there is no memory. */
struct board *board_new(int slot_count);
void board_free(struct board *board);

/* Makes it blank, for the next child. */
void board_reset(struct board *board, const char *incarnation);

/* On the worker's thread, around what it runs: a lane at a time, then board_enter. A NULL slot is a
 * processor without supervisor. */
void board_add(struct board_slot *slot, unsigned partition, struct heddle_text lane,
               const char *id);
void board_enter(struct board_slot *slot);
/* It is this operation of this lane (by the order of board_add); NULL and BOARD_ALL: any. */
void board_point(struct board_slot *slot, int lane, const char *id);
void board_leave(struct board_slot *slot);

enum { BOARD_STACK_BYTES = 64 << 10 };

/* On the worker's thread, once: a crash on it (SEGV, BUS, ILL, FPE, ABRT) writes its slot's number
 * before the process dies of it. That runs on `stack`, BOARD_STACK_BYTES that outlive the thread,
 * so after an overflow too. */
void board_watch(struct board *board, int number, void *stack);

/* Before the thread ends: its crash stack is used no more. */
void board_unwatch(void);

#endif
