/* See why_reason.h. */
#include "engine/why_reason.h"

#include "base/json.h"
#include "base/text.h"
#include "engine/why_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct case_file open_case(const json_t *facts, const char *id);
static json_t *explain(const struct case_file *file);

json_t *why_reason(const json_t *facts)
{
    struct case_file file = open_case(facts, json_text(facts, "id"));

    return explain(&file);
}

json_t *why_say(const struct case_file *file, const char *state, const char *reason, json_t *detail,
                json_t *release)
{
    const char *user = json_text(file->seen ? file->lane : file->row, "user");
    const char *op = json_text(file->seen ? file->seen : file->row, "op");
    json_t *answer = json_object();

    json_object_set_new(answer, "id", json_string(file->id));
    if (*user)
        json_object_set_new(answer, "user", json_string(user));
    if (*op)
        json_object_set_new(answer, "op", json_string(op));
    json_object_set_new(answer, "state", json_string(state));
    json_object_set_new(answer, "reason", json_string(reason));
    json_object_set_new(answer, "detail", detail);
    json_object_set_new(answer, "release", release);
    return answer;
}

json_t *why_with_number(json_t *answer, const char *name, double number)
{
    json_object_set_new(answer, name, json_integer((json_int_t)number));
    return answer;
}

json_t *why_with(json_t *answer, const char *name, const json_t *object, const char *member)
{
    json_t *value = json_object_get(object, member);

    if (value && !json_is_null(value))
        json_object_set(answer, name, value);
    return answer;
}

const char *why_when(const struct case_file *file, double ms, char text[WHEN_SIZE])
{
    const time_t at = (time_t)(ms / 1000);
    char words[TEXT_WORDS_SIZE], stamp[32] = "";
    struct tm tm;

    if (gmtime_r(&at, &tm))
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (ms >= file->at_ms)
        snprintf(text, WHEN_SIZE, "%s, in %s", stamp, text_in_words(ms - file->at_ms, words));
    else
        snprintf(text, WHEN_SIZE, "%s, %s ago", stamp, text_in_words(file->at_ms - ms, words));
    return text;
}

static json_t *ended(const struct case_file *file)
{
    const char *state =
        json_text(file->row ? file->row : file->queue, file->row ? "state" : "ended");
    const char *kind = json_text(json_object_get(file->row, "error"), "kind");
    char text[WHEN_SIZE];
    json_t *detail = file->row
                         ? json_sprintf("it has ended %s%s%s, %s", state, *kind ? ": " : "", kind,
                                        why_when(file, json_number(file->row, "ended_ms"), text))
                         : json_sprintf("it has ended %s", state);
    json_t *answer = why_say(file, state, "ended", detail, json_string("nothing is left to do"));

    return why_with(why_with(answer, "code", file->row, "code"), "error", file->row, "error");
}

static json_t *cancelled(const struct case_file *file)
{
    return why_say(
        file, "cancelled", "cancelled",
        json_string("it is cancelled and takes no effect; it ends when its lane has come to it"),
        json_string("nothing: it does not run any more"));
}

static json_t *until(const struct case_file *file, const char *state, const char *what,
                     double until_ms)
{
    char text[WHEN_SIZE];

    why_when(file, until_ms, text);
    return why_with_number(why_say(file, state, state, json_sprintf("%s until %s", what, text),
                                   json_sprintf("the time: it enters its lane at %s", text)),
                           "until_ms", until_ms);
}

static const json_t *leader_of(const struct case_file *file)
{
    const json_t *processor;
    size_t i;

    json_array_foreach(
        file->processors, i,
        processor) if (json_is_true(json_object_get(processor, "leads"))) return processor;
    return NULL;
}

static json_t *expired(const struct case_file *file)
{
    return why_say(file, "queued", "expired",
                   json_string("it had not begun when it expired: it ends, without effect, when "
                               "its lane has come to it"),
                   json_string("nothing: it does not run any more"));
}

/* The journal has it, Redis does not. */
static json_t *absent(const struct case_file *file)
{
    const json_t *leader = leader_of(file);
    const char *name = json_text(leader, "incarnation");

    if (!json_is_true(json_object_get(file->row, "is_pending")))
        return why_say(file, json_text(file->row, "state"), "missing",
                       json_string("the journal has it, and Redis has lost it"),
                       json_string("the reconciler of a processor puts it back within seconds, "
                                   "`heddle rebuild` at once"));
    return why_with(why_say(file, json_text(file->row, "state"), "relay",
                            json_string("the journal has it, and Redis has still to hear of it"),
                            leader
                                ? json_sprintf("the relay, which %s leads, tells Redis", name)
                                : json_string("no processor leads the relay: start `heddle run`")),
                    "leader", leader, "incarnation");
}

