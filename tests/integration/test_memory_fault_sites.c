/* Memory runs out at every allocation in turn, of ours and of the libraries', while a process
 * submits an operation, claims it, runs it and settles it. It goes on with an error that says so,
 * or ends by the one way there is for that; nothing leaks; and whoever comes after it finds the
 * operation, and it is done once. */
#include "desk.h"
#include "memory_faults.h"
#include "runs.h"

#include "fixture.h"

#include "base/clock.h"
#include "base/text.h"
#include "engine/handlers.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SITES_MAX = 5000, LEAKED = 100, RAN_WELL = 0, REPORT_BYTES = 1000 };

static struct runs clean; /* the processor that comes after */

/* An operation of its own for each site. */
struct subject {
    char id[HEDDLE_ID_SIZE + 1];
    char user[24], incarnation[24];
};

static struct subject subject_of(int nth, bool stays)
{
    struct subject subject;

    snprintf(subject.id, sizeof subject.id, "00000000-0000-4000-8%03d-%012d", stays, nth);
    snprintf(subject.user, sizeof subject.user, "u%d%s", nth, stays ? "x" : "");
    snprintf(subject.incarnation, sizeof subject.incarnation, "p%d", nth);
    return subject;
}

static struct heddle_submission submission_of(const struct subject *subject)
{
    return (struct heddle_submission){.user = text_of(subject->user),
                                      .op = TEXT("create_thread"),
                                      .thread = TEXT(""),
                                      .payload = TEXT("{\"title\":\"x\",\"metadata\":{\"a\":1}}"),
                                      .id = text_of(subject->id),
                                      .reply = true};
}

static heddle_status submit(const struct subject *subject, struct heddle_error *err)
{
    const struct heddle_submission submission = submission_of(subject);
    struct heddle_receipt receipt;
    struct heddle_client *client;

    heddle_status status = heddle_client_new(fixture_redis(), DESK_TIMEOUT_MS, &client, err);
    if (status != HEDDLE_OK)
        return status;
    status = heddle_client_submit(client, &submission, 1, &receipt, err);
    if (status == HEDDLE_OK)
        status = receipt.status;
    heddle_client_free(client);
    return status;
}

/* Executes one claim and settles it, on these connections. */
static heddle_status work_on(struct redis_link *link, struct command *command, struct runs *runs,
                             const char *incarnation, struct claim *claim, struct heddle_error *err)
{
    struct settlement settlement = {.claim = claim, .wait_ms = 1};
    const uint64_t seq = claim->seq;

    settlement.disposition = runs_execute(runs, claim);
    claim->seq = seq; /* an execution of its own is a claim of its own, elsewhere */
    settlement.count = settlement.disposition == LANE_RELEASE ? claim->operation_count : 0;
    heddle_status status = lanes_settle_send(link, command, claim->partition, incarnation,
                                             DESK_TTL_MS, &settlement, err);
    if (status == HEDDLE_OK)
        status = lanes_settle_receive(link, NULL, NULL, err);
    return status == HEDDLE_OK && settlement.disposition != LANE_RELEASE ? HEDDLE_RETRY : status;
}

/* What a processor does with its connections. */
static heddle_status process_on(struct redis_link *link, struct command *command, struct runs *runs,
                                const char *incarnation, uint64_t seq, struct heddle_error *err)
{
    struct lanes_request request = desk_request(incarnation, 1, 1);
    struct lanes_answer answer;
    struct claim *claim;

    request.seq = seq;
    heddle_status status = lanes_claim_send(link, command, 0, &request, err);
    if (status == HEDDLE_OK)
        status = lanes_claim_receive(link, 0, &request, &answer, err);
    while (status == HEDDLE_OK && (claim = claim_list_pop(&answer.claims))) {
        status = work_on(link, command, runs, incarnation, claim, err);
        claim_free(claim);
    }
    return status;
}

static heddle_status process(const struct subject *subject, struct heddle_error *err)
{
    struct redis_link *link = NULL;
    struct command command;
    struct runs runs;

    runs_init(&runs, fixture_postgres());
    runs.shared.options = &runs.options;
    runs.shared.incarnation = subject->incarnation;
    command_init(&command);
    heddle_status status = redis_new(fixture_redis(), DESK_TIMEOUT_MS, &link, err);
    if (status == HEDDLE_OK) {
        runs.shared.incarnation = "test";
        runs.shared.handlers = handlers_new(runs.options.handlers);
        runs.shared.locks = userlock_table_new();
        status = runner_new(&runs.shared, &runs.runner, err);
    }
    if (status == HEDDLE_OK)
        status = process_on(link, &command, &runs, subject->incarnation, 1, err);
    runs_done(&runs);
    command_done(&command);
    redis_free(link);
    return status;
}

static int live_through(const struct subject *subject, int nth, bool stays)
{
    struct heddle_error err = {0};
    const long before = memory_faults_live();

    memory_faults_arm(nth, stays);
    heddle_status status = submit(subject, &err);
    if (status == HEDDLE_OK)
        status = process(subject, &err);
    memory_faults_disarm();
    long leaked = memory_faults_live() - before;
    /* hiredis of version 0.14 forgets a command that it can't make longer. */
    bool is_excused = leaked == 1 && strncmp(memory_faults_library(), "libhiredis.", 11) == 0;
    if (leaked != 0 && !is_excused)
        return LEAKED;
    if (status != HEDDLE_OK)
        dprintf(STDERR_FILENO, "%s: %s: %s\n", heddle_status_name(status), err.where, err.text);
    return (int)status;
}

