/* See leaving.h. */
#include "engine/leaving.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/cancel.h"
#include "ledger/closing.h"
#include "queue/fleet.h"
#include "queue/leavers.h"
#include "queue/look.h"
#include "queue/partitions.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What was cancelled leaves its lane when that comes to it. */
enum { WAITS_MAX = 20, WAIT_MS = 100 };

static const char *const reasons[] = {
    [HEDDLE_CLOSING_LOGOUT] = "logout",
    [HEDDLE_CLOSING_PASSWORD_CHANGE] = "password_change",
    [HEDDLE_CLOSING_DELETED] = "deleted",
    [HEDDLE_CLOSING_IDLE] = "idle",
};

struct pass {
    const struct leaving *leaving;
    unsigned partitions;  /* 0: not known yet */
    char *running;        /* a list `{ID,…}`; NULL: not known yet */
    int64_t count;        /* of the step */
    heddle_status forgot; /* what became of the results of what was redacted */
    struct heddle_error forget_error;
    int64_t forgotten;
    struct arena arena;
};

typedef heddle_status step_function(struct pass *pass, struct heddle_error *err);

static step_function drop_recurring, cancel_journal, cancel_queue, drop_keys, forget_in_queue,
    drop_controls, drop_letters, redact, forget_results, say, tell_plugins;
static bool is_taken(const struct leaving *leaving, step_function *step);
static heddle_status find_partitions(struct pass *pass, struct heddle_error *err);
static heddle_status find_running(struct pass *pass, struct heddle_error *err);
static heddle_status ask_holder(struct pass *pass, const char *holder, struct heddle_error *err);
static char *list_ids(const json_t *running);
static heddle_status cancel_one(void *argument, const struct claimed_operation *operation,
                                struct heddle_error *err);
static heddle_status count_one(void *argument, const struct claimed_operation *operation,
                               struct heddle_error *err);
static heddle_status wait_for_ends(struct pass *pass, struct heddle_error *err);

/* What recurs goes first, so that nothing of it comes behind what is cancelled; the plugins come
 * last: what they do to the process is their own. */
static const struct {
    const char *name;
    step_function *run;
} steps[] = {
    {"recurring", drop_recurring}, {"journal", cancel_journal},
    {"queue", cancel_queue},       {"keys", drop_keys},
    {"counters", forget_in_queue}, {"controls", drop_controls},
    {"letters", drop_letters},     {"content", redact},
    {"results", forget_results},   {"event", say},
    {"plugins", tell_plugins},
};

bool leaving_run(const struct leaving *leaving, leaving_told_function *told, void *argument)
{
    struct pass pass = {.leaving = leaving};
    bool is_done = true;

    arena_init(&pass.arena, 0);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct heddle_error err = {0};
        if (!is_taken(leaving, steps[i].run))
            continue;
        pass.count = 0;
        heddle_status status = steps[i].run(&pass, &err);
        if (status != HEDDLE_OK) {
            is_done = false;
            heddle_log(HEDDLE_LOG_WARNING, "leaving_failed", "step=%s text=%s", steps[i].name,
                       LOG_TEXT(err.text));
        }
        told(argument, steps[i].name, status, pass.count, &err);
    }
    free(pass.running);
    arena_done(&pass.arena);
    return is_done;
}

const char *leaving_reason_name(enum heddle_closing reason)
{
    return reasons[reason];
}

bool leaving_reason_from_name(const char *name, enum heddle_closing *reason)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i], name) == 0) {
            *reason = (enum heddle_closing)i;
            return true;
        }
    return false;
}

heddle_status leaving_tell_hook(const struct heddle_hooks *hooks, size_t number, const char *user,
                                enum heddle_closing reason, struct heddle_error *err)
{
    struct heddle_error told = {0};

    if (!hooks->user_closed)
        return HEDDLE_OK;
    heddle_status status = hooks->user_closed(hooks->context, text_of(user), reason, &told);
    if (status == HEDDLE_OK)
        return HEDDLE_OK;
    told.text[sizeof told.text - 1] = '\0';
    text_make_line(told.text);
    heddle_log(HEDDLE_LOG_WARNING, "user_closed_failed", "hooks=%zu text=%s", number,
               LOG_TEXT(told.text));
    return heddle_fail(err, status, "plugin", "hooks %zu: %.300s", number, told.text);
}

