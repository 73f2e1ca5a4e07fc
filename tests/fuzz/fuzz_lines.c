/* NDJSON as `heddle submit --file` reads it: no byte of the input is lost or invented, what is
 * accepted is within the contract and is JSON, what is refused is named. */
#include "fuzz.h"

#include "app/lines.h"
#include "app/ops.h"
#include "app/submission.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { PAYLOAD_BYTES_MAX = 300 };

static const struct submission_rules *rules(void)
{
    static struct ops ops;
    static const struct submission_rules shipped = {PAYLOAD_BYTES_MAX, &ops};

    if (ops.handler_count == 0)
        ops_init(&ops);
    return &shipped;
}

static void check_submission(const struct heddle_submission *submission)
{
    fuzz_check_name(submission->user, 1, HEDDLE_USER_SIZE_MAX);
    fuzz_check_name(submission->op, 1, HEDDLE_OP_SIZE_MAX);
    fuzz_check_name(submission->thread, 0, HEDDLE_THREAD_SIZE_MAX);
    fuzz_check_name(submission->payload, 0, PAYLOAD_BYTES_MAX);
    fuzz_check_name(submission->id, 0, HEDDLE_ID_SIZE);
    FUZZ_CHECK(submission->id.size == 0 ||
               heddle_is_uuid(submission->id.data, submission->id.size));
}

static bool same(const struct heddle_submission *a, const struct heddle_submission *b)
{
    return text_equal(a->user, b->user) && text_equal(a->op, b->op) &&
           text_equal(a->thread, b->thread) && text_equal(a->payload, b->payload) &&
           text_equal(a->id, b->id);
}

/* Written by another hand, it is read as the same. */
static void check_again(const struct heddle_submission *submission, struct arena *arena)
{
    struct heddle_submission again;
    struct heddle_error err;
    json_t *object =
        json_pack("{s:s%, s:s%, s:s%}", "user", submission->user.data, submission->user.size, "op",
                  submission->op.data, submission->op.size, "thread", submission->thread.data,
                  submission->thread.size);

    if (submission->id.size > 0)
        json_object_set_new(object, "id", json_string(submission->id.data));
    char *head = json_dumps(object, JSON_COMPACT);
    const bool has_payload = submission->payload.size > 0;
    char *text = arena_format(arena, "%.*s%s%s}", (int)strlen(head) - 1, head,
                              has_payload ? ",\"payload\":" : "", submission->payload.data);
    const struct line line = {text_of(text), 1, false};
    FUZZ_CHECK(submission_read(&line, rules(), arena, &again, &err) == HEDDLE_OK);
    FUZZ_CHECK(same(submission, &again));
    free(head);
    json_decref(object);
}

/* An object of these members alone, as jansson reads it, is none that we may refuse for its form.
 */
static bool is_plain(const json_t *root)
{
    const char *const names[] = {"user", "op", "thread", "id"};
    size_t known = json_object_get(root, "payload") != NULL;

    for (size_t i = 0; i < 4; i++) {
        const json_t *member = json_object_get(root, names[i]);
        if (member && !json_is_string(member))
            return false;
        known += member != NULL;
    }
    return json_is_object(json_object_get(root, "payload")) && json_object_size(root) == known &&
           json_object_get(root, "user") && json_object_get(root, "op");
}

static void check_line(const struct line *line, struct arena *arena)
{
    const struct heddle_submission before = {.user = TEXT("untouched")};
    struct heddle_submission submission = before;
    struct heddle_error err;
    json_t *root = NULL;

    if (!line->is_cut)
        root = json_loadb(line->text.data, line->text.size,
                          JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES, NULL);
    heddle_status status = submission_read(line, rules(), arena, &submission, &err);
    if (status == HEDDLE_OK) {
        FUZZ_CHECK(json_is_object(root));
        check_submission(&submission);
        check_again(&submission, arena);
    } else {
        FUZZ_CHECK(status == HEDDLE_REFUSED && err.kind == HEDDLE_KIND_INVALID);
        FUZZ_CHECK(same(&submission, &before));
        /* A member's name is taken as it stands; one with escapes is none of ours. */
        if (root && is_plain(root) && !memchr(line->text.data, '\\', line->text.size))
            FUZZ_CHECK(strstr(err.text, " = ") || strstr(err.text, "payload"));
        fuzz_check_error(&err);
    }
    json_decref(root);
}

/* Takes `text` and what separated it from the input; false where it is not what comes next. */
static bool eat(struct fuzz_input *input, struct heddle_text text)
{
    if (text.size > input->left || memcmp(input->at, text.data, text.size) != 0)
        return false;
    input->at += text.size;
    input->left -= text.size;
    return true;
}

/* Reads all lines; with the input they are compared, unless it was compressed. */
static void read_all(struct lines *lines, struct fuzz_input *input, size_t line_bytes_max)
{
    struct heddle_error err;
    struct arena arena;
    struct line line;
    bool found = true;

    arena_init(&arena, 1 << 16);
    for (uint64_t number = 1;; number++) {
        heddle_status status = lines_next(lines, &line, &found, &err);
        if (status != HEDDLE_OK) {
            FUZZ_CHECK(!input && status == HEDDLE_REFUSED);
            fuzz_check_error(&err);
            break;
        }
        if (!found)
            break;
        FUZZ_CHECK(line.number == number && line.text.size <= line_bytes_max);
        if (input)
            FUZZ_CHECK(eat(input, line.text));
        if (!line.is_cut)
            fuzz_check_text(line.text);
        if (!lines_is_blank(&line))
            check_line(&line, &arena);
        /* Every second rest is passed over by lines_next itself, and so not compared. */
        for (bool more = line.is_cut && (input || number % 2); more;) {
            struct heddle_text piece;
            FUZZ_CHECK(lines_rest(lines, &piece, &more, &err) == HEDDLE_OK || !input);
            if (more && input)
                FUZZ_CHECK(eat(input, piece));
        }
        if (input && input->left > 0)
            FUZZ_CHECK(eat(input, TEXT("\n")));
        arena_reset(&arena);
    }
    arena_done(&arena);
    if (input)
        FUZZ_CHECK(input->left == 0);
}

/* LIMIT byte, 4 more to read it twice, then the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {1, 8, 100, 4096};
    struct fuzz_input input = {data, size};
    struct heddle_error err;
    struct lines *lines;
    char path[FUZZ_PATH_SIZE];

    const unsigned choice = fuzz_byte(&input);
    const size_t limit = limits[choice % 4];
    const bool is_gzip = input.left >= 2 && input.at[0] == 0x1F && input.at[1] == 0x8B;
    const int file = fuzz_file(input.at, input.left, path);
    FUZZ_CHECK(lines_open(path, limit, true, &lines, &err) == HEDDLE_OK);
    FUZZ_CHECK(lines_can_rewind(lines) && lines_are_of(lines, file));
    struct fuzz_input expected = input;
    read_all(lines, is_gzip ? NULL : &expected, limit);
    expected = input;
    if (choice & 4 && !is_gzip) {
        FUZZ_CHECK(lines_rewind(lines, &err) == HEDDLE_OK);
        read_all(lines, &expected, limit);
    }
    lines_close(lines);
    return 0;
}
