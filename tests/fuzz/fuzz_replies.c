/* Whatever Redis answers: bytes on a socket, through hiredis and the link, to each reader of the
 * queue. A status comes back, nothing is read past its end, nothing is kept; a link that was lost
 * is closed. */
#include "fuzz.h"

#include "base/text.h"
#include "heddle/client.h"
#include "link/redis.h"
#include "queue/admin.h"
#include "queue/check.h"
#include "queue/lanes.h"
#include "queue/operator.h"
#include "queue/rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

enum { PARTITIONS = 3, SUBMISSIONS = 3, TIMEOUT_MS = 50 };

#define ID "0190a1b2-c3d4-8e5f-8001-000a1234abcd"

/* What the next connection reads; there is one an input. */
static struct fuzz_input stream;
static bool is_connected;
static int far_end = -1;

redisContext *__wrap_redisConnectUnixWithTimeout(const char *path, const struct timeval timeout);

/* The far end has sent all that it will; what it is sent is never read. */
redisContext *__wrap_redisConnectUnixWithTimeout(const char *path, const struct timeval timeout)
{
    int ends[2];

    (void)path;
    (void)timeout;
    if (is_connected)
        return NULL;
    is_connected = true;
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    far_end = ends[1];
    FUZZ_CHECK(write(far_end, stream.at, stream.left) == (ssize_t)stream.left);
    FUZZ_CHECK(shutdown(far_end, SHUT_WR) == 0);
    return redisConnectFd(ends[0]);
}

struct scene {
    struct redis_link *link;
    struct command command;
    struct heddle_error err;
};

static void check_claims(struct claim_list *claims)
{
    size_t count = 0;

    for (struct claim *claim; (claim = claim_list_pop(claims)); count++) {
        FUZZ_CHECK(claim->seq == 42);
        fuzz_check_text(claim->lane);
        for (size_t i = 0; i < claim->operation_count; i++)
            fuzz_check_text(claim->operations[i].operation.payload);
        claim_free(claim);
    }
    FUZZ_CHECK(claims->count == 0);
}

static void wanted(void *argument, struct heddle_text id)
{
    (void)argument;
    fuzz_check_text(id);
}

static bool is_unknown(void *argument, struct heddle_text lane, uint64_t seq)
{
    (void)argument;
    fuzz_check_text(lane);
    return seq % 2;
}

static void report(void *argument, const struct queue_finding *finding)
{
    (void)argument;
    FUZZ_CHECK(finding->kind && finding->text);
    fuzz_check_text(finding->lane);
}

static void wish(void *argument, unsigned partition, struct heddle_text id)
{
    (void)argument;
    FUZZ_CHECK(partition < PARTITIONS);
    fuzz_check_text(id);
}

static const struct lanes_request request = {.incarnation = "p-1",
                                             .seq = 42,
                                             .lanes_max = 2,
                                             .operations_max = 2,
                                             .bytes_max = 1 << 20,
                                             .lease_ms = 5000};

static heddle_status claim(struct scene *scene)
{
    struct lanes_answer answer = {.halted = 0};

    heddle_status status = lanes_claim_send(scene->link, &scene->command, 1, &request, &scene->err);
    if (status == HEDDLE_OK)
        status = lanes_claim_receive(scene->link, 1, &request, &answer, &scene->err);
    if (status == HEDDLE_OK)
        check_claims(&answer.claims);
    return status;
}

static heddle_status adopt(struct scene *scene)
{
    static const char *const reasons[] = {"suspect", "op x", NULL};
    struct lanes_answer answer;
    char cursor[24] = "0";

    heddle_status status = lanes_adopt(scene->link, &scene->command, 1, &request, reasons, cursor,
                                       &answer, &scene->err);
    FUZZ_CHECK(memchr(cursor, '\0', sizeof cursor));
    if (status == HEDDLE_OK)
        check_claims(&answer.claims);
    return status;
}

