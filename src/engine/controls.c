/* See controls.h. */
#include "engine/controls.h"

#include "base/arena.h"
#include "ledger/controls.h"
#include "queue/command.h"
#include "queue/controls.h"

#include <stdint.h>
#include <stdlib.h>

enum { PAGE_COUNT = 500, PAGES_MAX = 100000 };

struct spreading {
    struct pg_link *pg;
    struct redis_link *redis;
    struct command command;
    struct arena arena;
    int64_t newest;
};

static heddle_status catch_up(struct spreading *spreading, unsigned partition, int64_t version,
                              struct heddle_error *err);
static heddle_status push_page(struct spreading *spreading, unsigned partition, int64_t behind,
                               int64_t *version, struct heddle_error *err);

heddle_status controls_spread(struct pg_link *pg, struct redis_link *redis, unsigned partitions,
                              struct heddle_error *err)
{
    struct spreading spreading = {.pg = pg, .redis = redis};

    heddle_status status = controls_newest(pg, &spreading.newest, err);
    if (status != HEDDLE_OK || spreading.newest == 0)
        return status;
    int64_t *versions = memory_take(partitions * sizeof *versions);
    command_init(&spreading.command);
    arena_init(&spreading.arena, 0);
    status = partition_controls(redis, partitions, versions, err);
    /* Once more, so that none of them is newer, but where Postgres has gone back. */
    if (status == HEDDLE_OK)
        status = controls_newest(pg, &spreading.newest, err);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++)
        status = catch_up(&spreading, p, versions[p], err);
    arena_done(&spreading.arena);
    command_done(&spreading.command);
    free(versions);
    return status;
}

/* Another may have brought it further meanwhile: then we go on from there. */
static heddle_status catch_up(struct spreading *spreading, unsigned partition, int64_t version,
                              struct heddle_error *err)
{
    int64_t behind = version > spreading->newest ? 0 : version;
    heddle_status status = HEDDLE_OK;

    for (int pages = 0; status == HEDDLE_OK && behind < spreading->newest && pages < PAGES_MAX;
         pages++) {
        status = push_page(spreading, partition, behind, &version, err);
        behind = version;
        arena_reset(&spreading->arena);
    }
    return status;
}

/* The controls behind a version, to a partition that knows another, or that one. */
static heddle_status push_page(struct spreading *spreading, unsigned partition, int64_t behind,
                               int64_t *version, struct heddle_error *err)
{
    struct command *command = &spreading->command;
    struct control *controls;
    size_t count;

    heddle_status status = controls_since(spreading->pg, behind, PAGE_COUNT, &spreading->arena,
                                          &controls, &count, err);
    if (status != HEDDLE_OK)
        return status;
    partition_controls_begin(command, partition, *version,
                             count > 0 ? controls[count - 1].version : behind, count < PAGE_COUNT);
    for (size_t i = 0; i < count; i++) {
        command_number(command, controls[i].version);
        command_string(command, controls[i].kind);
        command_string(command, controls[i].key);
        command_string(command, controls[i].value);
    }
    return partition_controls_end(command, spreading->redis, version, err);
}
