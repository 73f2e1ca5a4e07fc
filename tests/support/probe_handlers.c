/* Handlers that leave traces. What they do stands in the payload:
 *
 *   n       recorded, so that a test can see order and repetition
 *   ms      how long the operation takes: in apply for probe_record, in
 *           prepare for probe_prepare
 *   gate    probe_prepare, probe_flaky and probe_patient wait until the file GATE.PID exists
 *   sticks  probe_stick does so in its first `sticks` attempts
 *   kind    how probe_stick stays: wait_prepare, wait_apply until it is told to end; loop for
 *           ever; sleep in a statement
 *           how probe_crash ends the process: abort, segv, overflow; how probe_fail fails:
 *           refuse_check, refuse_prepare, refuse_apply, or a kind of the SQL function probe.fail
 *   fails   probe_flaky, probe_patient and probe_look fail in their first `fails` attempts, with a
 *           fault that passes, until the file `cure` exists; in prepare where `kind` is prepare
 *
 * Traces of a transaction stand in the tables of probe.sql, and commit with it.
 * Traces of prepare are lines of the file `prepare.log`. Gates and that file lie
 * in the folder PROBE_DIR. */
#include "probe_handlers.h"

#include "heddle/uow.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { GATE_SECONDS_MAX = 60, STEP_MS = 2, DURATION_MS_MAX = 60000 };

static const struct heddle_statement enter_statement = {
    "probe_enter",
    "insert into probe.events (lane, operation, n, phase, pid, backend)"
    " values ($1, $2::uuid, $3::bigint, 'in', $4::int, pg_backend_pid())",
    4};
static const struct heddle_statement count_statement = {
    "probe_count",
    "insert into probe.counters (lane, count) values ($1, 1)"
    " on conflict (lane) do update set count = counters.count + 1",
    1};
static const struct heddle_statement sleep_statement = {"probe_sleep",
                                                        "select pg_sleep($1::float8 / 1000)", 1};
static const struct heddle_statement leave_statement = {
    "probe_leave",
    "insert into probe.events (lane, operation, n, phase, pid, backend)"
    " values ($1, $2::uuid, $3::bigint, 'out', $4::int, pg_backend_pid())",
    4};
static const struct heddle_statement fail_statement = {
    "probe_fail", "select probe.fail($1, $2::int, $3::int)", 3};

static void sleep_ms(int64_t duration_ms)
{
    struct timespec left = {.tv_sec = duration_ms / 1000, .tv_nsec = duration_ms % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0)
        continue;
}

static heddle_status member_integer(struct heddle_task *task, const char *member, int64_t most,
                                    int64_t *value, struct heddle_error *err)
{
    bool found;

    *value = 0;
    return heddle_payload_integer(task, member, 0, most, value, &found, err);
}

/* Appends a line to prepare.log, with one write so that lines don't mix. */
void probe_trace(struct heddle_task *task, const char *phase, int64_t n)
{
    const struct heddle_operation *operation = heddle_task_operation(task);
    struct timespec now;
    char path[400], line[700];
    int file, size;

    clock_gettime(CLOCK_MONOTONIC, &now);
    size = snprintf(line, sizeof line, "%s\t%s\t%s\t%lld\t%d\t%d\t%lld\n", phase,
                    operation->user.data, operation->id, (long long)n, getpid(), gettid(),
                    now.tv_sec * 1000000LL + now.tv_nsec / 1000);
    snprintf(path, sizeof path, "%s/prepare.log", getenv("PROBE_DIR"));
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || write(file, line, (size_t)size) != size)
        abort();
    close(file);
}

static heddle_status pass_gate(struct heddle_text gate, struct heddle_error *err)
{
    char path[400];
    struct timespec start, now;

    snprintf(path, sizeof path, "%s/%s.%d", getenv("PROBE_DIR"), gate.data, getpid());
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        if (access(path, F_OK) == 0)
            return HEDDLE_OK;
        sleep_ms(STEP_MS);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < GATE_SECONDS_MAX);
    return heddle_refuse(err, HEDDLE_KIND_INTERNAL, "gate %s stayed shut", gate.data);
}

