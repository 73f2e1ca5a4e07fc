/* See works.h and load.h. */
#include "works.h"

#include "load.h"

#include "heddle/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct heddle_statement effect = {
    "works_effect", "insert into works.effects (lane, id, op, how) values ($1, $2::uuid, $3, $4)",
    4};
static const struct heddle_statement effects = {
    "works_effects",
    "insert into works.effects (lane, id, op, how) select lane, id, 'set', how"
    " from unnest($1::text[], $2::uuid[], $3::text[]) with ordinality as e (lane, id, how, n)"
    " order by n",
    3};
static const struct heddle_statement fault = {"works_fault", "select 1 / 0", 0};
static const struct heddle_statement ask_anything = {"works_ask", "select 1", 0};
static const struct heddle_statement nap = {"works_nap", "select pg_sleep(0.02)", 0};
static const struct heddle_statement terminate = {
    "works_terminate",
    "select case when nextval('works.terminated') = 1 then"
    " pg_terminate_backend(pg_backend_pid()) end",
    0};

static struct heddle_text text_of(const char *data)
{
    return (struct heddle_text){data, strlen(data)};
}

static bool is_told(const char *how, const char *what)
{
    return strcmp(how, what) == 0;
}

static const char *how_of(struct heddle_task *task)
{
    struct heddle_text how = {"", 0};
    struct heddle_error err;
    bool found;

    assert_int_equal(heddle_payload_text(task, "how", &how, &found, &err), HEDDLE_OK);
    return how.data;
}

/* Where the process died now, the right ones would be suspected. */
static void check_board(const struct heddle_operation *operation, bool is_alone)
{
    const struct board_slot *slot = &load_board()->slots[0];
    const int pointed = atomic_load(&slot->pointed);
    bool is_there = false;

    assert_true(atomic_load(&slot->is_busy));
    assert_true(pointed < slot->count);
    for (int i = 0; i < slot->count; i++)
        if (pointed == BOARD_ALL || pointed == i)
            is_there |= strcmp(slot->lanes[i].name, operation->user.data) == 0 &&
                        (!is_alone || strcmp(slot->lanes[i].id, operation->id) == 0);
    assert_true(is_there);
    if (is_alone && pointed == BOARD_ALL)
        assert_int_equal(slot->count, 1);
}

/* So many for the lane NEXT-LANE, each as the task tells. */
static heddle_status enqueue(struct heddle_task *task, int count, const char *id,
                             struct heddle_error *err)
{
    const struct heddle_operation *operation = heddle_task_operation(task);
    heddle_status status = HEDDLE_OK;

    for (int i = 0; status == HEDDLE_OK && i < count; i++) {
        const struct heddle_submission next = {
            .user = text_of(heddle_task_format(task, "next-%s", operation->user.data)),
            .op = text_of("next"),
            .id = text_of(id),
            .payload = text_of(heddle_task_format(task, "{\"of\":\"%s\"}", operation->id)),
        };
        char given[HEDDLE_ID_SIZE + 1];
        status = heddle_task_enqueue(task, &next, given, err);
        assert_true(status != HEDDLE_OK || heddle_is_uuid(given, HEDDLE_ID_SIZE));
    }
    return status;
}

static heddle_status follow_up(struct heddle_task *task, const char *how, struct heddle_error *err)
{
    struct heddle_submission bad = {.user = text_of("zoe"), .op = text_of("NEXT")};

    if (load_follows && !is_told(heddle_task_operation(task)->op.data, "look")) {
        heddle_status status = enqueue(task, 1, "", err);
        if (status != HEDDLE_OK)
            return status;
    }
    if (is_told(how, "follow"))
        return enqueue(task, 3, "", err);
    if (is_told(how, "follow_too_many"))
        (void)!enqueue(task, HEDDLE_FOLLOW_UPS_MAX + 1, "", err);
    if (is_told(how, "follow_badly"))
        return heddle_task_enqueue(task, &bad, NULL, err);
    if (is_told(how, "follow_conflict"))
        return enqueue(task, 1, heddle_task_operation(task)->id, err);
    if (is_told(how, "follow_id"))
        return enqueue(task, 1, "x", err);
    return HEDDLE_OK;
}

/* What one operation does of its own, set or single. */
static heddle_status act(struct heddle_task *task, struct heddle_uow *uow, struct heddle_error *err)
{
    const char *how = how_of(task);

    if (uow) {
        heddle_status status = follow_up(task, how, err);
        if (status != HEDDLE_OK)
            return status;
    }
    if (is_told(how, "late"))
        return heddle_uow_send(uow, &fault, NULL, err);
    if (is_told(how, "fault"))
        return heddle_uow_query(uow, &fault, NULL, NULL, err);
    if (is_told(how, "slow"))
        return heddle_uow_query(uow, &nap, NULL, NULL, err);
    if (is_told(how, "terminate"))
        return heddle_uow_query(uow, &terminate, NULL, NULL, err);
    if (is_told(how, "flaky") && heddle_task_operation(task)->attempt == 1) {
        /* Not before the ledger has been heard. */
        heddle_status status =
            uow ? heddle_uow_query(uow, &ask_anything, NULL, NULL, err) : HEDDLE_OK;
        return status == HEDDLE_OK
                   ? heddle_fail(err, HEDDLE_RETRY, "works", "it is the first attempt")
                   : status;
    }
    if (is_told(how, "stop"))
        atomic_store(&scene.runs.shared.is_stopping, true);
    return HEDDLE_OK;
}

