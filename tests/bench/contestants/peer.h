/* What the contestants in C share: the work, its verification, the command line. They keep no order
 * of a user, so only what came, and how often, is counted.
 *
 *   PEER PLAN      a JSON object, see ../workload.py; jobs as in peer.mjs */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PEER_JOB_BYTES = 256, PEER_WINDOW = 64 };

struct peer_plan {
    const char *job, *socket;
    int64_t count, users, burst, concurrency;
    int64_t rate; /* 0: a backlog is worked off */
};

struct peer {
    void *(*connect)(const char *socket);
    void (*add)(void *link, const char *job, size_t size); /* and waits for the answer */
    /* Sends a window of them before the first answer is read. */
    void (*add_all)(void *link, const char (*jobs)[PEER_JOB_BYTES], size_t count);
    /* Gives the next jobs to peer_note, and makes their end known; false: there was none. */
    bool (*work)(void *link, bool waits);
    size_t workers_max; /* threads that work makes sense with */
};

/* The main function: does the job, prints a line of JSON. */
int peer_compete(const struct peer *peer, int argc, char **argv);

/* Counts a job that came. Thread-safe. */
void peer_note(const char *job);

void peer_fail(const char *what, const char *why) __attribute__((noreturn));

#endif
