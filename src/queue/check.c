/* See check.h. */
#include "queue/check.h"

#include "base/text.h"
#include "link/redis.h"
#include "queue/check_internal.h"

#include <stdio.h>
#include <string.h>

static void checker_init(struct checker *checker, const struct queue_check *check);
static void checker_done(struct checker *checker);
static heddle_status count_partition(struct checker *checker, unsigned partition,
                                     struct heddle_error *err);
static heddle_status check_members(struct checker *checker, unsigned partition,
                                   const char *collection, struct heddle_error *err);
static heddle_status next_members(struct checker *checker, unsigned partition,
                                  const char *collection, struct check_page *page,
                                  struct redis_reply **reply, struct heddle_error *err);
static void note_member(struct checker *checker, unsigned partition, const char *collection,
                        struct heddle_text member, const char *kind);
static heddle_status check_claims(void *argument, const struct redis_reply *keys,
                                  struct heddle_error *err);
static heddle_status check_limits(void *argument, const struct redis_reply *keys,
                                  struct heddle_error *err);

heddle_status queue_check_lanes(const struct queue_check *check, struct queue_census *census,
                                struct heddle_error *err)
{
    static const char *const collections[] = {"ready",   "ready:urgent", "ready:bulk", "classed",
                                              "waiting", "waits",        "halted",     "scheduled",
                                              "uniques", "counted"};
    heddle_status status = HEDDLE_OK;
    struct checker checker;

    checker_init(&checker, check);
    checker.census = census;
    *census = (struct queue_census){0};
    /* Who does not live any more comes first: the rest is judged by it. */
    for (unsigned p = 0; status == HEDDLE_OK && p < check->partitions; p++) {
        status = check_members(&checker, p, "beats", err);
        if (status == HEDDLE_OK)
            status = check_members(&checker, p, "idle", err);
    }
    if (status == HEDDLE_OK)
        status = check_scan(&checker, "heddle:{*}:held:*", check_claims, &checker, err);
    for (unsigned p = 0; status == HEDDLE_OK && p < check->partitions; p++) {
        status = count_partition(&checker, p, err);
        for (size_t i = 0; status == HEDDLE_OK && i < sizeof collections / sizeof *collections; i++)
            status = check_members(&checker, p, collections[i], err);
    }
    if (status == HEDDLE_OK)
        status = check_scan(&checker, "heddle:{*}:line:*", check_limits, &checker, err);
    if (status == HEDDLE_OK)
        status = check_scan(&checker, "heddle:{*}:busy:*", check_limits, &checker, err);
    if (status == HEDDLE_OK)
        status = check_walk(&checker, err);
    checker_done(&checker);
    return status;
}

heddle_status queue_check_wishes(const struct queue_check *check, queue_wish_function *found,
                                 void *argument, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct checker checker;

    checker_init(&checker, check);
    for (unsigned p = 0; status == HEDDLE_OK && p < check->partitions; p++) {
        struct check_page page = CHECK_FIRST_PAGE;
        while (status == HEDDLE_OK && !page.is_last) {
            AUTO_REPLY reply = NULL;
            status = next_members(&checker, p, "replies", &page, &reply, err);
            for (size_t i = 1; i + 1 < redis_reply_count(reply); i += 2)
                found(argument, p, redis_reply_text(redis_reply_at(reply, i)));
        }
    }
    checker_done(&checker);
    return status;
}

heddle_status queue_check_wish(const struct queue_check *check, unsigned partition, const char *id,
                               struct heddle_text result, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;
    struct checker checker;

    checker_init(&checker, check);
    command_begin(&checker.command, "heddle_check_wish", partition);
    command_string(&checker.command, id);
    command_number(&checker.command, check->result_ttl_ms);
    command_text(&checker.command, result);
    command_number(&checker.command, check->repairs);
    heddle_status status = command_call(&checker.command, check->link, &reply, err);
    if (status == HEDDLE_OK && redis_reply_integer(reply) == 1)
        check_note(&checker, "stray_wish", partition, TEXT(""), "a reply is wanted of %s, which %s",
                   id, result.size > 0 ? "has ended" : "nobody knows");
    checker_done(&checker);
    return status;
}

static void checker_init(struct checker *checker, const struct queue_check *check)
{
    *checker = (struct checker){.check = check};
    command_init(&checker->command);
    arena_init(&checker->texts, 0);
}

static void checker_done(struct checker *checker)
{
    command_done(&checker->command);
    arena_done(&checker->texts);
}

