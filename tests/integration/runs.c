/* See runs.h. */
#include "runs.h"

#include "base/log.h"
#include "base/text.h"
#include "engine/handlers.h"
#include "workers/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct settlement last;
static runs_listener *listener;

void runs_init(struct runs *runs, const char *postgres)
{
    *runs = (struct runs){.options = {
                              .postgres = postgres,
                              .handlers = workers_registry(),
                              .workers = 1,
                              .bundle_max = 1,
                              .connect_timeout_ms = 5000,
                              .statement_timeout_ms = 2000,
                              .lock_timeout_ms = 300,
                              .idle_transaction_timeout_ms = 2000,
                              .commit_deadline_ms = 5000,
                              .retry_attempts = 0,
                              .retry_base_ms = 1,
                              .retry_cap_ms = 5,
                              .with_prepared_statements = true,
                          }};
}

void runs_start(struct runs *runs)
{
    struct heddle_error err;

    /* The faults are ordered; their reports would only bury the test's. */
    log_configure((enum heddle_log_level)(HEDDLE_LOG_ERROR + 1), LOG_FORMAT_TEXT);
    runs->shared.options = &runs->options;
    runs->shared.incarnation = "test";
    runs->shared.handlers = handlers_new(runs->options.handlers);
    runs->shared.locks = userlock_table_new();
    if (runner_new(&runs->shared, &runs->runner, &err) != HEDDLE_OK)
        fail_msg("%s", err.text);
}

void runs_done(struct runs *runs)
{
    runner_free(runs->runner);
    handlers_free(runs->shared.handlers);
    userlock_table_free(runs->shared.locks);
    runs->shared.handlers = NULL;
    runs->runner = NULL;
    runs->shared.locks = NULL;
}

struct claim *runs_claim(const char *id, const char *user, const char *op, const char *thread,
                         const char *payload)
{
    struct claim *claim = calloc(1, sizeof *claim + sizeof *claim->operations);
    claim->operations = (struct claimed_operation *)(claim + 1);
    claim->lane = text_of(user);
    claim->seq = 1;
    claim->operation_count = 1;
    struct heddle_operation *operation = &claim->operations[0].operation;
    arena_init(&claim->arena, 0);
    snprintf(operation->id, sizeof operation->id, "%s", id);
    operation->user = text_of(user);
    operation->op = text_of(op);
    operation->thread = text_of(thread);
    operation->payload = text_of(payload);
    operation->submitted_us = INT64_C(1700000000000000);
    operation->attempt = 1;
    return claim;
}

enum disposition runs_execute(struct runs *runs, struct claim *claim)
{
    last = (struct settlement){0};
    claim->seq++;
    struct claim_list claims;

    claim_list_init(&claims);
    claim_list_push(&claims, claim);
    runner_execute(runs->runner, &claims);
    assert_int_equal(claims.count, 0);
    assert_ptr_equal(last.claim, claim);
    assert_int_equal(userlock_count(runs->shared.locks), 0);
    return last.disposition;
}

void runs_listen(runs_listener *function)
{
    listener = function;
}

void runs_rewind(struct claim *claim)
{
    claim->done = 0;
    claim->events = NULL;
    for (size_t i = 0; i < claim->operation_count; i++) {
        claim->operations[i].end = HEDDLE_END_NONE;
        claim->operations[i].result = TEXT("");
    }
}

void __wrap_settler_take(struct settler *settler, const struct settlement *settlement)
{
    (void)settler;
    last = *settlement;
    if (listener)
        listener(settlement);
}
