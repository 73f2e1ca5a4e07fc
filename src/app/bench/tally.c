/* See tally.h. The handler runs on any worker of any processor; a user's operations never at once,
 * which is a part of what is measured: so a user's place is read and written without a lock. */
#include "app/bench/tally.h"

#include "app/bench/work.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "workers/registry.h"

static struct tally *the_tally;

/* The places of the users, then the starts: each with all that stands before it. */
static size_t starts_at(uint32_t users)
{
    const size_t end = sizeof(struct tally) + ((size_t)users + 1) * sizeof(atomic_uint_fast32_t);
    return (end + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t);
}

static size_t size_of(uint32_t users, uint64_t watched)
{
    return starts_at(users) + watched * sizeof(atomic_int_fast64_t);
}

struct tally *tally_new(uint32_t users, uint32_t watched_users, uint64_t watched)
{
    struct tally *tally = mmap(NULL, size_of(users, watched), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (tally == MAP_FAILED)
        return NULL;
    tally->users = users;
    tally->watched_users = watched_users;
    tally->watched = watched;
    tally->started_us = (atomic_int_fast64_t *)((char *)tally + starts_at(users));
    the_tally = tally;
    return tally;
}

void tally_free(struct tally *tally)
{
    if (!tally)
        return;
    the_tally = NULL;
    munmap(tally, size_of(tally->users, tally->watched));
}

void tally_join(struct tally *tally)
{
    int place = atomic_fetch_add(&tally->processor_count, 1);

    if (place < TALLY_PROCESSORS_MAX)
        tally->processors[place] = getpid();
}

static void note_start(struct tally *tally, uint32_t user, uint32_t number)
{
    if (user > tally->watched_users || number < 1)
        return;
    uint64_t place = (uint64_t)(number - 1) * tally->watched_users + user - 1;
    if (place < tally->watched)
        atomic_store_explicit(&tally->started_us[place], clock_now_us(), memory_order_relaxed);
}

static heddle_status run_noop(struct heddle_task *task, struct heddle_error *err)
{
    const struct heddle_operation *operation = heddle_task_operation(task);
    static const size_t prefix_size = sizeof BENCH_USER_PREFIX - 1;
    const char *label = strchr(operation->payload.data, ':');
    struct tally *tally = the_tally;

    (void)err;
    atomic_fetch_add_explicit(&tally->runs, 1, memory_order_relaxed);
    uint32_t user = operation->user.size > prefix_size
                        ? (uint32_t)strtoul(operation->user.data + prefix_size, NULL, 10)
                        : 0;
    if (user < 1 || user > tally->users || !label) {
        atomic_fetch_add(&tally->strange, 1);
        return HEDDLE_OK;
    }
    uint32_t number = (uint32_t)strtoul(label + 2, NULL, 10);
    uint32_t last = (uint32_t)atomic_load_explicit(&tally->last[user], memory_order_relaxed);
    if (number <= last)
        atomic_fetch_add(&tally->repeated, 1);
    else if (number > last + 1)
        atomic_fetch_add(&tally->early, 1);
    if (number > last)
        atomic_store_explicit(&tally->last[user], number, memory_order_relaxed);
    note_start(tally, user, number);
    return HEDDLE_OK;
}

static const struct heddle_handler noop_handler = {
    .op = BENCH_NOOP_OP,
    .flags = HEDDLE_HANDLER_NO_EFFECTS,
    .prepare = run_noop,
};

const struct heddle_handler *const *tally_handlers(void)
{
    static const struct heddle_handler *handlers[32] = {&noop_handler};
    const struct heddle_handler *const *shipped = workers_registry();
    size_t count = 1;

    while (*shipped && count + 1 < sizeof handlers / sizeof *handlers)
        handlers[count++] = *shipped++;
    handlers[count] = NULL;
    return handlers;
}
