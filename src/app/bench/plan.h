/* What `heddle bench` is asked to do: its flags, judged. */
#ifndef APP_BENCH_PLAN_H
#define APP_BENCH_PLAN_H

#include "app/command.h"

#include <stdbool.h>
#include <stdint.h>

enum bench_scenario {
    BENCH_NOOP,
    BENCH_SEND_MESSAGE,
    BENCH_SUBMIT,
    BENCH_CORPUS,
    BENCH_LATENCY,
    BENCH_IDLE,
};

struct corpus;

struct bench_plan {
    enum bench_scenario scenario;
    const char *name;      /* of the scenario */
    int64_t operations;    /* of all users together, the backlog aside */
    int64_t users;         /* no more than operations */
    int64_t users_before;  /* theirs are the names behind so many others */
    int64_t content_bytes; /* of a message; of what fills the payload of a no-op */
    int64_t burst;         /* operations of one user in a row; 1: round-robin */
    int64_t window;        /* operations that the client hands in at once */
    int64_t rate;          /* of latency: operations a second */
    int64_t seconds;       /* of latency and idle */
    int64_t beside;        /* operations of one more user that are queued before: a backlog */
    const char *path;      /* of corpus; borrowed from the command line */
    struct corpus *corpus; /* what stands there; NULL otherwise */
    bool is_message;       /* send_message; otherwise no-op, where there is no corpus */
    bool is_durable;       /* submitted to the journal first */
    bool is_overlapping;   /* processors run while operations are submitted */
    bool is_forced;        /* even beside other work */
    bool keeps;            /* what was written stays */
};

/* Ends with a NULL name. */
extern const struct flag bench_flags[];

/* False where the command line makes no sense: its line stands on stderr, exit 2. */
bool bench_plan_read(const struct arguments *arguments, struct bench_plan *plan);

#endif
