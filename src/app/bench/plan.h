/* What `heddle bench` is asked to do: its flags, judged. */
#ifndef APP_BENCH_PLAN_H
#define APP_BENCH_PLAN_H

#include "app/command.h"

#include <stdbool.h>
#include <stdint.h>

enum bench_scenario { BENCH_NOOP, BENCH_SEND_MESSAGE, BENCH_SUBMIT };

struct bench_plan {
    enum bench_scenario scenario;
    const char *name;      /* of the scenario */
    int64_t operations;    /* of all users together */
    int64_t users;         /* no more than operations */
    int64_t content_bytes; /* of a message; of what fills the payload of a no-op */
    int64_t burst;         /* operations of one user in a row; 1: round-robin */
    int64_t window;        /* operations that the client hands in at once */
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