/* What of it a reason, or the caller, asks for. */
static bool is_taken(const struct leaving *leaving, step_function *step)
{
    const bool cancels = leaving->pending != LEAVING_KEEP;
    const bool redacts = leaving->purges || leaving->pending == LEAVING_PURGE;

    if (step == cancel_journal || step == cancel_queue)
        return cancels;
    if (step == redact || step == forget_results)
        return redacts;
    if (step == tell_plugins)
        return leaving->hooks != NULL;
    return step == say || leaving->reason == HEDDLE_CLOSING_DELETED;
}

static heddle_status drop_recurring(struct pass *pass, struct heddle_error *err)
{
    return closing_drop(pass->leaving->ledger, pass->leaving->user, CLOSING_RECURRING, &pass->count,
                        err);
}

static heddle_status cancel_journal(struct pass *pass, struct heddle_error *err)
{
    heddle_status status = find_running(pass, err);

    if (status != HEDDLE_OK)
        return status;
    return closing_cancel(pass->leaving->ledger, pass->leaving->user, pass->running, &pass->count,
                          err);
}

static heddle_status cancel_queue(struct pass *pass, struct heddle_error *err)
{
    heddle_status status = find_running(pass, err);

    if (status != HEDDLE_OK)
        return status;
    return leavers_walk(pass->leaving->queue, pass->partitions, pass->leaving->user, cancel_one,
                        pass, err);
}

static heddle_status drop_keys(struct pass *pass, struct heddle_error *err)
{
    return closing_drop(pass->leaving->ledger, pass->leaving->user, CLOSING_KEYS, &pass->count,
                        err);
}

static heddle_status forget_in_queue(struct pass *pass, struct heddle_error *err)
{
    heddle_status status = find_partitions(pass, err);

    if (status != HEDDLE_OK)
        return status;
    return leavers_forget(pass->leaving->queue, pass->partitions, pass->leaving->user, err);
}

/* The leading relay tells the partitions. */
static heddle_status drop_controls(struct pass *pass, struct heddle_error *err)
{
    return closing_drop(pass->leaving->ledger, pass->leaving->user, CLOSING_CONTROLS, &pass->count,
                        err);
}

static heddle_status drop_letters(struct pass *pass, struct heddle_error *err)
{
    return closing_drop(pass->leaving->ledger, pass->leaving->user, CLOSING_LETTERS, &pass->count,
                        err);
}

/* What has not ended keeps its content: it is needed yet. The results that Redis has go on the way,
 * which may fail without harm to the rest. */
static heddle_status redact(struct pass *pass, struct heddle_error *err)
{
    const struct leaving *leaving = pass->leaving;
    const struct closing_part part = {
        .user = leaving->user,
        .everything = leaving->purges,
        .result_ttl_ms = leaving->result_ttl_ms,
    };
    struct heddle_error unfinished;
    heddle_status status = HEDDLE_OK;
    int64_t block = 0;

    const heddle_status waited = wait_for_ends(pass, &unfinished);
    pass->forgot = find_partitions(pass, &pass->forget_error);
    while (status == HEDDLE_OK && block >= 0) {
        const char *recent = NULL;
        int64_t redacted = 0;
        status =
            closing_redact(leaving->ledger, &part, &pass->arena, &block, &redacted, &recent, err);
        pass->count += redacted;
        if (status == HEDDLE_OK && recent && pass->forgot == HEDDLE_OK)
            pass->forgot = leavers_forget_results(leaving->queue, pass->partitions, leaving->user,
                                                  recent, &pass->forget_error);
        arena_reset(&pass->arena);
    }
    if (status == HEDDLE_OK && waited != HEDDLE_OK)
        *err = unfinished;
    return status == HEDDLE_OK ? waited : status;
}

static heddle_status forget_results(struct pass *pass, struct heddle_error *err)
{
    if (pass->forgot != HEDDLE_OK)
        *err = pass->forget_error;
    return pass->forgot;
}

static heddle_status say(struct pass *pass, struct heddle_error *err)
{
    return closing_say(pass->leaving->ledger, pass->leaving->user,
                       leaving_reason_name(pass->leaving->reason), err);
}

static heddle_status tell_plugins(struct pass *pass, struct heddle_error *err)
{
    const struct leaving *leaving = pass->leaving;
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; leaving->hooks[i]; i++) {
        struct heddle_error own;
        const heddle_status said =
            leaving_tell_hook(leaving->hooks[i], i + 1, leaving->user, leaving->reason, &own);
        if (said == HEDDLE_OK) {
            pass->count += leaving->hooks[i]->user_closed != NULL;
        } else if (status == HEDDLE_OK) {
            status = said;
            *err = own;
        }
    }
    return status;
}

