/* Looks at every lane, at whether each operation stands in one, and at keys that must have an end
 * (check.h). */
#include "queue/check_internal.h"

#include "base/text.h"
#include "link/redis.h"
#include "queue/id_set.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { IDS_MAX = 500000 /* compared in one pass */ };

struct walk {
    struct checker *checker;
    struct id_set ids; /* operations that no lane has shown so far */
    bool is_first;     /* the first of the passes: it reports and repairs lanes and keys */
};

/* A key of a page, and what is left to do for it. */
struct step {
    struct queue_key key;
    bool is_lane, is_done; /* one of the lists of a lane */
    int64_t from;          /* of a lane: behind how many of its newest ids to go on */
};

static heddle_status collect_ids(struct walk *walk, unsigned partition, size_t pass, size_t passes,
                                 struct heddle_error *err);
static heddle_status visit(void *argument, const struct redis_reply *keys,
                           struct heddle_error *err);
static bool is_list(const char *kind);
static heddle_status ask(struct walk *walk, const struct step *step, struct heddle_error *err);
static heddle_status answer(struct walk *walk, struct step *step, struct heddle_error *err);
static void read_lane(struct walk *walk, struct step *step, const struct redis_reply *reply);
static heddle_status give_end(struct walk *walk, const struct queue_key *key,
                              struct heddle_error *err);
static heddle_status check_record(struct checker *checker, const char *id, unsigned partition,
                                  struct heddle_error *err);

/* Passes, each of which compares its share of the operations: memory is bounded. */
heddle_status check_walk(struct checker *checker, struct heddle_error *err)
{
    const size_t total = (size_t)checker->census->operations, passes = total / IDS_MAX + 1;
    heddle_status status = HEDDLE_OK;

    for (size_t pass = 0; status == HEDDLE_OK && pass < passes; pass++) {
        struct walk walk = {.checker = checker, .is_first = pass == 0};
        size_t index = 0;
        unsigned partition;
        id_set_init(&walk.ids, total / passes + 1000);
        for (unsigned p = 0; status == HEDDLE_OK && p < checker->check->partitions; p++)
            status = collect_ids(&walk, p, pass, passes, err);
        if (status == HEDDLE_OK)
            status = check_scan(checker, "heddle:{*}:*:*", visit, &walk, err);
        for (const char *id;
             status == HEDDLE_OK && (id = id_set_next(&walk.ids, &index, &partition));)
            status = check_record(checker, id, partition, err);
        id_set_done(&walk.ids);
    }
    return status;
}

static heddle_status collect_ids(struct walk *walk, unsigned partition, size_t pass, size_t passes,
                                 struct heddle_error *err)
{
    struct checker *checker = walk->checker;
    struct check_page page = CHECK_FIRST_PAGE;
    heddle_status status = HEDDLE_OK;

    while (status == HEDDLE_OK && !page.is_last) {
        AUTO_REPLY reply = NULL;
        command_begin(&checker->command, "heddle_check_ids", partition);
        command_string(&checker->command, page.cursor);
        status = command_call(&checker->command, checker->check->link, &reply, err);
        for (size_t i = 1; i < redis_reply_count(reply); i++) {
            struct heddle_text id = redis_reply_text(redis_reply_at(reply, i));
            if ((id_hash(id) >> 32) % passes == pass)
                id_set_add(&walk->ids, id, partition);
        }
        check_turn(&page, reply);
    }
    return status;
}

/* The first questions about a page's keys go out together; long lanes go on one by one. */
static heddle_status visit(void *argument, const struct redis_reply *keys, struct heddle_error *err)
{
    struct walk *walk = argument;
    struct step *steps =
        arena_alloc(&walk->checker->texts, (redis_reply_count(keys) + 1) * sizeof *steps);
    heddle_status status = HEDDLE_OK;
    size_t count = 0;

    for (size_t i = 0; i < redis_reply_count(keys); i++) {
        struct step *step = &steps[count];
        *step = (struct step){0};
        if (!check_read_key(walk->checker, redis_reply_at(keys, i), &step->key) ||
            strcmp(step->key.kind, "held") == 0 || strcmp(step->key.kind, "ready") == 0 ||
            strcmp(step->key.kind, "unique") == 0 || strcmp(step->key.kind, "line") == 0 ||
            strcmp(step->key.kind, "busy") == 0)
            continue;
        step->is_lane = is_list(step->key.kind);
        count += step->is_lane || walk->is_first;
    }
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
        status = ask(walk, &steps[i], err);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
        status = answer(walk, &steps[i], err);
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
        while (status == HEDDLE_OK && !steps[i].is_done) {
            status =
                steps[i].is_lane ? ask(walk, &steps[i], err) : give_end(walk, &steps[i].key, err);
            if (status == HEDDLE_OK && steps[i].is_lane)
                status = answer(walk, &steps[i], err);
            steps[i].is_done |= !steps[i].is_lane;
        }
    arena_reset(&walk->checker->texts);
    return status;
}

