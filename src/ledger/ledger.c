/* See ledger.h. Runs on the thread of the unit of work. */
#include "ledger/ledger.h"

#include "base/digest.h"
#include "base/flow.h"
#include "ledger/uow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INSERT_COLUMNS                                                                             \
    "id, user_id, op, thread, digest, attempt, submitted_at, class, batch, started_at, state"
#define INSERT_VALUES                                                                              \
    "$1, $2, $3, $4, $5, $6, timestamptz 'epoch' + $7::bigint * interval '1 microsecond',"         \
    " $8, $9, clock_timestamp()"

enum { INSERT_PARAMS = 9, RECORD_PARAMS = 11, DECIDE_PARAMS = 13 };

static const struct heddle_statement enter = {"heddle_ledger_enter",
                                              "insert into heddle.operations (" INSERT_COLUMNS
                                              ") values (" INSERT_VALUES ", 'running')",
                                              INSERT_PARAMS};

static const struct heddle_statement enter_recorded = {"heddle_enter",
                                                       "select heddle.enter($1, $2, $3, $4)", 4};
static const struct heddle_statement enter_strand = {
    "heddle_enter_strand", "select heddle.enter($1, $2, $3, $4, $5, $6)", 6};

static const struct heddle_statement record = {"heddle_ledger_record",
                                               "insert into heddle.operations (" INSERT_COLUMNS
                                               ", payload, options)"
                                               " values (" INSERT_VALUES ", 'retrying', $10, $11)",
                                               RECORD_PARAMS};

static const struct heddle_statement charge = {
    "heddle_charge", "select heddle.charge($1, $2, $3, $4, $5, $6, $7)", 7};

static const struct heddle_statement bury = {"heddle_bury",
                                             "select heddle.bury($1, $2, $3, $4, $5)", 5};

static const struct heddle_statement finish = {
    "heddle_ledger_finish",
    "update heddle.operations set state = $2::heddle.operation_state, code = $3, result = $4,"
    " error = $5, attempt = $6, started_at = coalesce(started_at, now()),"
    " finished_at = clock_timestamp(),"
    " payload = case when $2 = 'done' then null else payload end where id = $1",
    6};

static const struct heddle_statement decide = {
    "heddle_ledger_decide",
    "insert into heddle.operations (" INSERT_COLUMNS ", code, result, error, finished_at)"
    " values (" INSERT_VALUES ", $10::heddle.operation_state, $11, $12, $13, clock_timestamp())",
    DECIDE_PARAMS};

static const struct heddle_statement find = {
    "heddle_ledger_find",
    "select digest = $2, finished_at is not null, state, code, result, error, attempt"
    " from heddle.operations where id = $1",
    2};

/* The texts of the parameters that inserts share. */
struct insert_texts {
    char digest[2 + DIGEST_HEX_SIZE + 1], attempt[12], submitted_us[24], class[4];
};

static void bind_insert(const struct heddle_operation *operation, struct insert_texts *texts,
                        const char **params);
static void digest_text(const struct heddle_operation *operation,
                        char text[2 + DIGEST_HEX_SIZE + 1]);
static enum heddle_end end_of(const char *state);

heddle_status ledger_enter(struct heddle_uow *uow, const struct heddle_operation *operation,
                           struct heddle_error *err)
{
    struct insert_texts texts;
    const char *params[INSERT_PARAMS];

    bind_insert(operation, &texts, params);
    return heddle_uow_send(uow, &enter, params, err);
}

heddle_status ledger_enter_recorded(struct heddle_uow *uow,
                                    const struct heddle_operation *operation,
                                    const struct lane_lock *lock, const char *decision,
                                    struct heddle_error *err)
{
    char lane[24], attempt[12], thread[24], place[24];
    const char *const params[] = {operation->id, lane, attempt, decision, thread, place};