static json_t *behind(const struct case_file *file);

/* Its lane waits for it, or for somebody who takes it. */
static json_t *as_first(const struct case_file *file)
{
    const char *state = json_text(file->lane, "state"), *pause = json_text(file->queue, "paused");

    if (strcmp(state, "waiting") == 0)
        return why_waiting(file);
    if (strcmp(state, "halted") == 0)
        return why_halted(file);
    if (strcmp(state, "ready") != 0)
        return why_say(file, "queued", "lost",
                       json_string("its lane is neither ready nor claimed, nor does it wait"),
                       json_string("`heddle check --repair`"));
    if (*pause)
        return why_paused(file, pause);
    if (json_is_true(json_object_get(file->queue, "awaits_controls")))
        return why_say(file, "queued", "uncontrolled",
                       json_string("Redis was lost, and has still to hear what is paused"),
                       json_string("a processor that reaches Postgres tells it"));
    return why_ready(file);
}

static json_t *in_lane(const struct case_file *file)
{
    const char *first = json_text(json_object_get(file->lane, "first"), "id");
    const bool is_claimed = strcmp(json_text(file->lane, "state"), "claimed") == 0;
    json_t *answer = is_claimed ? why_claimed(file) : NULL, *better = NULL;
    const char *reason = json_text(answer, "reason");

    if (strcmp(reason, "running") == 0)
        return answer;
    if (json_is_true(json_object_get(file->seen, "is_cancelled")))
        better = cancelled(file);
    else if (json_is_true(json_object_get(file->seen, "has_expired")))
        better = expired(file);
    else if (strcmp(first, file->id) != 0 && strcmp(reason, "silent") != 0)
        better = behind(file);
    if (!better)
        return answer ? answer : as_first(file);
    json_decref(answer);
    return better;
}

/* Others of its lane come first: the next one's reason is its own. */
static json_t *behind(const struct case_file *file)
{
    const json_t *seen = json_object_get(file->lane, "first");
    struct case_file first = *file;
    const double before = json_number(file->seen, "before");

    first.id = json_text(seen, "id");
    first.seen = seen;
    first.row = json_object_get(json_object_get(file->ledger, "operations"), first.id);
    json_t *told = in_lane(&first);
    const char *state = json_text(told, "state");
    const bool is_own = strcmp(state, "running") == 0 || strcmp(state, "cancelled") == 0;
    json_t *answer =
        why_say(file, is_own ? "queued" : state, "behind",
                json_sprintf("%.0f of its lane come first; the next of these is %s (%s): %s",
                             before, first.id, json_text(seen, "op"), json_text(told, "detail")),
                json_incref(json_object_get(told, "release")));
    json_object_set_new(answer, "first", told);
    return why_with(answer, "before", file->seen, "before");
}

static struct case_file open_case(const json_t *facts, const char *id)
{
    struct case_file file = {
        .queue = json_object_get(facts, "queue"),
        .ledger = json_object_get(facts, "ledger"),
        .processors = json_object_get(facts, "processors"),
        .at_ms = json_number(facts, "at_ms"),
        .id = id,
    };

    file.lane = json_object_get(file.queue, "lane");
    file.seen = json_object_get(file.queue, "operation");
    file.row = json_object_get(json_object_get(file.ledger, "operations"), id);
    return file;
}

/* What the ledger says of its end goes before whatever Redis still has. */
static json_t *explain(const struct case_file *file)
{
    const char *state = json_text(file->row, "state");

    if (json_is_true(json_object_get(file->row, "has_ended")))
        return ended(file);
    if (json_object_get(file->seen, "scheduled_ms"))
        return until(file, "scheduled", "it was submitted for later: it waits",
                     json_number(file->seen, "scheduled_ms"));
    if (file->seen)
        return in_lane(file);
    if (json_is_true(json_object_get(file->row, "is_cancelled")))
        return cancelled(file);
    if (strcmp(state, "parked") == 0)
        return until(file, state, "an attempt has failed, and it is set aside",
                     json_number(file->row, "due_ms"));
    if (strcmp(state, "scheduled") == 0)
        return until(file, state, "it was submitted for later: it waits",
                     json_number(file->row, "due_ms"));
    if (file->row)
        return absent(file);
    if (*json_text(file->queue, "ended"))
        return ended(file);
    return why_say(file, "unknown", "unknown",
                   json_string("neither the queue nor the ledger knows it"),
                   json_string("nothing: the id is another one, or what it was is forgotten"));
}
