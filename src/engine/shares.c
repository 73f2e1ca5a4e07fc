/* See shares.h. A round has a number that rises (its epoch); partitions listen to no older round
 * than the newest one that has asked them, and it asks all of them before it changes anything. */
#include "engine/shares.h"

#include "base/arena.h"
#include "engine/portions.h"
#include "ledger/controls.h"
#include "link/redis.h"
#include "queue/command.h"
#include "queue/controls.h"

#include <stdlib.h>
#include <string.h>

enum pass { PASS_ASK, PASS_LOWER, PASS_RAISE };

struct balance {
    struct redis_link *redis;
    struct command command;
    struct arena arena;
    unsigned partitions;
    int64_t epoch;
    const struct shared_limit *limits;
    size_t limit_count;
    struct portion *portions; /* of each limit, of each partition */
    int64_t *taken;    /* of each limit: credit that was given back, in millionths of tokens */
    int64_t *raised;   /* of each limit: what will be given out */
    bool is_overtaken; /* by a later round */
};

static heddle_status carry_out(struct balance *balance, enum pass pass, struct heddle_error *err);
static bool append_limits(struct balance *balance, unsigned partition, enum pass pass);
static heddle_status receive(struct balance *balance, unsigned partition, enum pass pass,
                             struct heddle_error *err);
static bool is_concerned(const struct portion *portion, enum pass pass);
static struct portion *portion_of(const struct balance *balance, size_t limit, unsigned partition);
static void divide(struct balance *balance);
static void fit(struct balance *balance);
static bool is_rate(const struct shared_limit *limit);
static heddle_status note_used(struct balance *balance, struct pg_link *pg,
                               struct heddle_error *err);

heddle_status shares_balance(struct pg_link *pg, struct redis_link *redis, unsigned partitions,
                             bool *is_contended, struct heddle_error *err)
{
    struct balance balance = {.redis = redis, .partitions = partitions};

    *is_contended = false;
    arena_init(&balance.arena, 0);
    command_init(&balance.command);
    heddle_status status = controls_shared(pg, &balance.arena, &balance.epoch, &balance.limits,
                                           &balance.limit_count, err);
    if (status == HEDDLE_OK && balance.limit_count > 0) {
        size_t count = balance.limit_count * partitions;
        balance.portions = memory_take_zeroed(count, sizeof *balance.portions);
        balance.taken = memory_take_zeroed(balance.limit_count, sizeof *balance.taken);
        balance.raised = memory_take_zeroed(balance.limit_count, sizeof *balance.raised);
        status = carry_out(&balance, PASS_ASK, err);
        if (status == HEDDLE_OK && !balance.is_overtaken)
            status = note_used(&balance, pg, err);
        divide(&balance);
        for (size_t l = 0; l < balance.limit_count; l++)
            *is_contended |= portions_are_contended(portion_of(&balance, l, 0), partitions);
        if (status == HEDDLE_OK)
            status = carry_out(&balance, PASS_LOWER, err);
        fit(&balance);
        if (status == HEDDLE_OK)
            status = carry_out(&balance, PASS_RAISE, err);
    }
    free(balance.raised);
    free(balance.taken);
    free(balance.portions);
    command_done(&balance.command);
    arena_done(&balance.arena);
    return status;
}

/* To all partitions that it concerns, in one round trip. */
static heddle_status carry_out(struct balance *balance, enum pass pass, struct heddle_error *err)
{
    bool *is_sent = memory_take_zeroed(balance->partitions, sizeof *is_sent);
    heddle_status status = HEDDLE_OK;

    for (unsigned p = 0; status == HEDDLE_OK && !balance->is_overtaken && p < balance->partitions;
         p++) {
        partition_shares_begin(&balance->command, p, balance->epoch);
        is_sent[p] = append_limits(balance, p, pass);
        if (is_sent[p])
            status = command_send(&balance->command, balance->redis, err);
    }
    for (unsigned p = 0; status == HEDDLE_OK && p < balance->partitions; p++)
        if (is_sent[p])
            status = receive(balance, p, pass, err);
    if (status != HEDDLE_OK)
        redis_close(balance->redis); /* answers that nobody waits for any more */
    free(is_sent);
    return status;
}

static bool append_limits(struct balance *balance, unsigned partition, enum pass pass)
{
    bool is_any = false;

    for (size_t l = 0; l < balance->limit_count; l++) {
        const struct portion *portion = portion_of(balance, l, partition);
        const struct shared_limit *limit = &balance->limits[l];
        int64_t credit = 0;
        if (!is_concerned(portion, pass))
            continue;
        if (pass == PASS_RAISE && is_rate(limit))
            credit =
                (int64_t)((double)balance->taken[l] * (double)(portion->wanted - portion->share) /
                          (double)balance->raised[l]);
        partition_shares_add(&balance->command, limit->kind, limit->key,
                             pass == PASS_ASK ? SHARE_ASKED : portion->wanted, credit);
        is_any = true;
    }
    return is_any;
}

static heddle_status receive(struct balance *balance, unsigned partition, enum pass pass,
                             struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;
    size_t at = 0;

    heddle_status status = command_receive(balance->redis, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    balance->is_overtaken |= !partition_shares_accepted(reply);
    for (size_t l = 0; l < balance->limit_count; l++) {
        struct portion *portion = portion_of(balance, l, partition);
        struct partition_share share;
        if (!is_concerned(portion, pass) || !partition_shares_read(reply, at++, &share))
            continue;
        portion->is_known = share.share >= 0;
        portion->share = share.share >= 0 ? share.share : 0;
        portion->used = share.used;
        portion->waiting = share.waiting;
        portion->oldest_us = share.oldest_us;
        balance->taken[l] += share.taken;
    }
    return HEDDLE_OK;
}

/* It does not change between question and answer of a pass but by the answer. */
static bool is_concerned(const struct portion *portion, enum pass pass)
{
    switch (pass) {
    case PASS_ASK:
        return true;
    case PASS_LOWER:
        return portion->wanted < portion->share;
    case PASS_RAISE:
        return portion->wanted > portion->share;
    }
    return false;
}

static struct portion *portion_of(const struct balance *balance, size_t limit, unsigned partition)
{
    return &balance->portions[limit * balance->partitions + partition];
}

static void divide(struct balance *balance)
{
    for (size_t l = 0; l < balance->limit_count; l++)
        portions_divide(portion_of(balance, l, 0), balance->partitions, balance->limits[l].total,
                        !is_rate(&balance->limits[l]));
}

static void fit(struct balance *balance)
{
    for (size_t l = 0; l < balance->limit_count; l++) {
        struct portion *portions = portion_of(balance, l, 0);
        portions_fit(portions, balance->partitions, balance->limits[l].total);
        for (unsigned p = 0; p < balance->partitions; p++)
            if (portions[p].wanted > portions[p].share)
                balance->raised[l] += portions[p].wanted - portions[p].share;
    }
}

static bool is_rate(const struct shared_limit *limit)
{
    return strcmp(limit->kind, "rate") == 0;
}

/* How much of each cap is used, for submissions that Redis does not see. */
static heddle_status note_used(struct balance *balance, struct pg_link *pg,
                               struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (size_t l = 0; status == HEDDLE_OK && l < balance->limit_count; l++) {
        int64_t used = 0;
        if (strcmp(balance->limits[l].kind, "cap") != 0)
            continue;
        for (unsigned p = 0; p < balance->partitions; p++)
            used += portion_of(balance, l, p)->used;
        status = controls_note_used(pg, &balance->limits[l], used, err);
    }
    return status;
}
