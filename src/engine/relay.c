/* See relay.h. */
#include "engine/relay.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/thread.h"
#include "engine/farewell.h"
#include "engine/fetcher.h"
#include "engine/functions.h"
#include "engine/house.h"
#include "engine/outbox.h"
#include "engine/reconcile.h"
#include "heddle/client.h"
#include "heddle/uow.h"
#include "ledger/journal.h"
#include "link/pg.h"
#include "link/redis.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    REQUESTS_MAX = 1000, /* more gaps than that are the reconciler's */
    SLEEP_MS = 1000,
    /* A submitter that believes us awake has not committed yet: look again soon. */
    DOZE_MS = 10,
    RECONCILE_EVERY_MS = 1000,
    LEARN_EVERY_MS = 1000,
    RECONCILE_PAUSE = 9, /* times what a page took */
    FORGET_COUNT = 1000,
    RETRY_BASE_MS = 20,
    RETRY_CAP_MS = 1000,
};

/* Session locks; the second is heddle.wake_relay's. */
#define LEADER_KEY "7522537965569666158"
#define ASLEEP_KEY "7522537965569666159"

static const struct heddle_statement listen_outbox = {"heddle_listen", "listen heddle_outbox", 0};
/* What it writes is done again where it was lost. And it walks along indexes: a plan that is made
 * while tables are empty, or their sizes not known yet, stays in use. */
static const struct heddle_statement set_session = {
    "heddle_relay_session",
    "select set_config(name, 'off', false) from unnest('{synchronous_commit, enable_seqscan,"
    " enable_bitmapscan, enable_sort, jit}'::text[]) as name",
    0};
static const struct heddle_statement lead = {"heddle_lead",
                                             "select pg_try_advisory_lock(" LEADER_KEY ")", 0};
static const struct heddle_statement fall_asleep = {
    "heddle_fall_asleep", "select pg_try_advisory_lock(" ASLEEP_KEY ")", 0};
static const struct heddle_statement wake_up = {"heddle_wake_up",
                                                "select pg_advisory_unlock(" ASLEEP_KEY ")", 0};

struct request {
    struct request *next;
    size_t size;
    char lane[];
};

struct relay {
    const struct processor_options *options;
    unsigned partitions;
    struct handlers *handlers;
    struct fetcher *fetcher;
    struct pg_link *pg;
    struct redis_link *redis;
    struct heddle_client *client;
    struct command command;
    struct reconciler reconciler;
    struct outbox outbox;
    struct farewell farewell;
    bool is_listening, is_leader;
    atomic_bool leads; /* is_leader, as others see it */
    struct house house;
    int64_t next_reconcile_ms, next_learn_ms;
    int event_fd; /* a request, or the end */
    atomic_bool is_stopping;
    pthread_t thread;

    struct mutex mutex;
    struct request *requests GUARDED;
    size_t request_count GUARDED;
};

static void *relay_body(void *argument);
static heddle_status tend(struct relay *relay, struct heddle_error *err);
static heddle_status take_office(struct relay *relay, struct heddle_error *err);
static heddle_status learn(struct relay *relay, struct heddle_error *err);
static heddle_status serve_requests(struct relay *relay, struct heddle_error *err);
static heddle_status reconcile(struct relay *relay, struct heddle_error *err);
static heddle_status rest(struct relay *relay, struct heddle_error *err);
static int64_t rest_ms(const struct relay *relay);
static heddle_status is_granted(struct relay *relay, const struct heddle_statement *statement,
                                bool *granted, struct heddle_error *err);
static void recover(struct relay *relay, const struct heddle_error *cause, int failures);

heddle_status relay_new(const struct processor_options *options, unsigned partitions,
                        struct handlers *handlers, struct fetcher *fetcher, struct relay **relay,
                        struct heddle_error *err)
{
    const struct pg_options pg_options = {
        .conninfo = options->postgres,
        .application_name = "heddle relay",
        .connect_timeout_ms = options->connect_timeout_ms,
        .deadline_ms = options->commit_deadline_ms,
        .with_prepared_statements = true,
    };
    struct relay *fresh = memory_take_zeroed(1, sizeof *fresh);

