/* What the files of check.h share. */
#ifndef QUEUE_CHECK_INTERNAL_H
#define QUEUE_CHECK_INTERNAL_H

#include "base/arena.h"
#include "queue/check.h"
#include "queue/command.h"

#include <stddef.h>

struct redis_reply;

enum {
    HOLDERS_MAX = 64, /* processors without a beat that are remembered */
    HOLDER_SIZE = 128,
};

struct checker {
    const struct queue_check *check;
    struct queue_census *census;
    struct command command;
    struct arena texts;
    char holders[HOLDERS_MAX][HOLDER_SIZE]; /* that have claims and no beat */
    size_t holder_count;
};

/* A key of the queue: heddle:{partition}:kind:name; texts are the reply's. */
struct queue_key {
    const char *text, *name;
    unsigned partition;
    char kind[8];
};

/* False where it is none, or of a partition that is not there. */
bool check_read_key(const struct checker *checker, const struct redis_reply *reply,
                    struct queue_key *key);

/* Calls `visit` for page after page of keys that match. */
typedef heddle_status check_visit_function(void *argument, const struct redis_reply *keys,
                                           struct heddle_error *err);
heddle_status check_scan(struct checker *checker, const char *pattern, check_visit_function *visit,
                         void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Where a walk through pages stands. */
struct check_page {
    char cursor[24];
    bool is_last;
};
#define CHECK_FIRST_PAGE ((struct check_page){.cursor = "0"})

/* On to the next page: an answer begins with its cursor. */
void check_turn(struct check_page *page, const struct redis_reply *reply);

void check_note(const struct checker *checker, const char *kind, unsigned partition,
                struct heddle_text lane, const char *format, ...) HEDDLE_PRINTF(5, 6);

/* Walks through every lane (check_walk.c). */
heddle_status check_walk(struct checker *checker, struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
