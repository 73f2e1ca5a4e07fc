/* See farewell.h. */
#include "engine/farewell.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/leaving.h"
#include "engine/processor.h"
#include "ledger/closing.h"
#include "queue/leavers.h"

#include <inttypes.h>
#include <stddef.h>

enum {
    EVERY_MS = 1000,
    PAGE = 100,
    PARTITIONS_A_ROUND = 16,
    JITTER_SHARE = 10, /* up to a tenth of the time on top */
};

static void tell(void *argument, const char *user, const char *reason);
static heddle_status sweep_partition(struct farewell *farewell, unsigned partition,
                                     struct heddle_error *err);
static int64_t jitter_ms(const struct farewell *farewell, const char *user);

void farewell_init(struct farewell *farewell, const struct processor_options *options,
                   struct pg_link *pg, struct redis_link *redis, unsigned partitions)
{
    *farewell = (struct farewell){
        .options = options, .pg = pg, .redis = redis, .partitions = partitions, .version = -1};
    for (size_t i = 0; options->hooks && options->hooks[i]; i++)
        farewell->has_listeners |= options->hooks[i]->user_closed != NULL;
}

heddle_status farewell_learn(struct farewell *farewell, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    int count = PAGE;

    if (!farewell->has_listeners || clock_now_ms() < farewell->next_learn_ms)
        return HEDDLE_OK;
    if (farewell->version < 0)
        status = closing_start(farewell->pg, &farewell->version, err);
    while (status == HEDDLE_OK && count == PAGE)
        status = closing_told(farewell->pg, &farewell->version, PAGE, &count, tell, farewell, err);
    farewell->next_learn_ms = clock_now_ms() + EVERY_MS;
    return status;
}

heddle_status farewell_sweep(struct farewell *farewell, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    if (farewell->options->user_idle_ms == 0) {
        if (!farewell->is_ignored)
            status = leavers_ignore(farewell->redis, farewell->partitions, err);
        farewell->is_ignored = status == HEDDLE_OK;
        return status;
    }
    if (clock_now_ms() < farewell->next_sweep_ms)
        return HEDDLE_OK;
    for (unsigned i = 0; status == HEDDLE_OK && i < farewell->partitions && i < PARTITIONS_A_ROUND;
         i++) {
        status = sweep_partition(farewell, farewell->partition, err);
        farewell->partition = (farewell->partition + 1) % farewell->partitions;
    }
    farewell->next_sweep_ms = clock_now_ms() + EVERY_MS;
    return status;
}

static void tell(void *argument, const char *user, const char *reason_name)
{
    const struct farewell *farewell = argument;
    const struct heddle_hooks *const *hooks = farewell->options->hooks;
    enum heddle_closing reason;
    struct heddle_error err;

    if (!leaving_reason_from_name(reason_name, &reason))
        return;
    /* Each is told, whatever the others say; what failed is logged. */
    for (size_t i = 0; hooks[i]; i++)
        (void)!leaving_tell_hook(hooks[i], i + 1, user, reason, &err);
}

/* Each store looks once more in the step in which it acts: Postgres before it says that the user
 * has left, the queue before it forgets that they were seen. */
static heddle_status sweep_partition(struct farewell *farewell, unsigned partition,
                                     struct heddle_error *err)
{
    const int64_t before_ms = clock_wall_us() / 1000 - farewell->options->user_idle_ms;
    struct idle_user users[IDLE_USERS_MAX];
    size_t count;

    heddle_status status = leavers_idle(farewell->redis, partition, before_ms, users, &count, err);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        bool is_said = false;
        if (users[i].seen_ms >= before_ms - jitter_ms(farewell, users[i].user))
            continue;
        fault_point("idle_user");
        status = closing_say_idle(farewell->pg, users[i].user, &is_said, err);
        if (status == HEDDLE_OK)
            status = leavers_settle(farewell->redis, partition, &users[i], is_said, err);
        if (status == HEDDLE_OK && is_said)
            heddle_log(HEDDLE_LOG_DEBUG, "user_idle", "lane=%s", LOG_TEXT(users[i].user));
    }
    return status;
}

static int64_t jitter_ms(const struct farewell *farewell, const char *user)
{
    const uint64_t most = (uint64_t)(farewell->options->user_idle_ms / JITTER_SHARE) + 1;

    return (int64_t)((uint64_t)digest_lane_key(text_of(user)) % most);
}