    fresh->options = options;
    fresh->partitions = partitions;
    fresh->handlers = handlers;
    fresh->fetcher = fetcher;
    fresh->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fresh->event_fd < 0)
        abort();
    command_init(&fresh->command);
    mutex_init(&fresh->mutex);
    heddle_status status = pg_new(&pg_options, &fresh->pg, err);
    if (status == HEDDLE_OK)
        status = redis_new(options->redis, options->redis_timeout_ms, &fresh->redis, err);
    if (status == HEDDLE_OK)
        status = heddle_client_new(options->redis, options->redis_timeout_ms, &fresh->client, err);
    reconciler_init(&fresh->reconciler, fresh->pg, fresh->redis, &fresh->command, partitions);
    outbox_init(&fresh->outbox, fresh->pg, fresh->client);
    farewell_init(&fresh->farewell, options, fresh->pg, fresh->redis, partitions);
    if (status != HEDDLE_OK) {
        relay_free(fresh);
        return status;
    }
    *relay = fresh;
    return HEDDLE_OK;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    mutex_lock(&relay->mutex);
    while (relay->requests) {
        struct request *request = relay->requests;
        relay->requests = request->next;
        free(request);
    }
    mutex_unlock(&relay->mutex);
    reconciler_done(&relay->reconciler);
    heddle_client_free(relay->client);
    redis_free(relay->redis);
    pg_free(relay->pg);
    command_done(&relay->command);
    outbox_done(&relay->outbox);
    mutex_done(&relay->mutex);
    close(relay->event_fd);
    free(relay);
}

void relay_start(struct relay *relay)
{
    thread_start(&relay->thread, "heddle-relay", relay_body, relay);
}

void relay_stop(struct relay *relay)
{
    atomic_store(&relay->is_stopping, true);
    eventfd_write(relay->event_fd, 1);
    thread_join(relay->thread);
}

bool relay_is_leader(const struct relay *relay)
{
    return atomic_load(&relay->leads);
}

void relay_rebuild(struct relay *relay, struct heddle_text lane)
{
    struct request *request = memory_take(sizeof *request + lane.size + 1);

    request->size = lane.size;
    memcpy(request->lane, lane.data, lane.size);
    request->lane[lane.size] = '\0';
    mutex_lock(&relay->mutex);
    bool has_room = relay->request_count < REQUESTS_MAX;
    if (has_room) {
        request->next = relay->requests;
        relay->requests = request;
        relay->request_count++;
    }
    mutex_unlock(&relay->mutex);
    if (has_room)
        eventfd_write(relay->event_fd, 1);
    else
        free(request);
}

void relay_balance(struct relay *relay)
{
    house_ask(&relay->house);
    eventfd_write(relay->event_fd, 1);
}

static void *relay_body(void *argument)
{
    struct relay *relay = argument;
    int failures = 0;

    while (!atomic_load(&relay->is_stopping)) {
        struct heddle_error err;
        if (tend(relay, &err) == HEDDLE_OK)
            failures = 0;
        else
            recover(relay, &err, ++failures);
    }
    return NULL;
}

/* One round: operations that were registered, rebuilds that were asked for, then, as the leader, a
 * page of the outbox; with nothing to do, some reconciling and a rest. */
static heddle_status tend(struct relay *relay, struct heddle_error *err)
{
    size_t relayed = 0;

    heddle_status status = take_office(relay, err);
    if (status == HEDDLE_OK)
        status = learn(relay, err);
    if (status == HEDDLE_OK)
        status = farewell_learn(&relay->farewell, err);
    if (status == HEDDLE_OK)
        status = serve_requests(relay, err);
    if (status == HEDDLE_OK && relay->is_leader)
        status = house_tend(&relay->house, relay->pg, relay->redis, relay->partitions, err);
    if (status == HEDDLE_OK && relay->is_leader)
        status = farewell_sweep(&relay->farewell, err);
    if (status == HEDDLE_OK && relay->is_leader)
        status = outbox_unpark(&relay->outbox, err);
    if (status == HEDDLE_OK && relay->is_leader)
        status = outbox_relay(&relay->outbox, &relayed, err);
    if (status == HEDDLE_OK && relay->is_leader && clock_now_ms() >= relay->next_reconcile_ms)
        status = reconcile(relay, err);
    if (status == HEDDLE_OK && relayed == 0)
        status = rest(relay, err);
    return status;
}

static heddle_status take_office(struct relay *relay, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;

    if (redis_connect(relay->redis, err) != HEDDLE_OK)
        return HEDDLE_RETRY;
    if (!pg_is_connected(relay->pg))
        relay->is_listening = relay->is_leader = false;
    if (!relay->is_listening)
        status = pg_query(relay->pg, &set_session, NULL, NULL, err);
    if (status == HEDDLE_OK && !relay->is_listening)
        status = pg_query(relay->pg, &listen_outbox, NULL, NULL, err);
    relay->is_listening = status == HEDDLE_OK;
    if (status == HEDDLE_OK && !relay->is_leader) {
        status = is_granted(relay, &lead, &relay->is_leader, err);
        if (status == HEDDLE_OK && relay->is_leader)
            heddle_log(HEDDLE_LOG_INFO, "relay_leads", "pid=%d", (int)getpid());
    }
    atomic_store(&relay->leads, relay->is_leader);
    return status;
}

/* By a poll, which works behind a pooler too. */
static heddle_status learn(struct relay *relay, struct heddle_error *err)
{
    bool has_changed = false;

    if (clock_now_ms() < relay->next_learn_ms)
        return HEDDLE_OK;
    heddle_status status = functions_learn(relay->handlers, relay->pg, &has_changed, err);
    if (has_changed)
        fetcher_tell(relay->fetcher);
    relay->next_learn_ms = clock_now_ms() + LEARN_EVERY_MS;
    return status;
}

