/* See request.h. Called by handlers, on the thread of their worker. */
#include "workers/request.h"

#include <string.h>

enum { LIMIT_MAX = 100, DIGITS_MAX = 16 };

/* The largest whole number that every JSON reader carries unharmed. */
#define OFFSET_MAX (INT64_C(1) << 53)

static bool parse_digits(struct heddle_text *text, int64_t *number);
static heddle_status refuse_cursor(struct heddle_error *err);

heddle_status request_check_thread(const struct heddle_task *task, struct heddle_error *err)
{
    const struct heddle_operation *op = heddle_task_operation(task);

    if (op->thread.size == 0)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "thread is missing");
    if (!heddle_is_uuid(op->thread.data, op->thread.size))
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "thread must be a UUID");
    return HEDDLE_OK;
}

heddle_status request_check_thread_only(struct heddle_task *task, struct heddle_error *err)
{
    static const char *const none[] = {NULL};
    heddle_status status = request_check_thread(task, err);

    return status != HEDDLE_OK ? status : heddle_payload_only(task, none, err);
}

heddle_status request_page(struct heddle_task *task, int64_t limit, struct request_page *page,
                           struct heddle_error *err)
{
    struct request_page asked = {.limit = limit, .cursor = {"", 0}};
    bool has_limit, has_offset, has_cursor;
    heddle_status status;

    status = heddle_payload_integer(task, "limit", 1, LIMIT_MAX, &asked.limit, &has_limit, err);
    if (status != HEDDLE_OK)
        return status;
    status = heddle_payload_integer(task, "offset", 0, OFFSET_MAX, &asked.offset, &has_offset, err);
    if (status != HEDDLE_OK)
        return status;
    status = heddle_payload_text(task, "cursor", &asked.cursor, &has_cursor, err);
    if (status != HEDDLE_OK)
        return status;
    if (has_offset && has_cursor)
        return heddle_refuse(err, HEDDLE_KIND_INVALID, "give offset or cursor, not both");
    if (has_cursor && asked.cursor.size == 0)
        return refuse_cursor(err);
    *page = asked;
    return HEDDLE_OK;
}

heddle_status request_thread_cursor(struct heddle_text cursor, int64_t *created_us,
                                    char id[HEDDLE_ID_SIZE + 1], struct heddle_error *err)
{
    struct heddle_text rest = {cursor.data + 1, cursor.size - 1};
    int64_t number;

    if (cursor.size == 0 || cursor.data[0] != 't' || !parse_digits(&rest, &number))
        return refuse_cursor(err);
    if (rest.size != 1 + HEDDLE_ID_SIZE || rest.data[0] != '_' ||
        !heddle_is_uuid(rest.data + 1, HEDDLE_ID_SIZE))
        return refuse_cursor(err);
    *created_us = number;
    memcpy(id, rest.data + 1, HEDDLE_ID_SIZE);
    id[HEDDLE_ID_SIZE] = '\0';
    return HEDDLE_OK;
}

heddle_status request_message_cursor(struct heddle_text cursor, int64_t *seq,
                                     struct heddle_error *err)
{
    struct heddle_text rest = {cursor.data + 1, cursor.size - 1};
    int64_t number;

    if (cursor.size == 0 || cursor.data[0] != 'm' || !parse_digits(&rest, &number) ||
        rest.size != 0)
        return refuse_cursor(err);
    *seq = number;
    return HEDDLE_OK;
}

/* Takes a number off the front of the text. The bound on its digits keeps sums
 * and times that are made of it inside what Postgres can hold. */
static bool parse_digits(struct heddle_text *text, int64_t *number)
{
    int64_t value = 0;
    size_t count = 0;

    while (count < text->size && text->data[count] >= '0' && text->data[count] <= '9') {
        if (count == DIGITS_MAX)
            return false;
        value = value * 10 + (text->data[count++] - '0');
    }
    if (count == 0)
        return false;
    *text = (struct heddle_text){text->data + count, text->size - count};
    *number = value;
    return true;
}

static heddle_status refuse_cursor(struct heddle_error *err)
{
    return heddle_refuse(err, HEDDLE_KIND_INVALID,
                         "cursor must be the next_cursor of an earlier answer to this operation");
}
