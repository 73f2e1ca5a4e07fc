/* See receipts.h. Runs on the thread of the unit of work. */
#include "ledger/receipts.h"

#include "base/array.h"
#include "base/digest.h"
#include "base/text.h"
#include "ledger/uow.h"

#include <string.h>

static const struct heddle_statement lock_lanes = {"heddle_lane_locks",
                                                   "select heddle.lane_locks($1::bigint[])", 1};

static const struct heddle_statement enter_many = {"heddle_enter_many",
                                                   "select heddle.enter_many($1::uuid[])", 1};

enum { INSERT_PARAMS = 10, COUNTED_PARAMS = 12, FINISH_PARAMS = 5 };

static const struct heddle_statement insert_many = {
    "heddle_ledger_insert_many",
    "insert into heddle.operations (id, user_id, op, thread, digest, attempt, submitted_at,"
    " started_at, finished_at, state, code, result, error)"
    " select id, user_id, op, thread, decode(digest, 'hex'), 1,"
    " timestamptz 'epoch' + submitted_us * interval '1 microsecond', now(), clock_timestamp(),"
    " state::heddle.operation_state, code, result, error"
    " from unnest($1::uuid[], $2::text[], $3::bigint[], $4::json[], $5::json[],"
    " $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[])"
    " as e (id, state, code, result, error, user_id, op, thread, digest, submitted_us)",
    INSERT_PARAMS};

/* The same where one of them says a priority or a batch. */
static const struct heddle_statement insert_counted = {
    "heddle_ledger_insert_counted",
    "insert into heddle.operations (id, user_id, op, thread, digest, attempt, submitted_at,"
    " started_at, finished_at, state, code, result, error, class, batch)"
    " select id, user_id, op, thread, decode(digest, 'hex'), 1,"
    " timestamptz 'epoch' + submitted_us * interval '1 microsecond', now(), clock_timestamp(),"
    " state::heddle.operation_state, code, result, error, class, batch"
    " from unnest($1::uuid[], $2::text[], $3::bigint[], $4::json[], $5::json[],"
    " $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::text[])"
    " as e (id, state, code, result, error, user_id, op, thread, digest, submitted_us, class,"
    " batch)",
    COUNTED_PARAMS};

static const struct heddle_statement finish_many = {
    "heddle_finish_many", "select heddle.finish_many($1, $2, $3, $4, $5)", FINISH_PARAMS};

/* Parameters of either statement: the first five are the same. */
struct columns {
    struct heddle_array arrays[COUNTED_PARAMS];
    size_t rows;
    bool is_counted; /* one of them says a priority or a batch */
};

static void begin_columns(struct columns *columns, size_t count, struct arena *arena);
static void add_end(struct columns *columns, const struct receipt *receipt);
static void add_content(struct columns *columns, const struct heddle_operation *operation);
static void add_flow(struct columns *columns, const struct heddle_flow *flow);
static heddle_status send_columns(struct heddle_uow *uow, const struct heddle_statement *statement,
                                  struct columns *columns, struct heddle_error *err);

heddle_status receipts_lock(struct heddle_uow *uow, const int64_t *lane_keys, size_t count,
                            struct arena *arena, struct heddle_error *err)
{
    struct heddle_array keys;

    array_init(&keys, HEDDLE_ARRAY_BIGINT, arena);
    for (size_t i = 0; i < count; i++)
        heddle_array_add_number(&keys, lane_keys[i]);
    return uow_send_arrays(uow, &lock_lanes, (struct heddle_array *[]){&keys}, err);
}

heddle_status receipts_enter(struct heddle_uow *uow, const struct receipt *receipts, size_t count,
                             struct arena *arena, struct heddle_error *err)
{
    struct heddle_array ids;
    size_t entered = 0;

    array_init(&ids, HEDDLE_ARRAY_UUID, arena);
    for (size_t i = 0; i < count; i++) {
        if (!receipts[i].is_journaled)
            continue;
        heddle_array_add(&ids, receipts[i].operation->id);
        entered++;
    }
    return entered > 0 ? uow_send_arrays(uow, &enter_many, (struct heddle_array *[]){&ids}, err)
                       : HEDDLE_OK;
}