static heddle_status prepare_slowly(struct heddle_task *task, struct heddle_error *err)
{
    int64_t n, duration_ms;
    struct heddle_text gate;
    bool has_gate;
    heddle_status status = member_integer(task, "n", INT64_MAX, &n, err);

    if (status == HEDDLE_OK)
        status = member_integer(task, "ms", DURATION_MS_MAX, &duration_ms, err);
    if (status == HEDDLE_OK)
        status = heddle_payload_text(task, "gate", &gate, &has_gate, err);
    if (status != HEDDLE_OK)
        return status;
    probe_trace(task, "in", n);
    sleep_ms(duration_ms);
    if (has_gate)
        status = pass_gate(gate, err);
    probe_trace(task, "out", n);
    return status;
}

/* No branch between the statements: they may all be on the wire at once. */
heddle_status probe_record(struct heddle_task *task, struct heddle_uow *uow, int64_t duration_ms,
                           struct heddle_error *err)
{
    const struct heddle_operation *operation = heddle_task_operation(task);
    int64_t n;
    heddle_status status = member_integer(task, "n", INT64_MAX, &n, err);
    const char *event[] = {operation->user.data, operation->id,
                           heddle_task_format(task, "%lld", (long long)n),
                           heddle_task_format(task, "%d", getpid())};
    const char *duration = heddle_task_format(task, "%lld", (long long)duration_ms);

    if (status == HEDDLE_OK)
        status = heddle_uow_send(uow, &enter_statement, event, err);
    if (status == HEDDLE_OK)
        status = heddle_uow_send(uow, &count_statement, event, err);
    if (status == HEDDLE_OK && duration_ms > 0)
        status = heddle_uow_send(uow, &sleep_statement, &duration, err);
    if (status == HEDDLE_OK)
        status = heddle_uow_send(uow, &leave_statement, event, err);
    if (status == HEDDLE_OK)
        heddle_task_set_result(task, heddle_task_format(task, "{\"n\":%lld}", (long long)n));
    return status;
}

static heddle_status apply_record(struct heddle_task *task, struct heddle_uow *uow,
                                  struct heddle_error *err)
{
    int64_t duration_ms;
    heddle_status status = member_integer(task, "ms", DURATION_MS_MAX, &duration_ms, err);

    return status == HEDDLE_OK ? probe_record(task, uow, duration_ms, err) : status;
}

static heddle_status apply_at_once(struct heddle_task *task, struct heddle_uow *uow,
                                   struct heddle_error *err)
{
    return probe_record(task, uow, 0, err);
}

/* True where the payload's kind is this one. */
static heddle_status refuse_if(struct heddle_task *task, const char *kind, struct heddle_error *err)
{
    struct heddle_text wanted = {"", 0};
    bool found;
    heddle_status status = heddle_payload_text(task, "kind", &wanted, &found, err);

    if (status == HEDDLE_OK && strcmp(wanted.data, kind) == 0)
        return heddle_refuse(err, HEDDLE_KIND_CONFLICT, "refused by %s", kind);
    return status;
}

static heddle_status fail_check(struct heddle_task *task, struct heddle_error *err)
{
    return refuse_if(task, "refuse_check", err);
}

static heddle_status fail_prepare(struct heddle_task *task, struct heddle_error *err)
{
    return refuse_if(task, "refuse_prepare", err);
}

/* 1 for the first try of an operation, 2 for what follows on the same worker. */
static int try_of(const struct heddle_operation *operation)
{
    static _Thread_local char tried[HEDDLE_ID_SIZE + 1];

    if (strcmp(tried, operation->id) == 0)
        return 2;
    memcpy(tried, operation->id, sizeof tried);
    return 1;
}

static heddle_status fail_apply(struct heddle_task *task, struct heddle_uow *uow,
                                struct heddle_error *err)
{
    struct heddle_text kind = {"", 0};
    bool found;
    heddle_status status = probe_record(task, uow, 0, err);
    const struct heddle_operation *operation = heddle_task_operation(task);
    const char *params[3];