    snprintf(lane, sizeof lane, "%" PRId64, lock->lane_key);
    snprintf(attempt, sizeof attempt, "%d", operation->attempt);
    snprintf(thread, sizeof thread, "%" PRId64, lock->thread_key);
    snprintf(place, sizeof place, "%" PRId64, lock->place_key);
    return heddle_uow_send(uow, lock->is_strand ? &enter_strand : &enter_recorded, params, err);
}

heddle_status ledger_finish(struct heddle_uow *uow, const struct heddle_operation *operation,
                            const struct outcome *outcome, struct heddle_error *err)
{
    char code[12], attempt[12];
    const char *const params[] = {
        operation->id, heddle_end_name(outcome->end), code, outcome->data, outcome->error, attempt};

    snprintf(code, sizeof code, "%d", outcome->code);
    snprintf(attempt, sizeof attempt, "%d", operation->attempt);
    return heddle_uow_send(uow, &finish, params, err);
}

heddle_status ledger_decide(struct heddle_uow *uow, const struct heddle_operation *operation,
                            const struct outcome *outcome, struct heddle_error *err)
{
    struct insert_texts texts;
    char code[12];
    const char *params[DECIDE_PARAMS];

    bind_insert(operation, &texts, params);
    snprintf(code, sizeof code, "%d", outcome->code);
    params[9] = heddle_end_name(outcome->end);
    params[10] = code;
    params[11] = outcome->data;
    params[12] = outcome->error;
    return heddle_uow_send(uow, &decide, params, err);
}

heddle_status ledger_record(struct heddle_uow *uow, const struct heddle_operation *operation,
                            struct heddle_error *err)
{
    struct insert_texts texts;
    const char *params[RECORD_PARAMS];
    struct arena arena;

    bind_insert(operation, &texts, params);
    /* The attempt is charged behind this. */
    params[5] = "0";
    params[9] = operation->payload.data;
    arena_init(&arena, 0);
    params[10] = flow_options_to_json(&operation->flow, &operation->policy, &arena);
    heddle_status status = heddle_uow_send(uow, &record, params, err);
    arena_done(&arena);
    return status;
}

heddle_status ledger_charge(struct heddle_uow *uow, const struct heddle_operation *operation,
                            const struct ledger_attempt *attempt, const char *state,
                            int64_t wait_ms, struct heddle_error *err)
{
    char number[12], wait[24], claim[24];
    const char *const params[] = {operation->id,      number, state, attempt->error, wait,
                                  attempt->processor, claim};

    snprintf(number, sizeof number, "%d", operation->attempt);
    snprintf(wait, sizeof wait, "%" PRId64, wait_ms);
    snprintf(claim, sizeof claim, "%" PRIu64, attempt->claim_seq);
    return heddle_uow_send(uow, &charge, params, err);
}

heddle_status ledger_bury(struct heddle_uow *uow, const struct heddle_operation *operation,
                          const struct ledger_attempt *attempt, struct heddle_error *err)
{
    char number[12], claim[24];
    const char *const params[] = {operation->id, number, attempt->error, attempt->processor, claim};

    snprintf(number, sizeof number, "%d", operation->attempt);
    snprintf(claim, sizeof claim, "%" PRIu64, attempt->claim_seq);
    return heddle_uow_send(uow, &bury, params, err);
}

enum ledger_reason ledger_reason_for(const struct heddle_error *err)
{
    static const enum ledger_reason reasons[] = {
        LEDGER_IS_ENDED,     LEDGER_IS_GAP,    LEDGER_IS_STRAY, LEDGER_IS_PARKED,
        LEDGER_IS_CANCELLED, LEDGER_IS_HALTED, LEDGER_IS_TRIED};
    const char *state = err->sqlstate;