static heddle_status find_partitions(struct pass *pass, struct heddle_error *err)
{
    if (pass->partitions > 0)
        return HEDDLE_OK;
    heddle_status status = partitions_get(pass->leaving->queue, &pass->partitions, err);
    if (status == HEDDLE_OK && pass->partitions == 0)
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "Redis is not set up for Heddle: run `heddle migrate`");
    return status;
}

/* What the lane's holder has begun: it is not cancelled under its hands. */
static heddle_status find_running(struct pass *pass, struct heddle_error *err)
{
    const struct look look = {.user = text_of(pass->leaving->user)};
    char *seen;

    if (pass->running)
        return HEDDLE_OK;
    heddle_status status = find_partitions(pass, err);
    if (status == HEDDLE_OK)
        status = look_at(pass->leaving->queue, pass->partitions, &look, &seen, err);
    if (status != HEDDLE_OK)
        return status;
    json_t *told = json_loads(seen, 0, NULL);
    const char *holder =
        json_string_value(json_object_get(json_object_get(told, "lane"), "holder"));
    if (holder)
        status = ask_holder(pass, holder, err);
    else
        pass->running = list_ids(NULL);
    json_decref(told);
    free(seen);
    return status;
}

static heddle_status ask_holder(struct pass *pass, const char *holder, struct heddle_error *err)
{
    struct fleet_members fleet = {0};

    fleet_add(&fleet, text_of(holder), 0);
    heddle_status status = fleet_ask(pass->leaving->queue, text_of(pass->leaving->user),
                                     FLEET_PATIENCE_MS, &fleet, err);
    if (status == HEDDLE_OK && !fleet.members[0].report)
        status = heddle_fail(err, HEDDLE_RETRY, "fleet",
                             "processor %s has the user's operations in hand, and does not say "
                             "which it has begun: try again",
                             holder);
    if (status == HEDDLE_OK) {
        json_t *report = json_loads(fleet.members[0].report, 0, NULL);
        pass->running = list_ids(json_object_get(json_object_get(report, "lane"), "running"));
        json_decref(report);
    }
    fleet_members_done(&fleet);
    return status;
}

/* As Postgres reads it, of what each worker runs; the caller frees it. */
static char *list_ids(const json_t *running)
{
    const json_t *run, *id;
    size_t i, n, count = 0;

    json_array_foreach(running, i, run) count += json_array_size(json_object_get(run, "ids"));
    char *list = memory_take(count * (HEDDLE_ID_SIZE + 1) + 3), *end = list;
    *end++ = '{';
    json_array_foreach(running, i, run) json_array_foreach(json_object_get(run, "ids"), n, id)
    {
        if (end > list + 1)
            *end++ = ',';
        end = stpncpy(end, json_string_value(id), HEDDLE_ID_SIZE);
    }
    memcpy(end, "}", 2);
    return list;
}

static heddle_status cancel_one(void *argument, const struct claimed_operation *operation,
                                struct heddle_error *err)
{
    struct pass *pass = argument;
    const struct leaving *leaving = pass->leaving;
    const char *id = operation->operation.id;
    char state[16];

    if (operation->is_journaled || claimed_cancel_cause(operation) != CANCEL_NONE ||
        strstr(pass->running, id))
        return HEDDLE_OK;
    heddle_status status =
        cancel_decide(leaving->ledger, leaving->queue, pass->partitions, id, state, err);
    if (status != HEDDLE_OK || strcmp(state, "cancelled") != 0)
        return status;
    pass->count++;
    return cancel_tell(leaving->queue, pass->partitions, id, state, leaving->result_ttl_ms, err);
}

static heddle_status count_one(void *argument, const struct claimed_operation *operation,
                               struct heddle_error *err)
{
    int64_t *count = argument;

    (void)operation;
    (void)err;
    (*count)++;
    return HEDDLE_OK;
}

static heddle_status wait_for_ends(struct pass *pass, struct heddle_error *err)
{
    const struct leaving *leaving = pass->leaving;
    heddle_status status = find_partitions(pass, err);
    int64_t left = 1;

    for (int waits = 0; status == HEDDLE_OK && left > 0 && waits < WAITS_MAX; waits++) {
        if (waits > 0)
            clock_sleep_ms(WAIT_MS);
        status = closing_unfinished(leaving->ledger, leaving->user, &left, err);
        if (status == HEDDLE_OK && left == 0)
            status = leavers_walk(leaving->queue, pass->partitions, leaving->user, count_one, &left,
                                  err);
    }
    if (status == HEDDLE_OK && left > 0)
        return heddle_fail(err, HEDDLE_RETRY, "ledger",
                           "%" PRId64 " operations have not ended yet and keep their content: do "
                           "it again afterwards",
                           left);
    return status;
}
