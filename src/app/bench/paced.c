/* See paced.h. Every one of the threads has a client of its own and every n-th operation; times of
 * different operations are different memory, and are read when the threads have ended. */
#include "app/bench/paced.h"

#include "app/door.h"
#include "app/options.h"

#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"

enum {
    CLIENTS = 16,
    AWAIT_MS = 60000,
    BEGIN_US = 200000, /* until the first operation, so that all clients have connected */
};

struct client {
    const struct paced *paced;
    size_t place;
    int64_t begin_us;
    struct door door;
    pthread_t thread;
    heddle_status status;
    struct heddle_error err;
};

static void *run_client(void *argument);
static heddle_status run_one(struct client *client, size_t index);
static void sleep_until(int64_t until_us);

heddle_status paced_run(const struct paced *paced, struct heddle_error *err)
{
    struct client clients[CLIENTS];
    heddle_status status = HEDDLE_OK;
    const int64_t begin_us = clock_now_us() + BEGIN_US;

    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.paced = paced, .place = i, .begin_us = begin_us};
        thread_start(&clients[i].thread, "bench_client", run_client, &clients[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        thread_join(clients[i].thread);
        if (clients[i].status != HEDDLE_OK && status == HEDDLE_OK) {
            status = clients[i].status;
            *err = clients[i].err;
        }
    }
    return status;
}

static void *run_client(void *argument)
{
    struct client *client = argument;
    const struct paced *paced = client->paced;

    /* The kernel may otherwise wake it 50 µs late. */
    prctl(PR_SET_TIMERSLACK, 1);
    client->status = door_open(&client->door, paced->options, paced->is_durable, &client->err);
    for (size_t i = client->place; client->status == HEDDLE_OK && i < paced->count; i += CLIENTS)
        client->status = run_one(client, i);
    door_close(&client->door);
    return NULL;
}

static void note_done(void *argument, size_t index, const char *json, size_t size)
{
    int64_t *done_us = argument;

    (void)index;
    (void)size;
    if (json)
        *done_us = clock_now_us();
}

static heddle_status run_one(struct client *client, size_t index)
{
    const struct paced *paced = client->paced;
    struct paced_times *times = &paced->times[index];
    struct heddle_receipt receipt;
    size_t next = 0;

    times->due_us = client->begin_us + (int64_t)index * 1000000 / paced->rate;
    sleep_until(times->due_us);
    times->sent_us = clock_now_us();
    heddle_status status =
        door_submit(&client->door, &paced->submissions[index], 1, &receipt, &client->err);
    times->accepted_us = clock_now_us();
    if (status == HEDDLE_OK && receipt.status != HEDDLE_OK) {
        client->err = receipt.error;
        status = receipt.status;
    }
    if (status == HEDDLE_OK)
        status = heddle_client_await_many(client->door.client, &receipt, 1, AWAIT_MS, note_done,
                                          &times->done_us, &next, &client->err);
    if (status == HEDDLE_OK && times->done_us == 0)
        status = heddle_fail(&client->err, HEDDLE_PERMANENT, "bench", "no result within %d s",
                             AWAIT_MS / 1000);
    return status;
}

static void sleep_until(int64_t until_us)
{
    const struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ;
}
