/* See pass.h. */
#include "engine/pass.h"

#include "base/log.h"
#include "engine/reconcile.h"
#include "ledger/controls.h"
#include "ledger/journal.h"
#include "queue/admin.h"

heddle_status pass_set_up(struct pg_link *pg, struct redis_link *redis, bool *is_new,
                          struct heddle_error *err)
{
    unsigned partitions = 0;
    int64_t payload_bytes_max = 0, controls = 0;
    bool is_whole = false;

    *is_new = false;
    heddle_status status = queue_is_whole(redis, &is_whole, err);
    if (status != HEDDLE_OK || is_whole)
        return status;
    status = journal_partitions(pg, &partitions, &payload_bytes_max, err);
    if (status != HEDDLE_OK || partitions == 0)
        return status;
    status = controls_newest(pg, &controls, err);
    if (status == HEDDLE_OK)
        status = controls > 0
                     ? queue_install_awaiting_controls(redis, partitions, payload_bytes_max, err)
                     : queue_install(redis, partitions, payload_bytes_max, err);
    if (status != HEDDLE_OK)
        return status;
    *is_new = true;
    heddle_log(HEDDLE_LOG_WARNING, "queue_set_up_again", "partitions=%u", partitions);
    return HEDDLE_OK;
}

heddle_status pass_run(const struct pass *pass, struct pass_counts *counts,
                       struct heddle_error *err)
{
    struct reconciler reconciler;
    struct command command;
    heddle_status status = HEDDLE_OK;
    bool is_last = false;

    command_init(&command);
    reconciler_init(&reconciler, pass->pg, pass->redis, &command, pass->partitions);
    reconciler.pass = pass;
    while (status == HEDDLE_OK && !is_last)
        status = reconciler_step(&reconciler, &is_last, err);
    *counts = reconciler.counts;
    reconciler_done(&reconciler);
    command_done(&command);
    return status;
}