    if (status == HEDDLE_OK)
        status = refuse_if(task, "refuse_apply", err);
    if (status == HEDDLE_OK)
        status = heddle_payload_text(task, "kind", &kind, &found, err);
    if (status != HEDDLE_OK)
        return status;
    params[0] = kind.data;
    params[1] = heddle_task_format(task, "%d", try_of(operation));
    params[2] = heddle_task_format(task, "%d", operation->attempt);
    return heddle_uow_query(uow, &fail_statement, params, NULL, err);
}

static int overflow(volatile int depth)
{
    volatile char frame[4096];

    frame[0] = (char)depth;
    if (depth < 0)
        return 0;
    return overflow(depth + 1) + frame[0];
}

/* Ends the process as the payload says. */
heddle_status probe_crash(struct heddle_task *task, struct heddle_uow *uow,
                          struct heddle_error *err)
{
    struct heddle_text kind = {"", 0};
    bool found;
    heddle_status status = probe_record(task, uow, 0, err);

    if (status == HEDDLE_OK)
        status = heddle_payload_text(task, "kind", &kind, &found, err);
    if (status != HEDDLE_OK)
        return status;
    if (strcmp(kind.data, "overflow") == 0)
        return overflow(0) ? HEDDLE_OK : HEDDLE_RETRY;
    if (strcmp(kind.data, "segv") == 0)
        raise(SIGSEGV);
    abort();
}

static heddle_status stick(struct heddle_task *task, const char *kind, bool *sticks,
                           struct heddle_error *err)
{
    struct heddle_text wanted = {"", 0};
    int64_t attempts;
    bool found;
    heddle_status status = member_integer(task, "sticks", INT64_MAX, &attempts, err);

    if (status == HEDDLE_OK)
        status = heddle_payload_text(task, "kind", &wanted, &found, err);
    *sticks = status == HEDDLE_OK && strcmp(wanted.data, kind) == 0 &&
              heddle_task_operation(task)->attempt <= attempts;
    return status;
}

static heddle_status wait_for_cancel(struct heddle_task *task, struct heddle_error *err)
{
    probe_trace(task, "in", 0);
    for (int waited_ms = 0; !heddle_task_is_cancelled(task); waited_ms += STEP_MS) {
        if (waited_ms > GATE_SECONDS_MAX * 1000)
            return heddle_refuse(err, HEDDLE_KIND_INTERNAL, "nobody cancelled it");
        sleep_ms(STEP_MS);
    }
    probe_trace(task, "told", 0);
    return heddle_fail(err, HEDDLE_RETRY, "probe_stick", "told to end");
}

static heddle_status stick_prepare(struct heddle_task *task, struct heddle_error *err)
{
    bool sticks;
    heddle_status status = stick(task, "wait_prepare", &sticks, err);

    return sticks ? wait_for_cancel(task, err) : status;
}

heddle_status probe_stick(struct heddle_task *task, struct heddle_uow *uow,
                          struct heddle_error *err)
{
    const char *minute = "60000";
    bool waits, loops, sleeps;
    heddle_status status = probe_record(task, uow, 0, err);

    if (status == HEDDLE_OK)
        status = stick(task, "wait_apply", &waits, err);
    if (status == HEDDLE_OK)
        status = stick(task, "loop", &loops, err);
    if (status == HEDDLE_OK)
        status = stick(task, "sleep", &sleeps, err);
    if (status != HEDDLE_OK)
        return status;
    if (waits)
        return wait_for_cancel(task, err);
    if (loops)
        sleep_ms(2 * GATE_SECONDS_MAX * 1000);
    if (sleeps)
        probe_trace(task, "in", 0);
    return sleeps ? heddle_uow_query(uow, &sleep_statement, &minute, NULL, err) : HEDDLE_OK;
}

