/* heddle users show U: what queue, journal and the processor that holds the lane know of a user. */
#include "app/arguments.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/users.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/fleet.h"

static heddle_status add_ledger(const struct invocation *invocation, json_t *row,
                                struct heddle_error *err);
static heddle_status add_running(struct redis_link *queue, json_t *row, struct heddle_error *err);

static enum exit_code run(const struct invocation *invocation)
{
    const char *user = arguments_word(invocation->arguments, 1);
    struct redis_link *queue;
    unsigned partitions;
    struct heddle_error err;
    json_t *row = NULL;

    if (!users_name_fits(&users_show, user))
        return EXIT_USAGE;
    heddle_status status = users_open_queue(invocation, &queue, &partitions, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    status = users_row(queue, partitions, user, &row, &err);
    if (status == HEDDLE_OK)
        status = add_running(queue, row, &err);
    if (status == HEDDLE_OK)
        status = add_ledger(invocation, row, &err);
    redis_free(queue);
    if (status == HEDDLE_OK && invocation->with_json)
        json_out(json_incref(row));
    else if (status == HEDDLE_OK)
        json_out_lines(row);
    json_decref(row);
    return status == HEDDLE_OK ? EXIT_DONE : report(invocation, status, &err);
}

const struct users_verb users_show = {"show", 2, 2, "one user", run};

static heddle_status add_ledger(const struct invocation *invocation, json_t *row,
                                struct heddle_error *err)
{
    struct pg_link *ledger;
    char *told;

    heddle_status status = links_postgres(invocation->options, &ledger, err);
    if (status != HEDDLE_OK)
        return status;
    status = users_told(ledger, json_text(row, "user"), &told, err);
    pg_free(ledger);
    if (status != HEDDLE_OK)
        return status;
    json_object_update_new(row, json_loads(told, 0, NULL));
    free(told);
    return HEDDLE_OK;
}

/* What the holder says that it does with the lane; absent where it does not answer. */
static heddle_status add_running(struct redis_link *queue, json_t *row, struct heddle_error *err)
{
    struct fleet_members fleet = {0};

    if (!json_object_get(row, "holder"))
        return HEDDLE_OK;
    fleet_add(&fleet, text_of(json_text(row, "holder")), 0);
    heddle_status status =
        fleet_ask(queue, text_of(json_text(row, "user")), FLEET_PATIENCE_MS, &fleet, err);
    if (status == HEDDLE_OK && fleet.members[0].report) {
        json_t *report = json_loads(fleet.members[0].report, 0, NULL);
        json_object_set(row, "running",
                        json_object_get(json_object_get(report, "lane"), "running"));
        json_decref(report);
    }
    fleet_members_done(&fleet);
    return status;
}