static heddle_status serve_requests(struct relay *relay, struct heddle_error *err)
{
    heddle_status status = HEDDLE_OK;
    eventfd_t ignored;

    (void)!eventfd_read(relay->event_fd, &ignored);
    mutex_lock(&relay->mutex);
    struct request *requests = relay->requests;
    relay->requests = NULL;
    relay->request_count = 0;
    mutex_unlock(&relay->mutex);
    while (requests) {
        struct request *next = requests->next;
        /* One that fails is left to the reconciler. */
        if (status == HEDDLE_OK)
            status = reconciler_rebuild(&relay->reconciler,
                                        (struct heddle_text){requests->lane, requests->size}, err);
        free(requests);
        requests = next;
    }
    return status;
}

/* A page of the comparison. In a large journal it takes a small part of the time, unless Redis has
 * lost something. */
static heddle_status reconcile(struct relay *relay, struct heddle_error *err)
{
    const int64_t begin_ms = clock_now_ms(), lost = relay->reconciler.counts.lost;
    bool is_last = false, is_new;
    int forgotten = 0;

    heddle_status status = pass_set_up(relay->pg, relay->redis, &is_new, err);
    if (status == HEDDLE_OK)
        status = reconciler_step(&relay->reconciler, &is_last, err);
    if (status != HEDDLE_OK)
        return status;
    if (is_new)
        house_hurry(&relay->house);
    const int64_t now_ms = clock_now_ms();
    relay->next_reconcile_ms = now_ms;
    if (is_last)
        relay->next_reconcile_ms += RECONCILE_EVERY_MS;
    else if (!is_new && relay->reconciler.counts.lost == lost)
        relay->next_reconcile_ms += (now_ms - begin_ms) * RECONCILE_PAUSE;
    return is_last ? journal_forget_idle(relay->pg, FORGET_COUNT, &forgotten, err) : HEDDLE_OK;
}

/* Sleeps without losing a wake-up: asleep is said first, then the outbox is looked at once more. */
static heddle_status rest(struct relay *relay, struct heddle_error *err)
{
    bool is_asleep = false, is_notified, is_awake;
    size_t relayed = 0;

    heddle_status status = HEDDLE_OK;
    if (relay->is_leader)
        status = is_granted(relay, &fall_asleep, &is_asleep, err);
    fault_point("asleep");
    if (status == HEDDLE_OK && is_asleep)
        status = outbox_relay(&relay->outbox, &relayed, err);
    /* The word that it is to stop may have been read with a request. */
    if (status == HEDDLE_OK && relayed == 0 && !atomic_load(&relay->is_stopping))
        status = pg_await_notification(relay->pg, relay->event_fd,
                                       relay->is_leader && !is_asleep ? DOZE_MS : rest_ms(relay),
                                       &is_notified, err);
    if (status == HEDDLE_OK && is_asleep)
        status = is_granted(relay, &wake_up, &is_awake, err);
    return status;
}

static int64_t rest_ms(const struct relay *relay)
{
    const int64_t house_ms = house_next_ms(&relay->house);
    const int64_t next_ms =
        relay->next_reconcile_ms < house_ms ? relay->next_reconcile_ms : house_ms;
    const int64_t due_ms = next_ms - clock_now_ms();
    int64_t ms = outbox_idle_ms(&relay->outbox);

    if (due_ms < ms)
        ms = due_ms > 0 ? due_ms : 0;
    return relay->is_leader && ms < SLEEP_MS ? ms : SLEEP_MS;
}

static heddle_status is_granted(struct relay *relay, const struct heddle_statement *statement,
                                bool *granted, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(relay->pg, statement, NULL, &rows, err);
    if (status == HEDDLE_OK)
        *granted = strcmp(heddle_rows_text(rows, 0, 0), "t") == 0;
    return status;
}

/* Both links are opened anew. Perhaps Redis refuses what we push because it has lost its set-up. */
static void recover(struct relay *relay, const struct heddle_error *cause, int failures)
{
    struct heddle_error err;
    bool is_new;

    heddle_log(HEDDLE_LOG_WARNING, "relay_retry", "attempt=%d text=%s", failures,
               LOG_TEXT(cause->text));
    redis_close(relay->redis);
    (void)!pass_set_up(relay->pg, relay->redis, &is_new, &err);
    redis_close(relay->redis);
    pg_close(relay->pg);
    outbox_begin_anew(&relay->outbox);
    house_hurry(&relay->house);
    if (!atomic_load(&relay->is_stopping))
        clock_sleep_ms(clock_backoff_ms(failures, RETRY_BASE_MS, RETRY_CAP_MS));
}