    if (strncmp(state, "HD00", 4) == 0 && state[4] >= '1' && state[4] <= '7')
        return reasons[state[4] - '1'];
    if (strcmp(state, "23505") == 0 &&
        (strcmp(err->where, enter.name) == 0 || strcmp(err->where, decide.name) == 0 ||
         strcmp(err->where, record.name) == 0))
        return LEDGER_IS_ENDED;
    if (strcmp(state, "55P03") == 0 &&
        (strcmp(err->where, enter_recorded.name) == 0 ||
         strcmp(err->where, enter_strand.name) == 0 || strcmp(err->where, UOW_LANE_LOCK) == 0 ||
         strcmp(err->where, UOW_STRAND_LOCK) == 0))
        return LEDGER_IS_HELD;
    return LEDGER_IS_FREE;
}

heddle_status ledger_find(struct heddle_uow *uow, const struct heddle_operation *operation,
                          struct arena *arena, enum ledger_answer *answer, struct outcome *outcome,
                          struct heddle_error *err)
{
    char digest[2 + DIGEST_HEX_SIZE + 1];
    const char *const params[] = {operation->id, digest};
    const struct heddle_rows *rows;

    digest_text(operation, digest);
    heddle_status status = heddle_uow_query(uow, &find, params, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    if (heddle_rows_count(rows) == 0) {
        *answer = LEDGER_UNKNOWN;
        return HEDDLE_OK;
    }
    const char *is_same = heddle_rows_text(rows, 0, 0);
    if (is_same && strcmp(is_same, "f") == 0) {
        *answer = LEDGER_CONFLICT;
        return HEDDLE_OK;
    }
    const char *has_ended = heddle_rows_text(rows, 0, 1), *attempt = heddle_rows_text(rows, 0, 6);
    if (is_same && has_ended && strcmp(has_ended, "f") == 0) {
        *answer = LEDGER_UNFINISHED;
        *outcome = (struct outcome){.code = attempt ? atoi(attempt) : 0};
        return HEDDLE_OK;
    }
    enum heddle_end end = end_of(heddle_rows_text(rows, 0, 2));
    if (!is_same || end == HEDDLE_END_NONE)
        return heddle_fail(err, HEDDLE_RETRY, find.name, "the ledger's row can't be read");
    const char *code = heddle_rows_text(rows, 0, 3);
    const char *data = heddle_rows_text(rows, 0, 4), *error = heddle_rows_text(rows, 0, 5);
    *answer = LEDGER_ENDED;
    *outcome = (struct outcome){
        .end = end,
        .code = code ? atoi(code) : 0,
        .data = data ? arena_copy(arena, data, strlen(data)) : NULL,
        .error = error ? arena_copy(arena, error, strlen(error)) : NULL,
    };
    return HEDDLE_OK;
}

static void bind_insert(const struct heddle_operation *operation, struct insert_texts *texts,
                        const char **params)
{
    digest_text(operation, texts->digest);
    snprintf(texts->attempt, sizeof texts->attempt, "%d", operation->attempt);
    snprintf(texts->submitted_us, sizeof texts->submitted_us, "%" PRId64, operation->submitted_us);
    params[0] = operation->id;
    params[1] = operation->user.data;
    params[2] = operation->op.data;
    params[3] = operation->thread.size > 0 ? operation->thread.data : NULL;
    params[4] = texts->digest;
    params[5] = texts->attempt;
    params[6] = texts->submitted_us;
    snprintf(texts->class, sizeof texts->class, "%d", operation->flow.priority & 3);
    params[7] = texts->class;
    params[8] = operation->flow.batch.size > 0 ? operation->flow.batch.data : NULL;
}

static void digest_text(const struct heddle_operation *operation,
                        char text[2 + DIGEST_HEX_SIZE + 1])
{
    memcpy(text, "\\x", 2);
    digest_operation(operation, text + 2);
}

static enum heddle_end end_of(const char *state)
{
    static const enum heddle_end ends[] = {HEDDLE_END_DONE, HEDDLE_END_FAILED, HEDDLE_END_DEAD,
                                           HEDDLE_END_CANCELLED};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (state && strcmp(heddle_end_name(ends[i]), state) == 0)
            return ends[i];
    return HEDDLE_END_NONE;
}
