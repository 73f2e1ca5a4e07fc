/* See fetcher.h. */
#include "engine/fetcher.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/thread.h"
#include "base/log.h"
#include "engine/adoption.h"
#include "engine/handover.h"
#include "engine/heat.h"
#include "engine/relay.h"
#include "engine/wakes.h"
#include "link/redis.h"
#include "queue/lanes.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    SUSPECTS_EVERY_MS = 50, /* of a quarantine, which lives for moments */
    ADOPT_PAGES_MAX = 8,    /* of a partition, before others have their turn */
    CLAIM_BYTES_MAX = 4 << 20,
    RETRY_BASE_MS = 20,
    RETRY_CAP_MS = 1000,
};

struct fetcher {
    struct fetcher_options options;
    struct fetcher_parts parts;
    struct redis_link *link; /* claims */
    struct command command;
    struct heat *heat;
    struct adoption *adoption;
    unsigned turn; /* the partition that is served first */
    uint64_t seq;
    bool has_declined; /* to be woken */
    int told_fd;       /* to stop, or be quiet, or no longer, or that there are other handlers */
    atomic_bool is_stopping, is_quiet, is_idle;
    pthread_t thread;
};

/* A claim that was sent to one partition. */
struct sent_claim {
    unsigned partition;
    struct lanes_request request;
};

static void *fetcher_body(void *argument);
static heddle_status listen_for_wakes(struct fetcher *fetcher, struct heddle_error *err);
static heddle_status fetch(struct fetcher *fetcher, bool *is_starved, struct heddle_error *err);
static struct room find_room(struct fetcher *fetcher);
static heddle_status be_quiet(struct fetcher *fetcher);
static void decline(struct fetcher *fetcher);
static heddle_status fetch_suspects(struct fetcher *fetcher, struct heddle_error *err);
static size_t send_claims(struct fetcher *fetcher, struct room room, struct sent_claim *sent,
                          heddle_status *status, struct heddle_error *err);
static heddle_status receive_claims(struct fetcher *fetcher, const struct sent_claim *sent,
                                    struct heddle_error *err);
static heddle_status adopt_some(struct fetcher *fetcher, unsigned partition, bool *is_starved,
                                struct heddle_error *err);
static heddle_status adopt(struct fetcher *fetcher, unsigned partition, size_t lanes,
                           struct heddle_error *err);
static struct lanes_request request_for(struct fetcher *fetcher, size_t lanes);
static heddle_status wait_for_work(struct fetcher *fetcher, bool is_starved,
                                   struct heddle_error *err);
static heddle_status read_wakes(struct fetcher *fetcher, struct heddle_error *err);
static void back_off(struct fetcher *fetcher, int attempt);

heddle_status fetcher_new(const struct fetcher_options *options, const struct fetcher_parts *parts,
                          struct fetcher **fetcher, struct heddle_error *err)
{
    struct fetcher *fresh = memory_take_zeroed(1, sizeof *fresh);

    fresh->options = *options;
    fresh->parts = *parts;
    fresh->heat = heat_new(options->partitions);
    fresh->adoption = adoption_new(options->partitions, parts->handlers, options->is_quarantine);
    fresh->told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fresh->told_fd < 0)
        abort();
    command_init(&fresh->command);
    heddle_status status = redis_new(options->redis, options->redis_timeout_ms, &fresh->link, err);
    if (status != HEDDLE_OK) {
        fetcher_free(fresh);
        return status;
    }
    *fetcher = fresh;
    return HEDDLE_OK;
}

void fetcher_free(struct fetcher *fetcher)
{
    if (!fetcher)
        return;
    redis_free(fetcher->link);
    command_done(&fetcher->command);
    heat_free(fetcher->heat);
    adoption_free(fetcher->adoption);
    close(fetcher->told_fd);
    free(fetcher);
}

void fetcher_start(struct fetcher *fetcher)
{
    thread_start(&fetcher->thread, "heddle-fetch", fetcher_body, fetcher);
}

bool fetcher_is_idle(struct fetcher *fetcher)
{
    return atomic_load(&fetcher->is_idle);
}

void fetcher_set_quiet(struct fetcher *fetcher, bool is_quiet)
{
    atomic_store(&fetcher->is_quiet, is_quiet);
    eventfd_write(fetcher->told_fd, 1);
}

void fetcher_tell(struct fetcher *fetcher)
{
    eventfd_write(fetcher->told_fd, 1);
}

void fetcher_stop(struct fetcher *fetcher)
{
    atomic_store(&fetcher->is_stopping, true);
    eventfd_write(fetcher->told_fd, 1);
    thread_join(fetcher->thread);
}