static bool is_list(const char *kind)
{
    return strcmp(kind, "lane") == 0 || strcmp(kind, "urgent") == 0 || strcmp(kind, "bulk") == 0;
}

static heddle_status ask(struct walk *walk, const struct step *step, struct heddle_error *err)
{
    struct checker *checker = walk->checker;
    struct command *command = &checker->command;

    if (!step->is_lane)
        return redis_append(checker->check->link, 2, (const char *[]){"PTTL", step->key.text},
                            (size_t[]){4, strlen(step->key.text)}, err);
    command_begin(command, "heddle_check_lane", step->key.partition);
    command_number(command, checker->check->repairs && walk->is_first);
    command_format(command, "%s:%s", step->key.kind, step->key.name);
    command_number(command, step->from);
    for (size_t i = 0; i < checker->holder_count; i++)
        command_string(command, checker->holders[i]);
    return command_send(command, checker->check->link, err);
}

static heddle_status answer(struct walk *walk, struct step *step, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = command_receive(walk->checker->check->link, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    if (step->is_lane)
        read_lane(walk, step, reply);
    else
        step->is_done = redis_reply_integer(reply) != -1;
    return HEDDLE_OK;
}

static void read_lane(struct walk *walk, struct step *step, const struct redis_reply *reply)
{
    const struct heddle_text lane = text_of(step->key.name);
    const struct redis_reply *bare = redis_reply_at(reply, 3), *ids = redis_reply_at(reply, 4);
    const char *kind = redis_reply_text(redis_reply_at(reply, 1)).data;

    step->from = redis_reply_integer(redis_reply_at(reply, 0));
    step->is_done = step->from == 0;
    for (size_t i = 0; i < redis_reply_count(ids); i++)
        id_set_remove(&walk->ids, redis_reply_text(redis_reply_at(ids, i)));
    if (!walk->is_first)
        return;
    walk->checker->census->lanes += redis_reply_integer(redis_reply_at(reply, 5)) == 1;
    for (size_t i = 0; i < redis_reply_count(bare); i++)
        check_note(walk->checker, "no_record", step->key.partition, lane,
                   "its entry %s is no operation", redis_reply_text(redis_reply_at(bare, i)).data);
    if (*kind)
        check_note(walk->checker, kind, step->key.partition, lane, "%s",
                   redis_reply_text(redis_reply_at(reply, 2)).data);
}

static heddle_status give_end(struct walk *walk, const struct queue_key *key,
                              struct heddle_error *err)
{
    const struct queue_check *check = walk->checker->check;
    AUTO_REPLY reply = NULL;
    char ttl_ms[24];

    snprintf(ttl_ms, sizeof ttl_ms, "%" PRId64, check->result_ttl_ms);
    heddle_status status = HEDDLE_OK;
    if (check->repairs)
        status = redis_callf(check->link, &reply, err, "PEXPIRE", key->text, ttl_ms, "NX", NULL);
    if (status == HEDDLE_OK && (!check->repairs || redis_reply_integer(reply) == 1))
        check_note(walk->checker, "endless_key", key->partition, TEXT(""),
                   "%s:%s would stay for ever", key->kind, key->name);
    return status;
}

/* No lane has shown it: it has ended or moved meanwhile, or is lost. */
static heddle_status check_record(struct checker *checker, const char *id, unsigned partition,
                                  struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    int64_t from = 0;

    do {
        AUTO_REPLY reply = NULL;
        command_begin(&checker->command, "heddle_check_record", partition);
        command_string(&checker->command, id);
        command_number(&checker->command, from);
        command_number(&checker->command, checker->check->repairs);
        status = command_call(&checker->command, checker->check->link, &reply, err);
        from = redis_reply_integer(redis_reply_at(reply, 1));
        struct heddle_text lane = redis_reply_text(redis_reply_at(reply, 0));
        if (status == HEDDLE_OK && from == 0 && lane.size > 0)
            check_note(checker, "record_lost", partition, lane,
                       "its operation %s stands in no lane", id);
    } while (status == HEDDLE_OK && from > 0);
    return status;
}
