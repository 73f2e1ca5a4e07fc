/* See why.h. */
#include "engine/why.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/report.h"
#include "engine/why_reason.h"
#include "ledger/lookup.h"
#include "queue/fleet.h"
#include "queue/look.h"

#include <stdlib.h>

#include <jansson.h>

/* What is known so far; all of it is its own. */
struct inquiry {
    const struct why_sources *sources;
    json_t *id, *user; /* texts, or NULL */
    json_t *queue, *ledger;
};

/* Between one answer and the other an operation may have moved: then both are asked again. */
enum { LOOKS_MAX = 4 };

static heddle_status look(struct inquiry *inquiry, struct heddle_error *err);
static heddle_status ask_queue(struct inquiry *inquiry, struct heddle_error *err);
static heddle_status ask_ledger(struct inquiry *inquiry, struct heddle_error *err);
static bool is_plain(struct inquiry *inquiry);
static heddle_status ask_processors(struct inquiry *inquiry, json_t **processors,
                                    struct heddle_error *err);
static json_t *conclude(const struct inquiry *inquiry, json_t *processors);
static void set(json_t **place, json_t *value);

heddle_status why_ask(const struct why_sources *sources, const struct why_question *question,
                      json_t **answer, struct heddle_error *err)
{
    struct inquiry inquiry = {.sources = sources};
    json_t *processors = NULL;

    if (question->id)
        inquiry.id = json_string(question->id);
    if (question->user.size > 0)
        inquiry.user = json_stringn(question->user.data, question->user.size);
    heddle_status status = look(&inquiry, err);
    for (int looks = 1; status == HEDDLE_OK && !is_plain(&inquiry) && looks < LOOKS_MAX; looks++)
        status = look(&inquiry, err);
    if (status == HEDDLE_OK)
        status = ask_processors(&inquiry, &processors, err);
    if (status == HEDDLE_OK)
        *answer = conclude(&inquiry, processors);
    json_decref(inquiry.id);
    json_decref(inquiry.user);
    json_decref(inquiry.queue);
    json_decref(inquiry.ledger);
    return status;
}

/* The queue first: what ends meanwhile, the ledger knows. */
static heddle_status look(struct inquiry *inquiry, struct heddle_error *err)
{
    heddle_status status = ask_queue(inquiry, err);

    return status == HEDDLE_OK ? ask_ledger(inquiry, err) : status;
}

static heddle_status ask_queue(struct inquiry *inquiry, struct heddle_error *err)
{
    const struct look asked = {text_of(json_string_value(inquiry->user)),
                               json_string_value(inquiry->id)};
    char *text = NULL;

    heddle_status status =
        look_at(inquiry->sources->queue, inquiry->sources->partitions, &asked, &text, err);
    if (status != HEDDLE_OK)
        return status;
    set(&inquiry->queue, text ? json_loads(text, 0, NULL) : json_null());
    free(text);
    const json_t *lane = json_object_get(inquiry->queue, "lane");
    json_t *first = json_object_get(json_object_get(lane, "first"), "id");
    if (inquiry->id || !first)
        return HEDDLE_OK;
    set(&inquiry->id, json_incref(first));
    return ask_queue(inquiry, err); /* about it, too */
}

static heddle_status ask_ledger(struct inquiry *inquiry, struct heddle_error *err)
{
    const json_t *lane = json_object_get(inquiry->queue, "lane");
    const json_t *first = json_object_get(lane, "first");
    json_t *ids = json_array(), *ops = json_array(), *user = json_object_get(lane, "user");
    char *text = NULL;

    if (inquiry->id)
        json_array_append(ids, inquiry->id);
    json_array_append(ids, json_object_get(first, "id"));
    json_array_append(ops, json_object_get(first, "op"));
    json_t *asked =
        json_pack("{s:o, s:o, s:O*}", "ids", ids, "ops", ops, "user", user ? user : inquiry->user);
    char *question = json_dumps(asked, JSON_COMPACT);
    heddle_status status = lookup_why(inquiry->sources->ledger, question, &text, err);
    if (status == HEDDLE_OK)
        set(&inquiry->ledger, json_loads(text, 0, NULL));
    free(text);
    free(question);
    json_decref(asked);
    return status;
}

/* Nothing is left to ask, or what is known contradicts nothing. */
static bool is_plain(struct inquiry *inquiry)
{
    json_t *first = json_object_get(inquiry->ledger, "first");

    if (!inquiry->id) {
        set(&inquiry->id, json_is_string(first) ? json_incref(first) : NULL);
        return inquiry->id == NULL;
    }
    const json_t *row = json_object_get(json_object_get(inquiry->ledger, "operations"),
                                        json_string_value(inquiry->id));
    if (!row || json_is_true(json_object_get(row, "has_ended")) ||
        json_object_get(inquiry->queue, "operation"))
        return true;
    if (!inquiry->user) {
        set(&inquiry->user, json_incref(json_object_get(row, "user")));
        return false;
    }
    return json_is_true(json_object_get(row, "is_pending")) ||
           json_is_integer(json_object_get(row, "due_ms"));
}

static heddle_status ask_processors(struct inquiry *inquiry, json_t **processors,
                                    struct heddle_error *err)
{
    const json_t *lane = json_object_get(inquiry->queue, "lane");
    struct fleet_members fleet = {0};

    heddle_status status =
        fleet_find(inquiry->sources->queue, inquiry->sources->partitions, &fleet, err);
    if (status == HEDDLE_OK)
        status = fleet_ask(inquiry->sources->queue, text_of(json_text(lane, "user")),
                           FLEET_PATIENCE_MS, &fleet, err);
    if (status == HEDDLE_OK)
        *processors = report_read_all(&fleet);
    fleet_members_done(&fleet);
    return status;
}

/* Takes the processors. */
static json_t *conclude(const struct inquiry *inquiry, json_t *processors)
{
    const double at_ms = json_number(inquiry->queue, "at_ms");

    if (!inquiry->id) {
        json_decref(processors);
        return json_pack("{s:O, s:s, s:s, s:s, s:s}", "user", inquiry->user, "state", "idle",
                         "reason", "idle", "detail", "nothing of the user is queued", "release",
                         "nothing waits");
    }
    json_t *facts =
        json_pack("{s:O, s:I, s:O, s:O, s:o}", "id", inquiry->id, "at_ms",
                  (json_int_t)(at_ms > 0 ? at_ms : (double)clock_wall_us() / 1000), "queue",
                  inquiry->queue, "ledger", inquiry->ledger, "processors", processors);
    json_t *answer = why_reason(facts);
    json_decref(facts);
    return answer;
}

/* Takes the value. */
static void set(json_t **place, json_t *value)
{
    json_decref(*place);
    *place = value;
}