static void *fetcher_body(void *argument)
{
    struct fetcher *fetcher = argument;
    eventfd_t ignored;
    int failures = 0;

    while (!atomic_load(&fetcher->is_stopping)) {
        bool is_starved = false;
        struct heddle_error err;
        (void)!eventfd_read(fetcher->told_fd, &ignored);
        heddle_status status = listen_for_wakes(fetcher, &err);
        if (status == HEDDLE_OK)
            status = atomic_load(&fetcher->is_quiet)  ? be_quiet(fetcher)
                     : fetcher->options.is_quarantine ? fetch_suspects(fetcher, &err)
                                                      : fetch(fetcher, &is_starved, &err);
        if (status == HEDDLE_OK)
            status = wait_for_work(fetcher, is_starved, &err);
        if (status == HEDDLE_OK) {
            failures = 0;
            continue;
        }
        redis_close(fetcher->link);
        wakes_close(fetcher->parts.wakes);
        /* What was claimed by a request without an answer is nobody's: the beat frees it. */
        holdings_answered(fetcher->parts.holdings, fetcher->seq);
        heddle_log(HEDDLE_LOG_WARNING, "fetch_retry", "attempt=%d text=%s", ++failures,
                   LOG_TEXT(err.text));
        back_off(fetcher, failures);
    }
    decline(fetcher);
    return NULL;
}

/* Subscribes where we are not. What happened before is unknown, so every partition is hot. */
static heddle_status listen_for_wakes(struct fetcher *fetcher, struct heddle_error *err)
{
    if (wakes_is_open(fetcher->parts.wakes) && redis_is_connected(fetcher->link))
        return HEDDLE_OK;
    wakes_close(fetcher->parts.wakes);
    heddle_status status = redis_connect(fetcher->link, err);
    if (status == HEDDLE_OK)
        status = wakes_open(fetcher->parts.wakes, err);
    heat_all(fetcher->heat);
    return status;
}

/* Claims from hot partitions in turn, as much as the run queue has room for. */
static heddle_status fetch(struct fetcher *fetcher, bool *is_starved, struct heddle_error *err)
{
    struct sent_claim *sent = memory_take(fetcher->options.partitions * sizeof *sent);
    heddle_status status = HEDDLE_OK;

    fetcher->has_declined = false;
    while (status == HEDDLE_OK && heat_count(fetcher->heat) > 0 && !*is_starved &&
           !atomic_load(&fetcher->is_stopping) && !atomic_load(&fetcher->is_quiet)) {
        struct room room = find_room(fetcher);
        size_t count = send_claims(fetcher, room, sent, &status, err);
        if (count > 0)
            fault_point("claims_queued");
        for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
            status = receive_claims(fetcher, &sent[i], err);
        *is_starved = room.claims == 0;
    }
    free(sent);
    for (unsigned p = 0; status == HEDDLE_OK && p < fetcher->options.partitions; p++)
        status = adopt_some(fetcher, p, is_starved, err);
    return status;
}

/* Both are asked: who was not asked does not tell. */
static struct room find_room(struct fetcher *fetcher)
{
    struct room room = runqueue_room(fetcher->parts.queue, heat_is_deep(fetcher->heat));

    return settler_has_room(fetcher->parts.settler) ? room : (struct room){0, 0};
}

/* Everything may have changed when it ends: then every partition is hot. */
static heddle_status be_quiet(struct fetcher *fetcher)
{
    settler_release_unbegun(fetcher->parts.settler, fetcher->parts.queue);
    heat_all(fetcher->heat);
    if (!fetcher->has_declined)
        decline(fetcher);
    return HEDDLE_OK;
}

/* Where that fails others find what there is by their poll. */
static void decline(struct fetcher *fetcher)
{
    struct heddle_error err;

    if (redis_is_connected(fetcher->link) &&
        lanes_decline(fetcher->link, &fetcher->command, fetcher->options.partitions,
                      fetcher->options.incarnation, &err) != HEDDLE_OK)
        redis_close(fetcher->link);
    fetcher->has_declined = true;
}

/* Goes on in the next round where there is more. */
static heddle_status adopt_some(struct fetcher *fetcher, unsigned partition, bool *is_starved,
                                struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    for (int pages = 0; status == HEDDLE_OK && pages < ADOPT_PAGES_MAX &&
                        adoption_is_due(fetcher->adoption, partition);
         pages++) {
        size_t room = runqueue_room(fetcher->parts.queue, false).claims;
        if (room == 0) {
            *is_starved = true;
            break;
        }
        status = adopt(fetcher, partition, room, err);
    }
    return status;
}

/* A quarantine looks into every partition, page by page; with nothing found in any it is idle. */
static heddle_status fetch_suspects(struct fetcher *fetcher, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    bool is_idle = true;

    for (unsigned p = 0; status == HEDDLE_OK && p < fetcher->options.partitions; p++) {
        size_t room = runqueue_room(fetcher->parts.queue, false).claims;
        status = room > 0 ? adopt(fetcher, p, 1, err) : HEDDLE_OK;
        is_idle = is_idle && room > 0 && !adoption_is_due(fetcher->adoption, p);
    }
    atomic_store(&fetcher->is_idle, status == HEDDLE_OK && is_idle);
    heat_poll_in(fetcher->heat, SUSPECTS_EVERY_MS);
    return status;
}