static heddle_status count_partition(struct checker *checker, unsigned partition,
                                     struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    command_begin(&checker->command, "heddle_census", partition);
    heddle_status status = command_call(&checker->command, checker->check->link, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    queue_census_add(checker->census, reply);
    return HEDDLE_OK;
}

void queue_census_add(struct queue_census *census, const struct redis_reply *reply)
{
    const int64_t processors = redis_reply_amount(redis_reply_at(reply, 5));

    census->operations += redis_reply_amount(redis_reply_at(reply, 0));
    census->ready += redis_reply_amount(redis_reply_at(reply, 1));
    census->claimed += redis_reply_amount(redis_reply_at(reply, 2));
    census->waiting += redis_reply_amount(redis_reply_at(reply, 3));
    census->halted += redis_reply_amount(redis_reply_at(reply, 4));
    census->scheduled += redis_reply_amount(redis_reply_at(reply, 6));
    if (processors > census->processors)
        census->processors = processors;
}

static heddle_status check_members(struct checker *checker, unsigned partition,
                                   const char *collection, struct heddle_error *err)
{
    struct check_page page = CHECK_FIRST_PAGE;
    heddle_status status = HEDDLE_OK;

    while (status == HEDDLE_OK && !page.is_last) {
        AUTO_REPLY reply = NULL;
        status = next_members(checker, partition, collection, &page, &reply, err);
        for (size_t i = 1; i + 1 < redis_reply_count(reply); i += 2)
            note_member(checker, partition, collection, redis_reply_text(redis_reply_at(reply, i)),
                        redis_reply_text(redis_reply_at(reply, i + 1)).data);
    }
    return status;
}

/* The next page of members that should not be there: each with what is wrong. */
static heddle_status next_members(struct checker *checker, unsigned partition,
                                  const char *collection, struct check_page *page,
                                  struct redis_reply **reply, struct heddle_error *err)
{
    struct command *command = &checker->command;

    command_begin(command, "heddle_check_members", partition);
    command_string(command, collection);
    command_string(command, page->cursor);
    command_number(command, checker->check->repairs);
    heddle_status status = command_call(command, checker->check->link, reply, err);
    check_turn(page, *reply);
    return status;
}

static void note_member(struct checker *checker, unsigned partition, const char *collection,
                        struct heddle_text member, const char *kind)
{
    if (strcmp(kind, "stray_key") == 0)
        check_note(checker, kind, partition, TEXT(""), "%s is gone and has a unique key",
                   member.data);
    else if (strcmp(kind, "stray_count") == 0)
        check_note(checker, kind, partition, TEXT(""), "%s is gone and counts for a cap",
                   member.data);
    else if (strcmp(kind, "ghost") == 0)
        check_note(checker, kind, partition, member, "in %s, without operations", collection);
    else if (strcmp(kind, "orphan_claim") == 0)
        check_note(checker, kind, partition, member, "in %s, which has no beat", collection);
    else if (strcmp(kind, "endless_wait") == 0)
        check_note(checker, kind, partition, member, "for what will not happen");
    else if (strcmp(kind, "stray_reason") == 0)
        check_note(checker, kind, partition, member, "told why it waits, and does not");
    else if (strcmp(kind, "stray_in_line") == 0 || strcmp(kind, "stray_slot") == 0)
        check_note(checker, kind, partition, member, "in %s, and does not %s", collection,
                   *collection == 'l' ? "wait for it" : "run");
    else
        check_note(checker, kind, partition, TEXT(""), "processor %s is in %s and does not live",
                   member.data, collection);
}

static heddle_status check_claims(void *argument, const struct redis_reply *keys,
                                  struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct checker *checker = argument;

    for (size_t i = 0; status == HEDDLE_OK && i < redis_reply_count(keys); i++) {
        AUTO_REPLY beat = NULL;
        struct queue_key key;
        char beats[40];
        if (!check_read_key(checker, redis_reply_at(keys, i), &key))
            continue;
        snprintf(beats, sizeof beats, "heddle:{%u}:beats", key.partition);
        status = redis_callf(checker->check->link, &beat, err, "ZSCORE", beats, key.name, NULL);
        if (status == HEDDLE_OK && redis_reply_type(beat) == REDIS_NIL &&
            checker->holder_count < HOLDERS_MAX)
            snprintf(checker->holders[checker->holder_count++], HOLDER_SIZE, "%s", key.name);
        if (status == HEDDLE_OK)
            status = check_members(checker, key.partition,
                                   arena_format(&checker->texts, "held:%s", key.name), err);
        arena_reset(&checker->texts);
    }
    return status;
}

/* Who stands in a line, or uses a slot. */
static heddle_status check_limits(void *argument, const struct redis_reply *keys,
                                  struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct checker *checker = argument;
    struct queue_key key;

    for (size_t i = 0; status == HEDDLE_OK && i < redis_reply_count(keys); i++)
        if (check_read_key(checker, redis_reply_at(keys, i), &key))
            status = check_members(checker, key.partition,
                                   arena_format(&checker->texts, "%s:%s", key.kind, key.name), err);
    arena_reset(&checker->texts);
    return status;
}

bool check_read_key(const struct checker *checker, const struct redis_reply *reply,
                    struct queue_key *key)
{
    int end = 0;

    key->text = redis_reply_text(reply).data;
    if (sscanf(key->text, "heddle:{%u}:%7[a-z]:%n", &key->partition, key->kind, &end) != 2 ||
        end == 0)
        return false;
    key->name = key->text + end;
    return key->partition < checker->check->partitions;
}

heddle_status check_scan(struct checker *checker, const char *pattern, check_visit_function *visit,
                         void *argument, struct heddle_error *err)
{
    struct check_page page = CHECK_FIRST_PAGE;
    heddle_status status = HEDDLE_OK;

    while (status == HEDDLE_OK && !page.is_last) {
        AUTO_REPLY reply = NULL;
        status = redis_callf(checker->check->link, &reply, err, "SCAN", page.cursor, "MATCH",
                             pattern, "COUNT", "1000", NULL);
        if (status == HEDDLE_OK)
            status = visit(argument, redis_reply_at(reply, 1), err);
        check_turn(&page, reply);
    }
    return status;
}

void check_turn(struct check_page *page, const struct redis_reply *reply)
{
    snprintf(page->cursor, sizeof page->cursor, "%s",
             redis_reply_text(redis_reply_at(reply, 0)).data);
    page->is_last = strcmp(page->cursor, "0") == 0;
}

void check_note(const struct checker *checker, const char *kind, unsigned partition,
                struct heddle_text lane, const char *format, ...)
{
    const struct queue_check *check = checker->check;
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    check->report(check->argument, &(struct queue_finding){.kind = kind,
                                                           .partition = partition,
                                                           .lane = lane,
                                                           .text = text,
                                                           .is_mended = check->repairs});
}