heddle_status receipts_write(struct heddle_uow *uow, const struct receipt *receipts, size_t count,
                             struct arena *arena, struct heddle_error *err)
{
    struct columns fresh, journaled;

    begin_columns(&fresh, COUNTED_PARAMS, arena);
    begin_columns(&journaled, FINISH_PARAMS, arena);
    for (size_t i = 0; i < count; i++) {
        add_end(receipts[i].is_journaled ? &journaled : &fresh, &receipts[i]);
        if (!receipts[i].is_journaled)
            add_content(&fresh, receipts[i].operation);
    }
    heddle_status status =
        send_columns(uow, fresh.is_counted ? &insert_counted : &insert_many, &fresh, err);
    return status == HEDDLE_OK ? send_columns(uow, &finish_many, &journaled, err) : status;
}

bool receipts_have_failed(const struct heddle_error *err)
{
    const struct heddle_statement *const own[] = {&lock_lanes, &enter_many, &insert_many,
                                                  &insert_counted, &finish_many};

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(err->where, own[i]->name) == 0)
            return true;
    return false;
}

static void begin_columns(struct columns *columns, size_t count, struct arena *arena)
{
    static const enum heddle_array_type types[] = {
        HEDDLE_ARRAY_UUID, HEDDLE_ARRAY_TEXT,   HEDDLE_ARRAY_BIGINT, HEDDLE_ARRAY_JSON,
        HEDDLE_ARRAY_JSON, HEDDLE_ARRAY_TEXT,   HEDDLE_ARRAY_TEXT,   HEDDLE_ARRAY_TEXT,
        HEDDLE_ARRAY_TEXT, HEDDLE_ARRAY_BIGINT, HEDDLE_ARRAY_BIGINT, HEDDLE_ARRAY_TEXT};

    columns->rows = 0;
    columns->is_counted = false;
    for (size_t i = 0; i < count; i++)
        array_init(&columns->arrays[i], types[i], arena);
}

static void add_end(struct columns *columns, const struct receipt *receipt)
{
    const struct outcome *outcome = receipt->outcome;

    heddle_array_add(&columns->arrays[0], receipt->operation->id);
    heddle_array_add(&columns->arrays[1], heddle_end_name(outcome->end));
    heddle_array_add_number(&columns->arrays[2], outcome->code);
    heddle_array_add(&columns->arrays[3], outcome->data);
    heddle_array_add(&columns->arrays[4], outcome->error);
    columns->rows++;
}

static void add_content(struct columns *columns, const struct heddle_operation *operation)
{
    char digest[DIGEST_HEX_SIZE + 1];

    digest_operation(operation, digest);
    array_add_text(&columns->arrays[5], operation->user);
    array_add_text(&columns->arrays[6], operation->op);
    heddle_array_add(&columns->arrays[7],
                     operation->thread.size > 0 ? operation->thread.data : NULL);
    array_add_text(&columns->arrays[8], text_of(digest));
    heddle_array_add_number(&columns->arrays[9], operation->submitted_us);
    add_flow(columns, &operation->flow);
}

/* Rows before the first that says something have said nothing. */
static void add_flow(struct columns *columns, const struct heddle_flow *flow)
{
    const bool says = flow->priority != HEDDLE_PRIORITY_NORMAL || flow->batch.size > 0;

    if (!columns->is_counted && !says)
        return;
    for (size_t row = columns->is_counted ? columns->rows - 1 : 0; row < columns->rows; row++) {
        const bool is_last = row == columns->rows - 1;
        heddle_array_add_number(&columns->arrays[10], is_last ? (int64_t)flow->priority : 0);
        if (is_last && flow->batch.size > 0)
            array_add_text(&columns->arrays[11], flow->batch);
        else
            heddle_array_add(&columns->arrays[11], NULL);
    }
    columns->is_counted = true;
}

static heddle_status send_columns(struct heddle_uow *uow, const struct heddle_statement *statement,
                                  struct columns *columns, struct heddle_error *err)
{
    struct heddle_array *params[COUNTED_PARAMS];

    if (columns->rows == 0)
        return HEDDLE_OK;
    for (int i = 0; i < statement->param_count; i++)
        params[i] = &columns->arrays[i];
    return uow_send_arrays(uow, statement, params, err);
}
