/* Payloads: what passes the check is a JSON object that every later reader takes; the checks of the
 * operations that ship refuse politely. */
#include "fuzz.h"

#include "base/json.h"
#include "base/text.h"
#include "engine/task.h"
#include "workers/registry.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static int depth_of(const json_t *json)
{
    int deepest = 0, depth = 0;
    const char *key;
    json_t *child;
    size_t index;

    json_object_foreach((json_t *)(uintptr_t)json, key, child)
    {
        FUZZ_CHECK(text_is_utf8(key, strlen(key)));
        depth = depth_of(child);
        deepest = depth > deepest ? depth : deepest;
    }
    json_array_foreach(json, index, child)
    {
        depth = depth_of(child);
        deepest = depth > deepest ? depth : deepest;
    }
    if (json_is_string(json))
        FUZZ_CHECK(text_is_utf8(json_string_value(json), json_string_length(json)));
    return deepest + (json_is_object(json) || json_is_array(json));
}

/* Written by another hand, it is taken again. */
static void check_accepted(struct heddle_text payload)
{
    struct heddle_error err;
    json_t *root = json_loadb(payload.data, payload.size, JSON_DECODE_INT_AS_REAL, NULL);

    FUZZ_CHECK(json_is_object(root));
    FUZZ_CHECK(text_is_utf8(payload.data, payload.size));
    FUZZ_CHECK(depth_of(root) <= HEDDLE_PAYLOAD_DEPTH_MAX);
    char *again = json_dumps(root, JSON_COMPACT);
    FUZZ_CHECK(again && json_check_payload(text_of(again), &err) == HEDDLE_OK);
    free(again);
    json_decref(root);
}

static void check_status(heddle_status status, struct heddle_error *err)
{
    if (status == HEDDLE_OK)
        return;
    FUZZ_CHECK(status == HEDDLE_REFUSED && err->kind == HEDDLE_KIND_INVALID);
    fuzz_check_error(err);
}

/* Each kind of question, for a member that the input names. */
static void ask(struct heddle_task *task, const char *member)
{
    const char *const allowed[] = {member, "title", NULL};
    struct heddle_text text = TEXT("untouched");
    struct heddle_error err;
    int64_t number = -1;
    bool found, truth;

    heddle_status status = heddle_payload_text(task, member, &text, &found, &err);
    check_status(status, &err);
    if (status == HEDDLE_OK && found)
        fuzz_check_name(text, 0, task->operation->payload.size);
    else
        FUZZ_CHECK(text_equal(text, TEXT("untouched")));
    status = heddle_payload_integer(task, member, 0, 100, &number, &found, &err);
    check_status(status, &err);
    FUZZ_CHECK(status == HEDDLE_OK && found ? number >= 0 && number <= 100 : number == -1);
    check_status(heddle_payload_boolean(task, member, &truth, &found, &err), &err);
    status = heddle_payload_object(task, member, &text, &found, &err);
    check_status(status, &err);
    if (status == HEDDLE_OK && found)
        FUZZ_CHECK(json_check_payload(text, &err) == HEDDLE_OK);
    check_status(heddle_payload_only(task, allowed, &err), &err);
}

/* MEMBER newline HANDLER-AND-THREAD byte PAYLOAD */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct claim claim = {.partition = 0};
    struct arena arena;
    struct heddle_error err;
    struct heddle_task task;

    char *member = fuzz_string(&input, '\n');
    unsigned choice = fuzz_byte(&input);
    struct claimed_operation claimed = {.operation = {.user = TEXT("ann")}};
    struct heddle_operation *const operation = &claimed.operation;
    operation->thread = choice & 0x80 ? TEXT("75f8796b-bf15-4028-a476-630218bd7b88") : TEXT("");
    arena_init(&arena, 0);
    arena_init(&claim.arena, 0);
    operation->payload = arena_copy_text(&arena, input.at, input.left);

    heddle_status status = json_check_payload(operation->payload, &err);
    check_status(status, &err);
    if (status == HEDDLE_OK) {
        const struct heddle_handler *const *handlers = workers_registry();
        size_t count = 0;
        while (handlers[count])
            count++;
        const struct heddle_handler *handler = handlers[(choice & 0x7F) % count];
        check_accepted(operation->payload);
        operation->op = text_of(handler->op);
        task_init(&task, &claim, &claimed, handler, &arena, NULL);
        if (text_is_utf8(member, strlen(member)))
            ask(&task, member);
        if (handler->check)
            check_status(handler->check(&task, &err), &err);
        task_done(&task);
    }
    arena_done(&arena);
    arena_done(&claim.arena);
    free(member);
    return 0;
}
