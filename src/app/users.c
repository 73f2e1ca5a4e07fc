/* heddle users: who waits, for what, who fails, who gets how much of the service; who leaves. */
#include "app/users.h"

#include "app/arguments.h"
#include "app/json_out.h"
#include "app/links.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "link/redis.h"
#include "queue/admin.h"
#include "queue/look.h"

static const struct users_verb *const verbs[] = {&users_list, &users_show, &users_weight,
                                                 &users_plan, &users_close};

static enum exit_code run(const struct invocation *invocation)
{
    const char *word = arguments_word(invocation->arguments, 0);
    size_t i = 0;

    while (i < sizeof verbs / sizeof *verbs && (!word || strcmp(verbs[i]->name, word) != 0))
        i++;
    if (i == sizeof verbs / sizeof *verbs)
        return report_text(EXIT_USAGE,
                           "users %.60s: allowed are list, show, weight, plan and close",
                           word ? word : "(none)");
    if (invocation->arguments->word_count < verbs[i]->words_min ||
        invocation->arguments->word_count > verbs[i]->words_max)
        return report_text(EXIT_USAGE, "users %s: takes %s", word, verbs[i]->takes);
    return verbs[i]->run(invocation);
}

static const struct flag flags[] = {
    {"by", "WHAT",
     "list: those with the most backlog (default), wait or failures first; weight, plan: "
     "who says so, default you, on this host"},
    {"limit", "N", "list: so many at most; default 20"},
    {"plan", "P", "weight: of the plan's users"},
    {"reset", NULL, "weight: as if it had never been said; plan: none any more"},
    {"reason", "WHY", "close: logout, password_change or deleted"},
    {"pending", "WHAT",
     "close: keep, cancel or purge what has not begun; default keep, of deleted cancel"},
    {"purge", NULL, "close: the content of all that has ended, too"},
    {0},
};

const struct command command_users = {
    .name = "users",
    .usage = "list [--by backlog|wait|failures] [--limit N]\n"
             "heddle users show U\n"
             "heddle users weight [U [N] | --plan P [N]] [--reset] [--by WHO]\n"
             "heddle users plan U [P] [--reset] [--by WHO]\n"
             "heddle users close U --reason logout|password_change|deleted\n"
             "             [--pending keep|cancel|purge] [--purge]",
    .summary =
        "list users by backlog, wait or failures; show what is known of one; say how much of "
        "the service each gets; close one",
    .details =
        "The backlog is what is queued in the user's lane, the wait the age of its first\n"
        "operation, failures those operations that failed or died in the last day. A user has a\n"
        "lane while there is something in it: list looks at all lanes, page by page.\n"
        "`ahead` is by how much service the lane is ahead of its share: others come first.\n"
        "close is for a user who leaves. Plugins are told, in every processor, so that\n"
        "credentials and what else they keep can go. Of one that is deleted, recurring\n"
        "operations, unique keys, pauses, limits, weights and dead letters go as well. Purging "
        "takes\n"
        "payloads, results and errors out of the ledger and results out of Redis, but for those\n"
        "that Redis alone has, which end with result_ttl; that the operations were, and how they\n"
        "ended, stays. What runs is left alone. Each step stands alone: exit 1 names those that\n"
        "failed, again is fine.\n"
        "\n"
        "Where there is more to do than can be done, users are served by their weight, 0.01 to\n"
        "1000: with 3 one gets three times the time that one gets who has none, whose is 1. What\n"
        "counts is the time that operations took. A user's own weight comes before that of its\n"
        "plan. A change is felt at once by what is queued (of a plan, by the thousand ready users\n"
        "of a partition that are the furthest behind, and by the others from their next turn on).\n"
        "Without a user and a plan, weight lists them. From SQL: heddle.set_weight(user_id => …,\n"
        "weight => …), heddle.set_plan(user_id, plan), view heddle.weights.\n",
    .flags = flags,
    .words_max = 3,
    .loads_settings = true,
    .run = run,
};

bool users_name_fits(const struct users_verb *verb, const char *user)
{
    if (*user && strlen(user) <= HEDDLE_USER_SIZE_MAX && text_is_utf8(user, strlen(user)))
        return true;
    report_text(EXIT_USAGE, "users %s: a user is 1 to %d bytes of UTF-8", verb->name,
                HEDDLE_USER_SIZE_MAX);
    return false;
}

heddle_status users_open_queue(const struct invocation *invocation, struct redis_link **queue,
                               unsigned *partitions, struct heddle_error *err)
{
    struct queue_facts facts;
    struct redis_link *link;

    heddle_status status = links_redis(invocation->options, &link, err);
    if (status != HEDDLE_OK)
        return status;
    status = queue_facts_get(link, &facts, err);
    if (status == HEDDLE_OK)
        status = queue_facts_judge(&facts, err);
    if (status != HEDDLE_OK) {
        redis_free(link);
        return status;
    }
    *queue = link;
    *partitions = facts.partitions;
    return HEDDLE_OK;
}

heddle_status users_row(struct redis_link *queue, unsigned partitions, const char *user,
                        json_t **row, struct heddle_error *err)
{
    const struct look look = {.user = text_of(user)};
    char *json;

    heddle_status status = look_at(queue, partitions, &look, &json, err);
    if (status != HEDDLE_OK)
        return status;
    json_t *seen = json_loads(json, 0, NULL), *lane = json_object_get(seen, "lane");
    *row = json_pack("{s:s, s:O}", "user", user, "partition", json_object_get(seen, "partition"));
    json_object_update(*row, lane);
    json_object_del(*row, "first_ms");
    if (json_object_get(lane, "first"))
        json_object_set_new(
            *row, "wait_ms",
            json_integer((json_int_t)(json_number(seen, "at_ms") - json_number(lane, "first_ms"))));
    json_object_set(*row, "paused", json_object_get(seen, "paused"));
    json_decref(seen);
    free(json);
    return HEDDLE_OK;
}
