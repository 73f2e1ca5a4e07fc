/* See fleet.h. A question is published on each processor's channel (engine/wakes.h); the answers
 * come on a list of the first partition, whose name the question bears. */
#include "queue/fleet.h"

#include "base/clock.h"
#include "base/text.h"
#include "link/redis.h"
#include "queue/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { TOKEN_SIZE = 32, ANSWERS_PARTITION = 0 };

static heddle_status read_beats(struct redis_link *link, int64_t now_ms,
                                struct fleet_members *fleet, struct heddle_error *err);
static heddle_status publish(struct redis_link *link, const struct fleet_members *fleet,
                             const char *question, size_t *listeners, struct heddle_error *err);
static heddle_status collect(struct redis_link *link, const char *token, int patience_ms,
                             struct fleet_members *fleet, size_t awaited, struct heddle_error *err);
static bool keep(struct fleet_members *fleet, struct heddle_text report);

void fleet_members_done(struct fleet_members *fleet)
{
    for (size_t i = 0; i < fleet->count; i++)
        free(fleet->members[i].report);
    free(fleet->members);
    *fleet = (struct fleet_members){0};
}

/* Somebody who is late in one partition lives if it is not in another. */
void fleet_add(struct fleet_members *fleet, struct heddle_text incarnation, int64_t lease_left_ms)
{
    struct fleet_member *member;
    size_t i = 0;

    while (i < fleet->count && strcmp(fleet->members[i].incarnation, incarnation.data) != 0)
        i++;
    if (i < fleet->count) {
        member = &fleet->members[i];
        member->lease_left_ms =
            lease_left_ms > member->lease_left_ms ? lease_left_ms : member->lease_left_ms;
        return;
    }
    if (i == FLEET_MEMBERS_MAX || incarnation.size >= sizeof member->incarnation)
        return;
    fleet->members = memory_resize(fleet->members, (i + 1) * sizeof *fleet->members);
    member = &fleet->members[fleet->count++];
    *member = (struct fleet_member){.lease_left_ms = lease_left_ms};
    memcpy(member->incarnation, incarnation.data, incarnation.size + 1);
}

heddle_status fleet_find(struct redis_link *link, unsigned partitions, struct fleet_members *fleet,
                         struct heddle_error *err)
{
    static const char *const time_words[] = {"TIME"};
    static const size_t time_sizes[] = {4};
    AUTO_REPLY time = NULL;

    heddle_status status = redis_call(link, 1, time_words, time_sizes, &time, err);
    const int64_t now_ms = redis_reply_integer(redis_reply_at(time, 0)) * 1000 +
                           redis_reply_integer(redis_reply_at(time, 1)) / 1000;
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        char key[40];
        int size = snprintf(key, sizeof key, "heddle:{%u}:beats", p);
        status = redis_append(link, 5, (const char *[]){"ZRANGE", key, "0", "-1", "WITHSCORES"},
                              (size_t[]){6, (size_t)size, 1, 2, 10}, err);
    }
    *fleet = (struct fleet_members){0};
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++)
        status = read_beats(link, now_ms, fleet, err);
    if (status == HEDDLE_OK)
        return HEDDLE_OK;
    redis_close(link); /* answers that nobody waits for any more */
    fleet_members_done(fleet);
    return status;
}

heddle_status fleet_ask(struct redis_link *link, struct heddle_text lane, int patience_ms,
                        struct fleet_members *fleet, struct heddle_error *err)
{
    char token[TOKEN_SIZE + 1], question[TOKEN_SIZE + HEDDLE_USER_SIZE_MAX + 16];
    size_t listeners = 0;
    uint64_t salt[2];

    if (getrandom(salt, sizeof salt, 0) != sizeof salt)
        return heddle_fail(err, HEDDLE_FATAL, "getrandom", "no random bytes");
    snprintf(token, sizeof token, "%016" PRIx64 "%016" PRIx64, salt[0], salt[1]);
    snprintf(question, sizeof question, "report %s%s%s", token, lane.size ? " " : "", lane.data);
    heddle_status status = publish(link, fleet, question, &listeners, err);
    if (status == HEDDLE_OK)
        status = collect(link, token, patience_ms, fleet, listeners, err);
    if (status != HEDDLE_OK)
        redis_close(link);
    return status;
}

