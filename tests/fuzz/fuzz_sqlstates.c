/* Whatever Postgres answers: faults of any SQLSTATE, at any place, any number of them, while the
 * runner executes an operation again and again. What is told to be done is committed, nothing is
 * committed twice, and each transaction ends once. */
#include "fuzz.h"

#include "postgres.h"
#include "runs.h"

#include "base/clock.h"
#include "queue/claim.h"

#include <libpq-fe.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ATTEMPTS = 4, FAULTS_MAX = 3, SITES = 64 };

#define ID "00000000-0000-4000-8000-000000000001"
#define THREAD "75f8796b-bf15-4028-a476-630218bd7b88"

static int64_t now_us;

static int rebuilds; /* lanes that a gap had put back */

int64_t __wrap_clock_now_us(void);
void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane);
void __wrap_clock_sleep_ms(int64_t ms);
int __wrap_ppoll(struct pollfd *polled, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
int __real_ppoll(struct pollfd *polled, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);

int64_t __wrap_clock_now_us(void)
{
    return now_us;
}

void __wrap_relay_rebuild(struct relay *relay, struct heddle_text lane)
{
    (void)relay;
    fuzz_check_name(lane, 1, HEDDLE_USER_SIZE_MAX);
    rebuilds++;
}

void __wrap_clock_sleep_ms(int64_t ms)
{
    now_us += ms * 1000;
}

int __wrap_ppoll(struct pollfd *polled, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask)
{
    const struct timespec at_once = {0, 0};

    int ready = __real_ppoll(polled, count, &at_once, mask);
    if (ready == 0)
        now_us += timeout->tv_sec * 1000000 + timeout->tv_nsec / 1000 + 1;
    return ready;
}

/* Operations that take different ways through the runner. */
static const struct subject {
    const char *op, *thread, *payload;
    bool is_journaled, is_read;
} subjects[] = {
    {"update_thread", THREAD, "{\"title\":\"x\"}", false, false},
    {"update_thread", THREAD, "{\"title\":\"x\"}", true, false},
    {"auto_rename", THREAD, "{}", false, false},
    {"auto_rename", THREAD, "{}", true, false},
    {"get_thread", THREAD, "{}", false, true},
    {"get_thread", THREAD, "{}", true, true},
    {"create_thread", "", "{}", false, false},
    {"delete_thread", THREAD, "{}", true, false},
    {"list_threads", "", "{}", false, true},
    {"send_message", THREAD, "{\"role\":\"user\",\"content\":\"x\"}", false, false},
    {"get_messages", THREAD, "{}", false, true},
};

/* SQLSTATEs that mean something; the input may make up others. */
static const char *const states[] = {"40001", "40P01", "55P03", "57014", "25P03", "25006",
                                     "08006", "53100", "57P01", "58030", "22P02", "23505",
                                     "23514", "42P01", "HD001", "HD002", "HD003", "HD004",
                                     "HD005", "HD006", "25P02", "26000", "XX000"};

static const char *const fields[] = {NULL, "", "t", "f", "done", "{\"id\":\"x\"}", "7", "\"x\""};

struct script {
    struct fake_fault faults[FAULTS_MAX];
    char made_up[FAULTS_MAX][6];
    int count;
    bool lies; /* what an answer says need not be what happened */
};

static void take_fault(struct fuzz_input *input, struct script *script)
{
    char *made_up = script->made_up[script->count];
    struct fake_fault *fault = &script->faults[script->count++];
    unsigned state;

    *fault = (struct fake_fault){.kind = FAKE_CALL_FAILS_UNSENT + fuzz_number(input, 10)};
    fault->at = 1 + (int)fuzz_number(input, SITES);
    if (fault->kind == FAKE_STATEMENT_FAILS || fault->kind == FAKE_SERVER_SAYS_GOODBYE) {
        state = fuzz_number(input, 32);
        for (int i = 0; state >= sizeof states / sizeof *states && i < 5; i++)
            made_up[i] = (char)(fuzz_byte(input) | 1);
        fault->sqlstate = *made_up ? made_up : states[state % (sizeof states / sizeof *states)];
        /* What the ledger has of the operation is not for a script to say. */
        script->lies |= strncmp(fault->sqlstate, "HD00", 4) == 0 && fault->sqlstate[4] >= '3';
    }
    if (fault->kind == FAKE_ANSWERS_ODDLY) {
        fault->shape = (struct fake_shape){.status = (int)fuzz_number(input, 12),
                                           .rows = (int)fuzz_number(input, 3),
                                           .columns = (int)fuzz_number(input, 8),
                                           .field = fields[fuzz_number(input, 8)]};
        script->lies = true;
    }
}

static void check_end(const struct subject *subject, const struct claimed_operation *claimed,
                      bool lies)
{
    const bool is_done = claimed->end == HEDDLE_END_DONE;

    fuzz_check_name(claimed->result, 1, 1 << 20);
    FUZZ_CHECK((strstr(claimed->result.data, "\"state\":\"done\"") != NULL) == is_done);
    if (lies)
        return;
    FUZZ_CHECK(!is_done || subject->is_read || fake.effects > 0);
    FUZZ_CHECK(is_done || fake.effects == 0);
    /* A read that was submitted directly looks at no row: it may succeed after it was given up. */
    if (subject->is_read && !subject->is_journaled)
        return;
    /* An operation that is none of the journal's any more has no row of its own to end. */
    FUZZ_CHECK(!is_done || fake.has_ledger_row);
    if (fake.has_ledger_row)
        FUZZ_CHECK(strcmp(fake.ledger_state, heddle_end_name(claimed->end)) == 0);
}

static enum disposition attempt(struct runs *runs, struct claim *claim,
                                const struct subject *subject, bool lies)
{
    rebuilds = 0;
    enum disposition disposition = runs_execute(runs, claim);
    const struct claimed_operation *claimed = &claim->operations[0];

    FUZZ_CHECK(fake.transactions_open == 0 && fake.results_live == 0);
    FUZZ_CHECK(fake.empty_rollbacks == 0);
    FUZZ_CHECK(fake.effects <= !subject->is_read);
    FUZZ_CHECK(fake.effects == 0 || fake.has_ledger_row);
    FUZZ_CHECK(disposition != LANE_KEEP && (disposition != LANE_HALT || lies));
    FUZZ_CHECK(rebuilds == (disposition == LANE_GAP));
    FUZZ_CHECK(!claimed->is_parked || (lies && disposition == LANE_RELEASE));
    FUZZ_CHECK((claimed->end != HEDDLE_END_NONE || claimed->is_parked) ==
               (disposition == LANE_RELEASE));
    if (claimed->end != HEDDLE_END_NONE)
        check_end(subject, claimed, lies);
    return disposition;
}

/* SUBJECT byte, FLAGS byte, and for each attempt a number of faults. Then one without any. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    enum disposition disposition = LANE_WAIT;
    struct script script = {.count = 0};
    struct runs runs;

    const struct subject *subject =
        &subjects[fuzz_number(&input, sizeof subjects / sizeof *subjects)];
    const unsigned flags = fuzz_byte(&input);
    struct claim *claim = runs_claim(ID, "ann", subject->op, subject->thread, subject->payload);
    fake = (struct fake_server){.has_ledger_row = subject->is_journaled, .ledger_state = "queued"};
    runs_init(&runs, "");
    runs.options.with_prepared_statements = flags & 1;
    runs.options.retry_attempts = flags >> 1 & 3;
    runs_start(&runs);
    claim->operations[0].is_journaled = subject->is_journaled;
    claim->operations[0].is_poisoned = flags & 8;
    for (int i = 0; disposition != LANE_RELEASE && i < ATTEMPTS && input.left > 0; i++) {
        script.count = 0;
        memset(script.made_up, 0, sizeof script.made_up);
        for (unsigned count = fuzz_number(&input, FAULTS_MAX + 1); count > 0; count--)
            take_fault(&input, &script);
        fake_set_faults(script.faults, script.count);
        disposition = attempt(&runs, claim, subject, script.lies);
        /* Redis counts, unless it never hears of it. */
        claim->operations[0].operation.attempt += disposition == LANE_WAIT && flags & 16;
    }
    /* Without faults, soon; what lies have made of it is not ours. */
    for (int i = 0; disposition != LANE_RELEASE && i < ATTEMPTS && !script.lies; i++) {
        fake_set_faults(NULL, 0);
        disposition = attempt(&runs, claim, subject, false);
        claim->operations[0].operation.attempt += disposition == LANE_WAIT;
    }
    FUZZ_CHECK(disposition == LANE_RELEASE || script.lies);
    claim_free(claim);
    runs_done(&runs);
    FUZZ_CHECK(fake.connections_open == 0);
    return 0;
}
