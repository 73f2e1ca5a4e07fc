/* See requests.h. */
#include "engine/requests.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

enum { REQUESTS_MAX = 1000 };

void requests_init(struct requests *requests)
{
    *requests = (struct requests){0};
    mutex_init(&requests->mutex);
}

void requests_done(struct requests *requests)
{
    struct request *request = requests_take(requests);

    while (request) {
        struct request *next = request->next;
        free(request);
        request = next;
    }
    mutex_done(&requests->mutex);
}

bool requests_add(struct requests *requests, struct heddle_text lane)
{
    struct request *request = memory_take(sizeof *request + lane.size + 1);

    request->size = lane.size;
    memcpy(request->lane, lane.data, lane.size);
    request->lane[lane.size] = '\0';
    mutex_lock(&requests->mutex);
    const bool has_room = requests->count < REQUESTS_MAX;
    if (has_room) {
        request->next = requests->first;
        requests->first = request;
        requests->count++;
    }
    mutex_unlock(&requests->mutex);
    if (!has_room)
        free(request);
    return has_room;
}

struct request *requests_take(struct requests *requests)
{
    mutex_lock(&requests->mutex);
    struct request *first = requests->first;
    requests->first = NULL;
    requests->count = 0;
    mutex_unlock(&requests->mutex);
    return first;
}