static heddle_status settle(struct scene *scene)
{
    struct claim ended = {.lane = TEXT("ann"), .seq = 42};
    const struct settlement settlement = {.claim = &ended, .disposition = LANE_RELEASE};

    heddle_status status =
        lanes_settle_send(scene->link, &scene->command, 1, "p-1", 60000, &settlement, &scene->err);
    return status == HEDDLE_OK ? lanes_settle_receive(scene->link, wanted, NULL, &scene->err)
                               : status;
}

static heddle_status reply(struct scene *scene)
{
    return lanes_reply(scene->link, &scene->command, 1, 60000, TEXT(ID), TEXT("{}"), &scene->err);
}

static heddle_status beat(struct scene *scene)
{
    int freed = 0;
    return lanes_beat(scene->link, &scene->command, PARTITIONS, "p-1", 5000, &freed, &scene->err);
}

static heddle_status release(struct scene *scene)
{
    return lanes_release_everywhere(scene->link, &scene->command, "p-1", &scene->err);
}

static heddle_status give_back(struct scene *scene)
{
    char cursor[24] = "0";

    heddle_status status = lanes_give_back(scene->link, &scene->command, 1, "p-1", cursor,
                                           is_unknown, NULL, &scene->err);
    FUZZ_CHECK(memchr(cursor, '\0', sizeof cursor));
    return status;
}

static heddle_status rebuild(struct scene *scene)
{
    const struct heddle_text ids[] = {TEXT(ID), TEXT("other")};
    const struct heddle_operation operation = {
        .id = ID, .op = TEXT("get_thread"), .thread = TEXT(""), .payload = TEXT("{}")};
    const struct rebuild_page page = {.lane = TEXT("ann"), .operations = &operation, .count = 1};
    bool is_missing[2];
    size_t missing = 0, looked_at = 0;

    heddle_status status =
        rebuild_find_missing(scene->link, &scene->command, 1, ids, 2, is_missing, &scene->err);
    if (status == HEDDLE_OK)
        status =
            rebuild_lane(scene->link, &scene->command, 1, &page, &missing, &looked_at, &scene->err);
    if (status == HEDDLE_OK)
        FUZZ_CHECK(looked_at == 1 && missing <= 1);
    return status;
}

static heddle_status look(struct scene *scene)
{
    struct queue_facts facts = {.partitions = 1};
    bool is_whole;

    heddle_status status = queue_facts_get(scene->link, &facts, &scene->err);
    FUZZ_CHECK(memchr(facts.redis_version, '\0', sizeof facts.redis_version));
    FUZZ_CHECK(memchr(facts.eviction_policy, '\0', sizeof facts.eviction_policy));
    if (status == HEDDLE_OK)
        status = queue_is_whole(scene->link, &is_whole, &scene->err);
    return status;
}

static heddle_status check(struct scene *scene)
{
    const struct queue_check check = {.link = scene->link,
                                      .partitions = PARTITIONS,
                                      .repairs = true,
                                      .result_ttl_ms = 60000,
                                      .report = report};
    struct queue_census census;

    heddle_status status = queue_check_wish(&check, 1, ID, TEXT("{}"), &scene->err);
    if (status == HEDDLE_OK)
        status = queue_check_wishes(&check, wish, NULL, &scene->err);
    if (status == HEDDLE_OK)
        status = queue_check_lanes(&check, &census, &scene->err);
    return status;
}

static heddle_status operate(struct scene *scene)
{
    struct claim *found = NULL;

    heddle_status status = operator_find(scene->link, PARTITIONS, ID, &found, &scene->err);
    FUZZ_CHECK(!found || (status == HEDDLE_OK && found->operation_count == 1));
    claim_free(found);
    if (status == HEDDLE_OK)
        status = operator_cancel(scene->link, PARTITIONS, ID, TEXT("{}"), 60000, &scene->err);
    return status;
}

static heddle_status install(struct scene *scene)
{
    return queue_install(scene->link, PARTITIONS, 1 << 20, &scene->err);
}

static heddle_status (*const calls[])(struct scene *scene) = {
    claim, adopt, settle, reply, beat, release, give_back, rebuild, look, install, check, operate};