/* A claim to each hot partition, from the one whose turn it is, until the room is given away. */
static size_t send_claims(struct fetcher *fetcher, struct room room, struct sent_claim *sent,
                          heddle_status *status, struct heddle_error *err)
{
    const unsigned partitions = fetcher->options.partitions;
    size_t count = 0;

    heat_begin_round(fetcher->heat, room.claims, room.operations);
    for (unsigned i = 0; i < partitions && *status == HEDDLE_OK; i++) {
        unsigned p = (fetcher->turn + i) % partitions;
        size_t lanes = heat_take_lanes(fetcher->heat, p, (size_t)fetcher->options.lanes_max);
        if (lanes == 0)
            continue;
        sent[count] = (struct sent_claim){p, request_for(fetcher, lanes)};
        *status = lanes_claim_send(fetcher->link, &fetcher->command, p, &sent[count].request, err);
        count++;
    }
    if (count > 0)
        fetcher->turn = (sent[count - 1].partition + 1) % partitions;
    return count;
}

static heddle_status receive_claims(struct fetcher *fetcher, const struct sent_claim *sent,
                                    struct heddle_error *err)
{
    struct lanes_answer answer;

    heddle_status status =
        lanes_claim_receive(fetcher->link, sent->partition, &sent->request, &answer, err);
    if (status != HEDDLE_OK)
        return status;
    heat_claimed(fetcher->heat, sent->partition, (size_t)sent->request.lanes_max, &answer.claims);
    if (answer.is_exhausted) {
        heat_exhausted(fetcher->heat, sent->partition, answer.next_due_ms);
        adoption_expect(fetcher->adoption, sent->partition, answer.halted);
    }
    hand_over(&fetcher->options, &fetcher->parts, &answer.claims, sent->request.seq);
    return HEDDLE_OK;
}

static heddle_status adopt(struct fetcher *fetcher, unsigned partition, size_t lanes,
                           struct heddle_error *err)
{
    const struct lanes_request request = request_for(fetcher, lanes);
    struct lanes_answer answer;

    heddle_status status = adoption_look(fetcher->adoption, fetcher->link, &fetcher->command,
                                         partition, &request, &answer, err);
    if (status == HEDDLE_OK)
        hand_over(&fetcher->options, &fetcher->parts, &answer.claims, request.seq);
    return status;
}

static struct lanes_request request_for(struct fetcher *fetcher, size_t lanes)
{
    return (struct lanes_request){
        .incarnation = fetcher->options.incarnation,
        .seq = ++fetcher->seq,
        .lanes_max =
            lanes < (size_t)fetcher->options.lanes_max ? (int)lanes : fetcher->options.lanes_max,
        .operations_max = fetcher->options.operations_max,
        .bytes_max = CLAIM_BYTES_MAX,
        .lease_ms = fetcher->options.lease_ms,
    };
}

/* Sleeps until we are woken, a waiting lane is due, there is room again, or the poll. */
static heddle_status wait_for_work(struct fetcher *fetcher, bool is_starved,
                                   struct heddle_error *err)
{
    struct pollfd fds[] = {
        {.fd = wakes_fd(fetcher->parts.wakes), .events = POLLIN},
        {.fd = fetcher->told_fd, .events = POLLIN},
        {.fd = runqueue_room_fd(fetcher->parts.queue), .events = POLLIN},
        {.fd = settler_room_fd(fetcher->parts.settler), .events = POLLIN},
    };

    /* Without room there is nothing to do when a lane comes due. */
    poll(fds, is_starved ? 4 : 2, is_starved ? HEAT_POLL_MS : (int)heat_wait_ms(fetcher->heat));
    heat_due(fetcher->heat);
    return fds[0].revents ? read_wakes(fetcher, err) : HEDDLE_OK;
}

static heddle_status read_wakes(struct fetcher *fetcher, struct heddle_error *err)
{
    struct wake wake;
    heddle_status status;

    while ((status = wakes_next(fetcher->parts.wakes, &wake, err)) == HEDDLE_OK &&
           wake.kind != WAKE_NONE)
        switch (wake.kind) {
        case WAKE_NONE:
            break;
        case WAKE_PARTITION:
            heat_partition(fetcher->heat, wake.partition);
            break;
        case WAKE_CANCEL:
            watchdog_cancel(fetcher->parts.watchdog, wake.id);
            break;
        case WAKE_YIELD:
            settler_release_unbegun(fetcher->parts.settler, fetcher->parts.queue);
            break;
        case WAKE_SHARES:
            relay_balance(*fetcher->parts.relay);
            break;
        case WAKE_REPORT:
            reporter_ask(fetcher->parts.reporter, &wake.report);
            break;
        }
    return status;
}

static void back_off(struct fetcher *fetcher, int attempt)
{
    struct pollfd stop = {.fd = fetcher->told_fd, .events = POLLIN};
    poll(&stop, 1, (int)clock_backoff_ms(attempt, RETRY_BASE_MS, RETRY_CAP_MS) + 1);
}
