/* See leavers.h. */
#include "queue/leavers.h"

#include "base/digest.h"
#include "base/text.h"
#include "link/redis.h"
#include "queue/command.h"

#include <stdio.h>
#include <string.h>

/* A function that goes through what a user has, and who is shown its pages: NULL, nobody. */
struct walk {
    const char *function;
    leavers_found_function *found;
    void *argument;
};

static heddle_status page_by_page(struct redis_link *link, unsigned partition, const char *user,
                                  const struct walk *walk, struct heddle_error *err);
static heddle_status show_page(unsigned partition, const struct redis_reply *page,
                               leavers_found_function *found, void *argument,
                               struct heddle_error *err);
static heddle_status call_simple(struct command *command, struct redis_link *link,
                                 struct heddle_error *err);

heddle_status leavers_walk(struct redis_link *link, unsigned partitions, const char *user,
                           leavers_found_function *found, void *argument, struct heddle_error *err)
{
    const struct walk walk = {"heddle_of_user", found, argument};

    return page_by_page(link, digest_partition(text_of(user), partitions), user, &walk, err);
}

heddle_status leavers_forget(struct redis_link *link, unsigned partitions, const char *user,
                             struct heddle_error *err)
{
    const struct walk walk = {.function = "heddle_forget_user"};

    return page_by_page(link, digest_partition(text_of(user), partitions), user, &walk, err);
}

heddle_status leavers_forget_results(struct redis_link *link, unsigned partitions, const char *user,
                                     const char *ids, struct heddle_error *err)
{
    struct command command;

    command_init(&command);
    command_begin(&command, "heddle_forget_results", digest_partition(text_of(user), partitions));
    for (const char *id = ids + 1; *id && *id != '}'; id += strspn(id, ",")) {
        const size_t size = strcspn(id, ",}");
        command_text(&command, (struct heddle_text){id, size});
        id += size;
    }
    heddle_status status = call_simple(&command, link, err);
    command_done(&command);
    return status;
}

heddle_status leavers_idle(struct redis_link *link, unsigned partition, int64_t before_ms,
                           struct idle_user users[IDLE_USERS_MAX], size_t *count,
                           struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;
    struct command command;

    command_init(&command);
    command_begin(&command, "heddle_idle_users", partition);
    command_number(&command, before_ms);
    command_number(&command, IDLE_USERS_MAX);
    heddle_status status = command_call(&command, link, &reply, err);
    command_done(&command);
    *count = 0;
    for (size_t i = 0; status == HEDDLE_OK && i + 1 < redis_reply_count(reply); i += 2) {
        struct idle_user *user = &users[(*count)++];
        snprintf(user->user, sizeof user->user, "%s",
                 redis_reply_text(redis_reply_at(reply, i)).data);
        user->seen_ms = redis_reply_integer(redis_reply_at(reply, i + 1));
    }
    return status;
}

heddle_status leavers_settle(struct redis_link *link, unsigned partition,
                             const struct idle_user *user, bool may_go, struct heddle_error *err)
{
    struct command command;

    command_init(&command);
    command_begin(&command, "heddle_leave_idle", partition);
    command_string(&command, user->user);
    command_number(&command, user->seen_ms);
    command_number(&command, may_go);
    heddle_status status = call_simple(&command, link, err);
    command_done(&command);
    return status;
}

heddle_status leavers_ignore(struct redis_link *link, unsigned partitions, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct command command;

    command_init(&command);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        command_begin(&command, "heddle_ignore_idle", p);
        status = call_simple(&command, link, err);
    }
    command_done(&command);
    return status;
}

static heddle_status page_by_page(struct redis_link *link, unsigned partition, const char *user,
                                  const struct walk *walk, struct heddle_error *err)
{
    char cursor[COMMAND_CURSOR_SIZE] = "0";
    struct command command;
    heddle_status status;

    command_init(&command);
    do {
        AUTO_REPLY reply = NULL;
        command_begin(&command, walk->function, partition);
        command_string(&command, user);
        command_string(&command, cursor);
        status = command_call_page(&command, link, cursor, &reply, err);
        if (status == HEDDLE_OK && walk->found)
            status = show_page(partition, reply, walk->found, walk->argument, err);
    } while (status == HEDDLE_OK && strcmp(cursor, "0") != 0);
    command_done(&command);
    return status;
}

static heddle_status show_page(unsigned partition, const struct redis_reply *page,
                               leavers_found_function *found, void *argument,
                               struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (size_t i = 1; status == HEDDLE_OK && i < redis_reply_count(page); i++) {
        const struct heddle_text record = redis_reply_text(redis_reply_at(page, i));
        struct claim *claim;
        status = claim_new(partition, 0, TEXT(""), &record, 1, &claim, err);
        if (status != HEDDLE_OK)
            return status;
        if (claim->operation_count == 1)
            status = found(argument, &claim->operations[0], err);
        claim_free(claim);
    }
    return status;
}

static heddle_status call_simple(struct command *command, struct redis_link *link,
                                 struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    return command_call(command, link, &reply, err);
}
