/* See wakes.h. */
#include "engine/wakes.h"

#include "base/arena.h"
#include "base/text.h"
#include "link/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char cancel_word[] = "cancel ", report_word[] = "report ";

struct wakes {
    struct redis_link *link;
    char channel[160];
};

static bool understand(struct heddle_text text, struct wake *wake);
static bool begins_with(struct heddle_text text, const char *word);
static bool understand_report(const char *text, struct report_request *request);

heddle_status wakes_new(const char *redis, int timeout_ms, const char *incarnation,
                        struct wakes **wakes, struct heddle_error *err)
{
    struct redis_link *link;

    heddle_status status = redis_new(redis, timeout_ms, &link, err);
    if (status != HEDDLE_OK)
        return status;
    *wakes = memory_take_zeroed(1, sizeof **wakes);
    (*wakes)->link = link;
    snprintf((*wakes)->channel, sizeof(*wakes)->channel, "heddle:wake:%s", incarnation);
    return HEDDLE_OK;
}

void wakes_free(struct wakes *wakes)
{
    if (!wakes)
        return;
    redis_free(wakes->link);
    free(wakes);
}

bool wakes_is_open(const struct wakes *wakes)
{
    return redis_is_connected(wakes->link);
}

heddle_status wakes_open(struct wakes *wakes, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    return redis_callf(wakes->link, &reply, err, "SUBSCRIBE", wakes->channel, NULL);
}

void wakes_close(struct wakes *wakes)
{
    redis_close(wakes->link);
}

int wakes_fd(const struct wakes *wakes)
{
    return redis_fd(wakes->link);
}

heddle_status wakes_next(struct wakes *wakes, struct wake *wake, struct heddle_error *err)
{
    wake->kind = WAKE_NONE;
    for (;;) {
        AUTO_REPLY message = NULL;
        heddle_status status = redis_poll(wakes->link, &message, err);
        if (status != HEDDLE_OK || !message)
            return status;
        if (understand(redis_reply_text(redis_reply_at(message, 2)), wake))
            return HEDDLE_OK;
    }
}

static bool understand(struct heddle_text text, struct wake *wake)
{
    const size_t word_size = sizeof cancel_word - 1;

    if (text.size == word_size + HEDDLE_ID_SIZE && begins_with(text, cancel_word)) {
        wake->kind = WAKE_CANCEL;
        memcpy(wake->id, text.data + word_size, sizeof wake->id);
        return true;
    }
    if (text_equal(text, TEXT("yield"))) {
        wake->kind = WAKE_YIELD;
        return true;
    }
    if (text_equal(text, TEXT("shares"))) {
        wake->kind = WAKE_SHARES;
        return true;
    }
    if (begins_with(text, report_word)) {
        wake->kind = WAKE_REPORT;
        return understand_report(text.data + sizeof report_word - 1, &wake->report);
    }
    if (!text_parse_integer(text.data, &wake->partition))
        return false;
    wake->kind = WAKE_PARTITION;
    return true;
}

static bool begins_with(struct heddle_text text, const char *word)
{
    return text.size >= strlen(word) && memcmp(text.data, word, strlen(word)) == 0;
}

/* "TOKEN" or "TOKEN LANE". */
static bool understand_report(const char *text, struct report_request *request)
{
    const size_t size = strcspn(text, " ");
    const char *lane = text[size] ? text + size + 1 : "";

    if (size == 0 || size >= sizeof request->token || strlen(lane) >= sizeof request->lane)
        return false;
    memcpy(request->token, text, size);
    request->token[size] = '\0';
    memcpy(request->lane, lane, strlen(lane) + 1);
    return true;
}
