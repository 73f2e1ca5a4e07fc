/* Lanes that a thread is asked to rebuild: a bounded list of their names, thread-safe. */
#ifndef ENGINE_REQUESTS_H
#define ENGINE_REQUESTS_H

#include "base/thread.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stddef.h>

struct request {
    struct request *next;
    size_t size;
    char lane[];
};

struct requests {
    struct mutex mutex;
    struct request *first GUARDED;
    size_t count GUARDED;
};

void requests_init(struct requests *requests);
void requests_done(struct requests *requests);

/* Copies the name. False: there are as many as it holds. */
bool requests_add(struct requests *requests, struct heddle_text lane);

/* All of them; the caller frees each. NULL: none. */
struct request *requests_take(struct requests *requests);

#endif
