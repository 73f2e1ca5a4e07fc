/* Submissions as people hand them in (submission.h). Runs on the main thread. */
#include "app/submission.h"

#include "app/lines.h"
#include "app/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/flow.h"
#include "base/json.h"
#include "base/policy.h"
#include "base/text.h"

/* A place in a line. */
struct cursor {
    const char *at, *end;
};

static heddle_status check_sizes(const struct heddle_submission *submission,
                                 const struct submission_rules *rules, struct heddle_error *err);
static heddle_status check_text(const char *name, struct heddle_text text, size_t least,
                                size_t most, struct heddle_error *err);
static heddle_status read_members(struct cursor *cursor, struct arena *arena,
                                  struct heddle_submission *submission, struct heddle_error *err);
static heddle_status take_member(struct heddle_text name, struct heddle_text value,
                                 struct arena *arena, struct heddle_submission *submission,
                                 struct heddle_error *err);
static heddle_status take_option(struct heddle_text name, struct heddle_text value,
                                 struct arena *arena, struct heddle_submission *submission,
                                 struct heddle_error *err);
static bool take_text(struct heddle_text value, struct arena *arena, struct heddle_text *target);
static void skip_blanks(struct cursor *cursor);
static bool take(struct cursor *cursor, char c);
static bool take_string(struct cursor *cursor, struct heddle_text *inside);
static bool take_value(struct cursor *cursor, struct heddle_text *value);

heddle_status submission_check(const struct heddle_submission *submission,
                               const struct submission_rules *rules, struct heddle_error *err)
{
    heddle_status status = check_sizes(submission, rules, err);

    if (status == HEDDLE_OK && submission->payload.size > 0)
        status = json_check_payload(submission->payload, err);
    return status;
}

heddle_status submission_read(const struct line *line, const struct submission_rules *rules,
                              struct arena *arena, struct heddle_submission *submission,
                              struct heddle_error *err)
{
    struct heddle_submission read;

    heddle_status status = submission_read_again(line, rules, arena, &read, err);
    if (status == HEDDLE_OK && read.payload.size > 0)
        status = json_check_payload(read.payload, err);
    if (status == HEDDLE_OK)
        *submission = read;
    return status;
}

heddle_status submission_read_again(const struct line *line, const struct submission_rules *rules,
                                    struct arena *arena, struct heddle_submission *submission,
                                    struct heddle_error *err)
{
    struct cursor cursor = {line->text.data, line->text.data + line->text.size};
    struct heddle_submission read = {0};

    if (line->is_cut)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "longer than the %zu bytes that are allowed",
                             line->text.size);
    heddle_status status = read_members(&cursor, arena, &read, err);
    if (status != HEDDLE_OK)
        return status;
    if (!read.user.data)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "member \"user\" is missing");
    if (!read.op.data)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "member \"op\" is missing");
    struct heddle_text *const optional[] = {&read.thread, &read.payload, &read.id};
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        if (!optional[i]->data)
            *optional[i] = TEXT("");
    status = check_sizes(&read, rules, err);
    if (status == HEDDLE_OK)
        *submission = read;
    return status;
}

void submission_batch_id(const char *batch, char id[HEDDLE_ID_SIZE + 1])
{
    char name[300];

    int size = snprintf(name, sizeof name, "heddle batch %s", batch);
    digest_uuid(name, (size_t)size, id);
}

void submission_line_id(const char *batch_id, uint64_t number, char id[HEDDLE_ID_SIZE + 1])
{
    memcpy(id, batch_id, HEDDLE_ID_SIZE + 1);
    for (char *digit = id + HEDDLE_ID_SIZE; *--digit != '-'; number /= 16)
        *digit = "0123456789abcdef"[number % 16];
}

static heddle_status check_sizes(const struct heddle_submission *submission,
                                 const struct submission_rules *rules, struct heddle_error *err)
{
    heddle_status status = check_text("user", submission->user, 1, HEDDLE_USER_SIZE_MAX, err);

    if (status == HEDDLE_OK)
        status = ops_check(rules->ops, submission->op, err);
    if (status == HEDDLE_OK)
        status = check_text("thread", submission->thread, 0, HEDDLE_THREAD_SIZE_MAX, err);
    if (status == HEDDLE_OK && submission->id.size > 0 &&
        !heddle_is_uuid(submission->id.data, submission->id.size))
        status = heddle_refuse(err, HEDDLE_KIND_INVALID, "id = %.60s: allowed is a UUID",
                               submission->id.data);
    if (status == HEDDLE_OK && submission->payload.size > (size_t)rules->payload_bytes_max)
        status = heddle_refuse(err, HEDDLE_KIND_INVALID,
                               "payload is longer than the %" PRId64
                               " bytes that are allowed (payload_max)",
                               rules->payload_bytes_max);
    return status == HEDDLE_OK ? flow_check(&submission->flow, err) : status;
}

static heddle_status check_text(const char *name, struct heddle_text text, size_t least,
                                size_t most, struct heddle_error *err)
{
    if (text.size >= least && text.size <= most && text_is_utf8(text.data, text.size))
        return HEDDLE_OK;
    return heddle_refuse(err, HEDDLE_KIND_INVALID,
                         "%s = %.60s: allowed are %zu to %zu bytes of UTF-8 without NUL", name,
                         text.data, least, most);
}

/* {"name": value, …} and nothing behind it. Values are only delimited here; each
 * is parsed once, by whoever knows what it must be. */