/* Fails in its first attempts, in the phase that the payload names. */
static heddle_status flake(struct heddle_task *task, bool is_prepare, struct heddle_error *err)
{
    const struct heddle_operation *operation = heddle_task_operation(task);
    struct heddle_text kind = {"", 0}, cure = {"", 0};
    char path[400];
    int64_t fails;
    bool found;
    heddle_status status = member_integer(task, "fails", INT64_MAX, &fails, err);

    if (status == HEDDLE_OK)
        status = heddle_payload_text(task, "kind", &kind, &found, err);
    if (status == HEDDLE_OK)
        status = heddle_payload_text(task, "cure", &cure, &found, err);
    snprintf(path, sizeof path, "%s/%s", getenv("PROBE_DIR"), cure.data);
    if (status != HEDDLE_OK || is_prepare != (strcmp(kind.data, "prepare") == 0) ||
        operation->attempt > fails || (cure.size > 0 && access(path, F_OK) == 0))
        return status;
    return heddle_fail(err, HEDDLE_RETRY, "probe_flaky", "attempt %d fails", operation->attempt);
}

static heddle_status flake_prepare(struct heddle_task *task, struct heddle_error *err)
{
    struct heddle_text gate;
    bool has_gate;
    heddle_status status = heddle_payload_text(task, "gate", &gate, &has_gate, err);

    probe_trace(task, "in", heddle_task_operation(task)->attempt);
    if (status == HEDDLE_OK && has_gate)
        status = pass_gate(gate, err);
    return status == HEDDLE_OK ? flake(task, true, err) : status;
}

static heddle_status flake_apply(struct heddle_task *task, struct heddle_uow *uow,
                                 struct heddle_error *err)
{
    heddle_status status = probe_record(task, uow, 0, err);

    return status == HEDDLE_OK ? flake(task, false, err) : status;
}

static heddle_status flake_look(struct heddle_task *task, struct heddle_uow *uow,
                                struct heddle_error *err)
{
    const char *no_time = "0";
    heddle_status status = heddle_uow_send(uow, &sleep_statement, &no_time, err);

    heddle_task_set_result(task, "{\"looked\":true}");
    return status == HEDDLE_OK ? flake(task, false, err) : status;
}

static const struct heddle_handler record_handler = {.op = "probe_record", .apply = apply_record};
static const struct heddle_handler prepare_handler = {
    .op = "probe_prepare", .prepare = prepare_slowly, .apply = apply_at_once};
static const struct heddle_handler fail_handler = {
    .op = "probe_fail", .check = fail_check, .prepare = fail_prepare, .apply = fail_apply};
/* Writes although it says that it only reads: Postgres must stop it. */
static const struct heddle_handler liar_handler = {
    .op = "probe_liar", .flags = HEDDLE_HANDLER_READ_ONLY, .apply = apply_at_once};

static const struct heddle_handler crash_handler = {.op = "probe_crash", .apply = probe_crash};

static const struct heddle_handler stick_handler = {
    .op = "probe_stick", .prepare = stick_prepare, .apply = probe_stick};

static const struct heddle_handler flaky_handler = {
    .op = "probe_flaky", .prepare = flake_prepare, .apply = flake_apply};
static const struct heddle_handler patient_handler = {
    .op = "probe_patient",
    .prepare = flake_prepare,
    .apply = flake_apply,
    .policy = {.attempts = 3, .backoff_ms = 20, .on_failure = HEDDLE_ON_FAILURE_PARK}};
static const struct heddle_handler look_handler = {
    .op = "probe_look", .flags = HEDDLE_HANDLER_READ_ONLY, .apply = flake_look};

const struct heddle_handler *const probe_handlers[] = {&record_handler,
                                                       &prepare_handler,
                                                       &fail_handler,
                                                       &liar_handler,
                                                       &crash_handler,
                                                       &stick_handler,
                                                       &flaky_handler,
                                                       &patient_handler,
                                                       &look_handler,
                                                       &probe_crash_set,
                                                       &probe_stick_set,
                                                       &probe_follow,
                                                       NULL};