static const char *result_of(struct heddle_task *task, const char *how)
{
    return heddle_task_format(task, "{\"how\":\"%s\"%*s}", how, is_told(how, "big") ? 2000 : 0, "");
}

static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err)
{
    const struct heddle_operation *operation = heddle_task_operation(task);
    const char *how = how_of(task);
    const char *const params[] = {operation->user.data, operation->id, operation->op.data, how};

    load_seen.single++;
    check_board(operation, true);
    heddle_status status = heddle_uow_send(uow, &effect, params, err);
    if (status == HEDDLE_OK)
        status = act(task, uow, err);
    if (status == HEDDLE_OK && is_told(how, "refuse"))
        status = heddle_refuse(err, HEDDLE_KIND_CONFLICT, "refused as it was told");
    if (status == HEDDLE_OK)
        heddle_task_set_result(task, result_of(task, how));
    return status;
}

static heddle_status apply_many(struct heddle_task *const *tasks, size_t count,
                                struct heddle_uow *uow, struct heddle_error *err)
{
    struct heddle_array *columns[] = {heddle_array_new(tasks[0], HEDDLE_ARRAY_TEXT),
                                      heddle_array_new(tasks[0], HEDDLE_ARRAY_UUID),
                                      heddle_array_new(tasks[0], HEDDLE_ARRAY_TEXT)};
    heddle_status status = HEDDLE_OK;

    load_seen.set++;
    load_seen.largest = (int)count > load_seen.largest ? (int)count : load_seen.largest;
    for (size_t i = 0; status == HEDDLE_OK && i < count; i++) {
        const struct heddle_operation *operation = heddle_task_operation(tasks[i]);
        const char *how = how_of(tasks[i]);
        check_board(operation, false);
        if (is_told(how, "refuse")) {
            heddle_task_refuse(tasks[i], HEDDLE_KIND_CONFLICT, "refused as it was told");
            continue;
        }
        heddle_array_add(columns[0], operation->user.data);
        heddle_array_add(columns[1], operation->id);
        heddle_array_add(columns[2], how);
        heddle_task_set_result(tasks[i], result_of(tasks[i], how));
        status = is_told(how, "many") ? heddle_fail(err, HEDDLE_PERMANENT, "works", "not together")
                                      : act(tasks[i], uow, err);
    }
    return status == HEDDLE_OK ? heddle_uow_query_arrays(uow, &effects, columns, NULL, err)
                               : status;
}

static heddle_status check(struct heddle_task *task, struct heddle_error *err)
{
    return is_told(how_of(task), "invalid")
               ? heddle_refuse(err, HEDDLE_KIND_INVALID, "invalid as it was told")
               : HEDDLE_OK;
}

static heddle_status look(struct heddle_task *task, struct heddle_uow *uow,
                          struct heddle_error *err)
{
    heddle_task_set_result(task, result_of(task, how_of(task)));
    return is_told(how_of(task), "write") ? apply(task, uow, err) : act(task, uow, err);
}

static heddle_status prepare(struct heddle_task *task, struct heddle_error *err)
{
    heddle_task_set_result(task, result_of(task, how_of(task)));
    return is_told(how_of(task), "refuse")
               ? heddle_refuse(err, HEDDLE_KIND_CONFLICT, "refused as it was told")
               : act(task, NULL, err);
}

static void after_commit(struct heddle_task *task)
{
    assert_true(strstr(heddle_task_result(task), how_of(task)));
    check_board(heddle_task_operation(task), true);
}

static const struct heddle_handler set = {.op = "set",
                                          .check = check,
                                          .apply = apply,
                                          .apply_many = apply_many,
                                          .after_commit = after_commit};
static const struct heddle_handler single = {
    .op = "single", .check = check, .apply = apply, .after_commit = after_commit};
static const struct heddle_handler never = {
    .op = "never", .check = check, .flags = HEDDLE_HANDLER_NEVER_BUNDLE, .apply = apply};
static const struct heddle_handler looks = {
    .op = "look", .check = check, .flags = HEDDLE_HANDLER_READ_ONLY, .apply = look};
static const struct heddle_handler pure = {.op = "pure",
                                           .check = check,
                                           .flags = HEDDLE_HANDLER_NO_EFFECTS,
                                           .prepare = prepare,
                                           .after_commit = after_commit};

const struct heddle_handler *const works_handlers[] = {&set, &single, &never, &looks, &pure, NULL};

void load_assert_followed(void)
{
    assert_string_equal(ask("select count(*) from"
                            " (select lane, string_agg(id::text, ' ' order by seq) as ids"
                            " from works.effects where op <> 'look' group by 1) as e"
                            " full join (select substr(user_id, 6) as lane,"
                            " string_agg(payload ->> 'of', ' ' order by seq) as ids"
                            " from heddle.operations where op = 'next' group by 1) as f"
                            " using (lane) where e.ids is distinct from f.ids"),
                        "0");
}