heddle_status fleet_answer(struct redis_link *link, const char *token, struct heddle_text report,
                           struct heddle_error *err)
{
    struct command command;
    AUTO_REPLY reply = NULL;

    command_init(&command);
    command_begin(&command, "heddle_report", ANSWERS_PARTITION);
    command_string(&command, token);
    command_text(&command, report);
    heddle_status status = command_call(&command, link, &reply, err);
    command_done(&command);
    return status;
}

heddle_status fleet_census(struct redis_link *link, unsigned partitions,
                           struct queue_census *census, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    struct command command;

    command_init(&command);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        command_begin(&command, "heddle_census", p);
        status = command_send(&command, link, err);
    }
    command_done(&command);
    *census = (struct queue_census){0};
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        AUTO_REPLY reply = NULL;
        status = command_receive(link, &reply, err);
        if (status == HEDDLE_OK)
            queue_census_add(census, reply);
    }
    if (status != HEDDLE_OK)
        redis_close(link);
    return status;
}

static heddle_status read_beats(struct redis_link *link, int64_t now_ms,
                                struct fleet_members *fleet, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = command_receive(link, &reply, err);
    for (size_t i = 0; status == HEDDLE_OK && i + 1 < redis_reply_count(reply); i += 2)
        fleet_add(fleet, redis_reply_text(redis_reply_at(reply, i)),
                  redis_reply_integer(redis_reply_at(reply, i + 1)) - now_ms);
    return status;
}

/* Who does not listen is not waited for. */
static heddle_status publish(struct redis_link *link, const struct fleet_members *fleet,
                             const char *question, size_t *listeners, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; status == HEDDLE_OK && i < fleet->count; i++) {
        char channel[160];
        int size =
            snprintf(channel, sizeof channel, "heddle:wake:%s", fleet->members[i].incarnation);
        status = redis_append(link, 3, (const char *[]){"PUBLISH", channel, question},
                              (size_t[]){7, (size_t)size, strlen(question)}, err);
    }
    for (size_t i = 0; status == HEDDLE_OK && i < fleet->count; i++) {
        AUTO_REPLY reply = NULL;
        status = command_receive(link, &reply, err);
        *listeners += redis_reply_integer(reply) > 0;
    }
    return status;
}

static heddle_status collect(struct redis_link *link, const char *token, int patience_ms,
                             struct fleet_members *fleet, size_t awaited, struct heddle_error *err)
{
    const int64_t deadline_ms = clock_now_ms() + patience_ms;
    heddle_status status = HEDDLE_OK;
    char key[80];

    snprintf(key, sizeof key, "heddle:{%d}:report:%s", ANSWERS_PARTITION, token);
    while (status == HEDDLE_OK && awaited > 0) {
        const int64_t left_ms = deadline_ms - clock_now_ms();
        AUTO_REPLY reply = NULL;
        char seconds[24];
        if (left_ms <= 0)
            break;
        snprintf(seconds, sizeof seconds, "%" PRId64 ".%03d", left_ms / 1000,
                 (int)(left_ms % 1000));
        status = redis_callf(link, &reply, err, "BLPOP", key, seconds, NULL);
        awaited -= status == HEDDLE_OK && keep(fleet, redis_reply_text(redis_reply_at(reply, 1)));
    }
    return status;
}

/* The report says whose it is: {"incarnation":"NAME",… */
static bool keep(struct fleet_members *fleet, struct heddle_text report)
{
    static const char head[] = "{\"incarnation\":\"";

    if (report.size < sizeof head || memcmp(report.data, head, sizeof head - 1) != 0)
        return false;
    const char *name = report.data + sizeof head - 1;
    for (size_t i = 0; i < fleet->count; i++) {
        struct fleet_member *member = &fleet->members[i];
        const size_t size = strlen(member->incarnation);
        if (strncmp(name, member->incarnation, size) != 0 || name[size] != '"' || member->report)
            continue;
        member->report = memory_copy(report.data, report.size);
        return true;
    }
    return false;
}