static heddle_status read_members(struct cursor *cursor, struct arena *arena,
                                  struct heddle_submission *submission, struct heddle_error *err)
{
    const char *begin = cursor->at;
    struct heddle_text name, value;
    bool is_first = true;

    if (!take(cursor, '{'))
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "not a JSON object");
    while (!take(cursor, '}')) {
        if ((!is_first && !take(cursor, ',')) || !take_string(cursor, &name) ||
            !take(cursor, ':') || !take_value(cursor, &value))
            return heddle_refuse(err, HEDDLE_KIND_INVALID, "not valid JSON at byte %zu",
                                 (size_t)(cursor->at - begin));
        heddle_status status = take_member(name, value, arena, submission, err);
        if (status != HEDDLE_OK)
            return status;
        is_first = false;
    }
    skip_blanks(cursor);
    if (cursor->at != cursor->end)
        return heddle_refuse(err, HEDDLE_KIND_INVALID,
                             "byte %zu stands behind the object: allowed is one a line",
                             (size_t)(cursor->at - begin));
    return HEDDLE_OK;
}

static heddle_status take_member(struct heddle_text name, struct heddle_text value,
                                 struct arena *arena, struct heddle_submission *submission,
                                 struct heddle_error *err)
{
    const struct member {
        struct heddle_text name;
        struct heddle_text *target;
        bool is_required;
    } members[] = {
        {TEXT("user"), &submission->user, true},
        {TEXT("op"), &submission->op, true},
        {TEXT("thread"), &submission->thread, false},
        {TEXT("payload"), &submission->payload, false},
        {TEXT("id"), &submission->id, false},
    };
    const struct member *member = NULL;

    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (text_equal(members[i].name, name))
            member = &members[i];
    if (!member && (policy_has_option(name) || flow_has_option(name)))
        return take_option(name, value, arena, submission, err);
    if (!member)
        return heddle_refuse(
            err, HEDDLE_KIND_INVALID,
            "member \"%.*s\": allowed are user, op, thread, payload, id, attempts, "
            "backoff_ms, backoff_max_ms, deadline_ms, on_failure, delay_ms, at_ms, expires_ms, "
            "priority, batch, unique_key, unique_ms, replace",
            name.size < 60 ? (int)name.size : 60, name.data);
    if (member->target->data)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "member \"%s\" comes twice",
                             member->name.data);
    if (!member->is_required && text_equal(value, TEXT("null"))) {
        *member->target = TEXT("");
        return HEDDLE_OK;
    }
    if (member->target == &submission->payload) {
        submission->payload = arena_copy_text(arena, value.data, value.size);
        return HEDDLE_OK;
    }
    if (!take_text(value, arena, member->target))
        return heddle_refuse(err, HEDDLE_KIND_INVALID,
                             "member \"%s\" = %.*s: allowed is a JSON string without NUL",
                             member->name.data, value.size < 60 ? (int)value.size : 60, value.data);
    return HEDDLE_OK;
}

/* A number, a word in quotes, or a text. */
static heddle_status take_option(struct heddle_text name, struct heddle_text value,
                                 struct arena *arena, struct heddle_submission *submission,
                                 struct heddle_error *err)
{
    if (flow_is_text(name)) {
        if (!take_text(value, arena, &value))
            return heddle_refuse(err, HEDDLE_KIND_INVALID,
                                 "member \"%.*s\": allowed is a JSON string without NUL",
                                 (int)name.size, name.data);
    } else if (value.size >= 2 && value.data[0] == '"') {
        value = (struct heddle_text){value.data + 1, value.size - 2};
    }
    return flow_has_option(name) ? flow_set(&submission->flow, name, value, err)
                                 : policy_set(&submission->policy, name, value, err);
}

/* False where it is no JSON string. */
static bool take_text(struct heddle_text value, struct arena *arena, struct heddle_text *target)
{
    json_t *string = json_loadb(value.data, value.size, JSON_DECODE_ANY, NULL);
    bool is_string = json_is_string(string);

    if (is_string)
        *target = arena_copy_text(arena, json_string_value(string), json_string_length(string));
    json_decref(string);
    return is_string;
}

static void skip_blanks(struct cursor *cursor)
{
    while (cursor->at < cursor->end && memchr(" \t\r\n", *cursor->at, 4))
        cursor->at++;
}

static bool take(struct cursor *cursor, char c)
{
    skip_blanks(cursor);
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

/* What stands between the quotes, escapes left as they are. */
static bool take_string(struct cursor *cursor, struct heddle_text *inside)
{
    if (!take(cursor, '"'))
        return false;
    const char *begin = cursor->at;
    while (cursor->at < cursor->end && *cursor->at != '"')
        cursor->at += *cursor->at == '\\' && cursor->at + 1 < cursor->end ? 2 : 1;
    if (cursor->at == cursor->end)
        return false;
    *inside = (struct heddle_text){begin, (size_t)(cursor->at - begin)};
    cursor->at++;
    return true;
}

/* Everything up to the comma or brace that ends the member, without blanks. */
static bool take_value(struct cursor *cursor, struct heddle_text *value)
{
    struct heddle_text ignored;
    size_t depth = 0;

    skip_blanks(cursor);
    const char *begin = cursor->at;
    while (cursor->at < cursor->end) {
        char c = *cursor->at;
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            break;
        if (c == '"') {
            if (!take_string(cursor, &ignored))
                return false;
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        cursor->at++;
    }
    const char *end = cursor->at;
    while (end > begin && memchr(" \t\r\n", end[-1], 4))
        end--;
    *value = (struct heddle_text){begin, (size_t)(end - begin)};
    return depth == 0 && end > begin;
}