/* In a process of its own; its exit status, and what it said. */
static int live_and_die(const struct subject *subject, int nth, bool stays, bool *has_failed,
                        char report[REPORT_BYTES])
{
    static bool *shared;
    int status, file = memfd_create("report", MFD_CLOEXEC);

    if (!shared)
        shared =
            mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *shared = true;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};
        const struct rlimit none = {0, 0};
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            signal(signals[i], SIG_DFL);
        setrlimit(RLIMIT_CORE, &none);
        dup2(file, STDERR_FILENO);
        int code = live_through(subject, nth, stays);
        if (code == LEAKED)
            dprintf(STDERR_FILENO, "after a failure in %s", memory_faults_library());
        *shared = memory_faults_happened();
#ifdef HAS_SANITIZER
        exit(code); /* by way of its search for leaks */
#endif
        _exit(code);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    ssize_t size = pread(file, report, REPORT_BYTES - 1, 0);
    report[size > 0 ? size : 0] = '\0';
    close(file);
    *has_failed = *shared;
    return status;
}

static void judge(int nth, int status, bool has_failed, const char *report)
{
    bool is_good;

    if (WIFSIGNALED(status))
        is_good = WTERMSIG(status) == SIGABRT && (strcmp(report, "heddle: out of memory\n") == 0 ||
                                                  strcmp(report, "hiredis: out of memory\n") == 0);
    else if (WEXITSTATUS(status) == HEDDLE_OK)
        is_good = true; /* somebody could do without */
    else
        is_good = has_failed && (WEXITSTATUS(status) == HEDDLE_RETRY ||
                                 (WEXITSTATUS(status) == HEDDLE_FATAL && strstr(report, "memory")));
    if (!is_good)
        fail_msg("allocation %d: status 0x%x (%d is a leak): %s", nth, status, LEAKED << 8, report);
}

/* Somebody else submits it again, frees the dead one's lanes, and works. */
static void clean_up(const struct subject *subject)
{
    const struct heddle_submission submission = submission_of(subject);
    const int64_t deadline_ms = clock_now_ms() + FIXTURE_PATIENCE_MS;
    struct heddle_receipt receipt = desk_submit_as(&submission);

    assert_int_equal(receipt.status, HEDDLE_OK);
    desk_release(subject->incarnation);
    while (strcmp(desk_state(subject->user), "gone") != 0) {
        heddle_status status =
            process_on(desk.link, &desk.command, &clean, "clean", ++desk.seq, &desk.err);
        bool is_late = clock_now_ms() > deadline_ms;
        if ((status != HEDDLE_OK && status != HEDDLE_RETRY) || is_late)
            fail_msg("%s is %s: %s", subject->user, desk_state(subject->user), desk.err.text);
    }
    assert_string_equal(ask("select state || coalesce(error::text, '') from heddle.operations"
                            " where id = '%s'",
                            subject->id),
                        "done");
    assert_string_equal(
        ask("select count(*) from chat.threads where user_id = '%s'", subject->user), "1");
}

static void iterate(bool stays)
{
    static char report[REPORT_BYTES];
    int aborted = 0, reported = 0;
    bool has_failed = true;
    int nth = 0;

    while (has_failed && ++nth < SITES_MAX) {
        const struct subject subject = subject_of(nth, stays);
        int status = live_and_die(&subject, nth, stays, &has_failed, report);
        judge(nth, status, has_failed, report);
        aborted += WIFSIGNALED(status);
        reported += !WIFSIGNALED(status) && WEXITSTATUS(status) != RAN_WELL;
        clean_up(&subject);
    }
    print_message("%d allocations: %d ended the process, %d were reported\n", nth - 1, aborted,
                  reported);
    assert_in_range(nth, 50, SITES_MAX - 1);
    assert_true(aborted > 0);
    assert_true(desk_is_sound());
}

static void an_allocation_that_fails_loses_and_repeats_nothing(void **state)
{
    (void)state;
    iterate(false);
}

static void memory_that_stays_exhausted_loses_and_repeats_nothing(void **state)
{
    (void)state;
    iterate(true);
}

static int set_up(void **state)
{
    const struct subject first = subject_of(0, false);

    fixture_migrate();
    if (desk_set_up(state) != 0)
        return -1;
    tell("truncate heddle.operations, chat.messages, chat.threads");
    runs_init(&clean, fixture_postgres());
    runs_start(&clean);
    /* What the libraries keep for good is theirs after the first time. */
    int code = live_through(&first, 0, false);
    if ((code != RAN_WELL && code != LEAKED) || live_through(&first, 0, false) != RAN_WELL)
        return -1;
    clean_up(&first);
    return 0;
}

static int tear_down(void **state)
{
    runs_done(&clean);
    fixture_done();
    return desk_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_allocation_that_fails_loses_and_repeats_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(memory_that_stays_exhausted_loses_and_repeats_nothing,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