enum { CALLS = sizeof calls / sizeof *calls };

static void check_status(heddle_status status, struct scene *scene)
{
    if (status == HEDDLE_OK)
        return;
    FUZZ_CHECK(status != HEDDLE_UNKNOWN);
    fuzz_check_error(&scene->err);
}

/* One connection, up to three calls that follow each other on it. */
static void use_link(unsigned choice)
{
    struct scene scene = {.link = NULL};

    FUZZ_CHECK(redis_new("unix:///x", TIMEOUT_MS, &scene.link, &scene.err) == HEDDLE_OK);
    command_init(&scene.command);
    for (int i = 0; i < 3; i++, choice = choice * 7 + 3) {
        bool was_connected = redis_is_connected(scene.link);
        check_status(calls[choice % CALLS](&scene), &scene);
        if (i > 0 && !was_connected)
            FUZZ_CHECK(!redis_is_connected(scene.link));
    }
    command_done(&scene.command);
    redis_free(scene.link);
}

static void deliver(void *argument, size_t index, const char *json, size_t size)
{
    FUZZ_CHECK(index == (*(size_t *)argument)++ && index < SUBMISSIONS);
    if (json)
        fuzz_check_text((struct heddle_text){json, size});
}

static void check_receipts(struct heddle_receipt *receipts)
{
    for (size_t i = 0; i < SUBMISSIONS; i++) {
        FUZZ_CHECK(receipts[i].partition < 1024);
        FUZZ_CHECK(memchr(receipts[i].state, '\0', sizeof receipts[i].state));
        if (receipts[i].status == HEDDLE_OK)
            FUZZ_CHECK(heddle_is_uuid(receipts[i].id, strlen(receipts[i].id)));
        else
            fuzz_check_error(&receipts[i].error);
    }
}

static void use_client(unsigned choice)
{
    const struct heddle_submission submissions[SUBMISSIONS] = {
        {.user = TEXT("ann"), .op = TEXT("get_thread")},
        {.user = TEXT("bob"), .op = TEXT("get_thread"), .reply = true},
        {.user = TEXT("ann"), .op = TEXT("get_thread"), .id = TEXT(ID)}};
    struct heddle_receipt receipts[SUBMISSIONS] = {{.status = HEDDLE_OK}};
    struct heddle_client *client;
    struct scene scene = {.link = NULL};
    size_t delivered = 0, next = 0;
    char state[16] = "", *result = NULL;

    FUZZ_CHECK(heddle_client_new("unix:///x", TIMEOUT_MS, &client, &scene.err) == HEDDLE_OK);
    heddle_status status =
        heddle_client_submit(client, submissions, SUBMISSIONS, receipts, &scene.err);
    check_status(status, &scene);
    if (status == HEDDLE_OK)
        check_receipts(receipts);
    if (choice & 1) {
        check_status(heddle_client_status(client, choice & 2 ? TEXT("ann") : TEXT(""), ID, state,
                                          &result, &scene.err),
                     &scene);
        FUZZ_CHECK(memchr(state, '\0', sizeof state));
        free(result);
    } else {
        check_status(heddle_client_want(client, TEXT("ann"), ID, &receipts[0], &scene.err), &scene);
        check_status(heddle_client_unwant(client, &receipts[0], &scene.err), &scene);
    }
    status = heddle_client_await_many(client, receipts, SUBMISSIONS, 100, deliver, &delivered,
                                      &next, &scene.err);
    FUZZ_CHECK(delivered == (status == HEDDLE_OK ? SUBMISSIONS : next));
    check_status(status, &scene);
    heddle_client_free(client);
}

/* CALL byte, then what Redis sends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    stream = (struct fuzz_input){data, size};
    is_connected = false;
    unsigned choice = fuzz_byte(&stream);

    if (choice >= 200)
        use_client(choice);
    else
        use_link(choice);
    if (far_end >= 0)
        close(far_end);
    far_end = -1;
    return 0;
}
