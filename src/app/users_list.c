/* heddle users list: the users who come first by one measure. */
#include "app/arguments.h"
#include "app/json_out.h"
#include "app/links.h"
#include "app/ranking.h"
#include "app/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/users.h"
#include "link/pg.h"
#include "link/redis.h"
#include "queue/users.h"

enum { LIMIT = 20, LIMIT_MAX = 1000 };

struct listing {
    const struct invocation *invocation;
    const char *by;
    int64_t limit;
    struct redis_link *queue;
    unsigned partitions;
    struct ranking ranking;
};

static bool read_listing(struct listing *listing);
static heddle_status rank_lanes(struct listing *listing, struct heddle_error *err);
static void note_lane(void *argument, struct heddle_text row);
static heddle_status rank_failures(struct listing *listing, struct heddle_error *err);
static void note_failures(void *argument, const char *json);
static heddle_status print_all(struct listing *listing, struct heddle_error *err);
static double backlog_of(const json_t *row);
static double wait_of(const json_t *row);
static double failures_of(const json_t *row);

static enum exit_code run(const struct invocation *invocation)
{
    struct listing listing = {.invocation = invocation};
    struct heddle_error err;

    if (!read_listing(&listing))
        return EXIT_USAGE;
    heddle_status status = users_open_queue(invocation, &listing.queue, &listing.partitions, &err);
    if (status != HEDDLE_OK)
        return report(invocation, status, &err);
    const bool by_failures = strcmp(listing.by, "failures") == 0;
    ranking_init(&listing.ranking,
                 by_failures                       ? failures_of
                 : strcmp(listing.by, "wait") == 0 ? wait_of
                                                   : backlog_of,
                 "user", (size_t)listing.limit);
    status = by_failures ? rank_failures(&listing, &err) : rank_lanes(&listing, &err);
    if (status == HEDDLE_OK)
        status = print_all(&listing, &err);
    ranking_done(&listing.ranking);
    redis_free(listing.queue);
    return status == HEDDLE_OK ? EXIT_DONE : report(invocation, status, &err);
}

const struct users_verb users_list = {"list", 1, 1, "no user", run};

static bool read_listing(struct listing *listing)
{
    const struct arguments *arguments = listing->invocation->arguments;
    const char *by = arguments_get(arguments, "by"), *limit = arguments_get(arguments, "limit");

    listing->by = by ? by : "backlog";
    listing->limit = LIMIT;
    if (strcmp(listing->by, "backlog") != 0 && strcmp(listing->by, "wait") != 0 &&
        strcmp(listing->by, "failures") != 0)
        report_text(EXIT_USAGE, "--by = %.60s: allowed is backlog, wait or failures", by);
    else if (limit && !text_parse_positive(text_of(limit), LIMIT_MAX, &listing->limit))
        report_text(EXIT_USAGE, "--limit = %.60s: allowed is 1 to %d", limit, LIMIT_MAX);
    else
        return true;
    return false;
}

static heddle_status rank_lanes(struct listing *listing, struct heddle_error *err)
{
    struct users_walk *walk = users_walk_new(listing->queue, listing->partitions);
    heddle_status status = HEDDLE_OK;
    bool is_last = false;

    while (status == HEDDLE_OK && !is_last)
        status = users_walk_next(walk, note_lane, listing, &is_last, err);
    users_walk_free(walk);
    return status;
}

static void note_lane(void *argument, struct heddle_text row)
{
    struct listing *listing = argument;
    json_t *user = json_loadb(row.data, row.size, 0, NULL);

    if (user)
        ranking_offer(&listing->ranking, user);
}

static heddle_status rank_failures(struct listing *listing, struct heddle_error *err)
{
    struct pg_link *ledger;

    heddle_status status = links_postgres(listing->invocation->options, &ledger, err);
    if (status != HEDDLE_OK)
        return status;
    status = users_failing(ledger, listing->limit, note_failures, listing, err);
    pg_free(ledger);
    return status;
}

static void note_failures(void *argument, const char *json)
{
    struct listing *listing = argument;

    ranking_offer(&listing->ranking, json_loads(json, 0, NULL));
}

/* Each as it is now: what was ranked is some moments old. */
static heddle_status print_all(struct listing *listing, struct heddle_error *err)
{
    const bool with_json = listing->invocation->with_json;
    json_t *ranked;
    size_t i;

    if (!with_json)
        printf("%9s %9s %9s %-8s %s\n", "BACKLOG", "WAIT_MS", "FAILURES", "STATE", "USER");
    json_array_foreach(listing->ranking.rows, i, ranked)
    {
        json_t *row;
        heddle_status status =
            users_row(listing->queue, listing->partitions, json_text(ranked, "user"), &row, err);
        if (status != HEDDLE_OK)
            return status;
        if (json_object_get(ranked, "failed"))
            json_object_update(row, ranked);
        if (with_json) {
            json_out(row);
            continue;
        }
        char name[300];
        snprintf(name, sizeof name, "%s", json_text(row, "user"));
        text_make_line(name);
        printf("%9.0f %9.0f %9.0f %-8s %s\n", backlog_of(row), json_number(row, "wait_ms"),
               failures_of(row), json_text(row, "state"), name);
        json_decref(row);
    }
    return HEDDLE_OK;
}

static double backlog_of(const json_t *row)
{
    return json_number(row, "backlog");
}

/* The oldest first. */
static double wait_of(const json_t *row)
{
    return -json_number(row, "first_ms");
}

static double failures_of(const json_t *row)
{
    return json_number(row, "failed") + json_number(row, "dead");
}
