/* Why an operation waits, by the state of its lane (why_internal.h). */
#include "engine/why_internal.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

enum { KEY_SIZE = 320 }; /* of a control: its kind and a user or op */

static const json_t *holder_of(const struct case_file *file)
{
    const char *name = json_text(file->lane, "holder");
    const json_t *processor;
    size_t i;

    json_array_foreach(file->processors, i,
                       processor) if (strcmp(json_text(processor, "incarnation"), name) ==
                                      0) return processor;
    return NULL;
}

static bool is_among(const json_t *ids, const char *id)
{
    const json_t *one;
    size_t i;

    json_array_foreach(ids, i, one) if (json_is_string(one) &&
                                        strcmp(json_string_value(one), id) == 0) return true;
    return false;
}

/* What a worker of the holder runs of its lane: this operation, or else any; NULL: nothing. */
static const json_t *run_of(const json_t *holder, const char *id, bool *is_it)
{
    const json_t *runs = json_object_get(json_object_get(holder, "lane"), "running"), *run;
    size_t i;

    json_array_foreach(runs, i, run)
    {
        *is_it = is_among(json_object_get(run, "ids"), id);
        if (*is_it)
            return run;
    }
    return json_array_get(runs, 0);
}

static json_t *silent(const struct case_file *file, const char *holder)
{
    const double lease_ms = file->at_ms + json_number(file->lane, "lease_left_ms");
    char text[WHEN_SIZE];

    why_when(file, lease_ms, text);
    return why_with_number(
        why_say(file, "queued", "silent",
                json_sprintf("%s has claimed its lane and does not answer", holder),
                json_sprintf("it goes on, or its lane is taken over: where it died below a "
                             "supervisor at once, else after %s",
                             text)),
        "until_ms", lease_ms);
}

/* A processor has its lane in hand, and this operation perhaps with it. */
json_t *why_claimed(const struct case_file *file)
{
    const json_t *holder = holder_of(file);
    const char *name = json_text(file->lane, "holder");
    bool is_it = false;
    const json_t *run = run_of(holder, file->id, &is_it);
    char since[WHEN_SIZE];
    json_t *answer;

    if (!json_object_get(holder, "lane"))
        answer = silent(file, name);
    else if (is_it)
        answer = why_say(file, "running", "running",
                         json_sprintf("worker %.0f of %s runs it, %s, since %s",
                                      json_number(run, "worker"), name, json_text(run, "phase"),
                                      why_when(file, json_number(run, "since_ms"), since)),
                         json_string("it ends; `heddle cancel ID` asks it to"));
    else
        answer =
            why_say(file, "queued", "claimed",
                    run ? json_sprintf("%s has claimed it, and runs another of its lane, %s", name,
                                       json_text(run, "op"))
                        : json_sprintf("%s has claimed it; %.0f claims wait there for a worker",
                                       name, json_number(holder, "queued")),
                    json_string(run ? "that ends" : "the next worker that is free begins it"));
    if (is_it)
        why_with(why_with(answer, "worker", run, "worker"), "phase", run, "phase");
    why_with(why_with(answer, "since_ms", run, "since_ms"), "before", file->seen, "before");
    return why_with(answer, "holder", file->lane, "holder");
}

/* The control of a kind and key, as the ledger has it. */
static const json_t *control_of(const struct case_file *file, const char *kind, const char *key)
{
    const json_t *control;
    size_t i;

    json_array_foreach(json_object_get(file->ledger, "controls"), i,
                       control) if (strcmp(json_text(control, "kind"), kind) == 0 &&
                                    strcmp(json_text(control, "key"), key) == 0) return control;
    return NULL;
}

json_t *why_paused(const struct case_file *file, const char *key)
{
    const json_t *control = control_of(file, "pause", key);
    const char *name = strchr(key, ':'), *why = json_text(control, "why");
    const bool is_user = strncmp(key, "user:", 5) == 0;
    char since[WHEN_SIZE] = "", what[KEY_SIZE], flag[KEY_SIZE];

    snprintf(what, sizeof what, "%s%s",
             !name     ? "everything"
             : is_user ? "the user"
                       : "op ",
             name && !is_user ? name + 1 : "");
    snprintf(flag, sizeof flag, "%s%s",
             !name     ? "all"
             : is_user ? "user "
                       : "op ",
             name ? name + 1 : "");
    json_t *detail =
        control ? json_sprintf("%s is paused, by %s, since %s%s%s", what, json_text(control, "by"),
                               why_when(file, json_number(control, "since_ms"), since),
                               *why ? ": " : "", why)
                : json_sprintf("%s is paused", what);
    json_t *answer =
        why_say(file, "paused", "paused", detail, json_sprintf("`heddle resume --%s`", flag));
    json_object_set_new(answer, "key", json_string(key));
    why_with(why_with(answer, "by", control, "by"), "since_ms", control, "since_ms");
    return why_with(answer, "why", control, "why");
}

/* What is limited: `reason` is what the queue says that the lane waits for. */
static void limit_key(const struct case_file *file, const char *reason, char key[KEY_SIZE])
{
    if (strcmp(reason, "rate user") == 0) {
        snprintf(key, KEY_SIZE, "user:%s", json_text(file->lane, "user"));
        if (!control_of(file, "rate", key))
            strcpy(key, "users");
    } else if (strncmp(reason, "rate op ", 8) == 0) {
        snprintf(key, KEY_SIZE, "op:%s", reason + 8);
    } else if (strncmp(reason, "busy ", 5) == 0) {
        snprintf(key, KEY_SIZE, "op:%s", reason + 5);
    } else {
        strcpy(key, "all");
    }
}

static json_t *limited(const struct case_file *file, const char *reason)
{
    const bool is_rate = strncmp(reason, "rate ", 5) == 0;
    const double until_ms = json_number(file->lane, "until_ms");
    char key[KEY_SIZE], at[WHEN_SIZE];

    if (!is_rate && strncmp(reason, "busy ", 5) != 0)
        return why_say(file, "queued", "held", json_sprintf("its lane is held: %s", reason),
                       json_string("what it is held for"));
    limit_key(file, reason, key);
    const json_t *control = control_of(file, is_rate ? "rate" : "slots", key);
    const char *limit = json_text(control, "limit");
    json_t *answer = why_say(
        file, "queued", is_rate ? "rate" : "busy",
        is_rate ? json_sprintf("what the rate of %s lets begin now has begun: %s", key, limit)
                : json_sprintf("as many of %s run as may run at once: %s", key, limit),
        until_ms > 0 ? json_sprintf("the time: it may begin at %s", why_when(file, until_ms, at))
        : is_rate    ? json_string("the rate; lanes that came earlier go first")
                     : json_string("the end of one of them; lanes that came earlier go first"));
    json_object_set_new(answer, "key", json_string(key));
    why_with(why_with(answer, "by", control, "by"), "limit", control, "limit");
    why_with(why_with(answer, "before", file->lane, "in_line"), "next_ms", file->lane, "line_ms");
    return why_with(answer, "until_ms", file->lane, "until_ms");
}

json_t *why_waiting(const struct case_file *file)
{
    const char *reason = json_text(file->lane, "reason");
    const double until_ms = json_number(file->lane, "until_ms");
    const json_t *failure = json_object_get(file->row, "failure");
    char key[KEY_SIZE], text[WHEN_SIZE];

    if (strcmp(reason, "paused user") == 0 || strncmp(reason, "paused op ", 10) == 0) {
        const bool is_user = reason[7] == 'u';
        snprintf(key, sizeof key, "%s:%s", is_user ? "user" : "op",
                 is_user ? json_text(file->lane, "user") : reason + 10);
        return why_paused(file, key);
    }
    if (*reason)
        return limited(file, reason);
    why_when(file, until_ms, text);
    if (strcmp(json_text(file->row, "state"), "retrying") != 0)
        return why_with_number(
            why_say(file, "queued", "outage",
                    json_string("it could not be tried: Postgres was away, somebody held what it "
                                "needs, or one that comes before it was lost and is put back"),
                    json_sprintf("the time: it is tried at %s", text)),
            "until_ms", until_ms);
    json_t *answer =
        why_say(file, "retrying", "retry",
                json_sprintf("attempt %.0f has failed: %s", json_number(file->row, "attempt"),
                             json_text(json_object_get(failure, "error"), "message")),
                json_sprintf("the time: it is tried again at %s", text));
    why_with_number(answer, "until_ms", until_ms);
    return why_with(why_with(answer, "attempt", file->row, "attempt"), "error", failure, "error");
}

json_t *why_halted(const struct case_file *file)
{
    const char *reason = json_text(file->lane, "reason");
    const json_t *error = json_object_get(file->row, "error");

    if (strcmp(reason, "suspect") == 0)
        return why_say(file, "halted", "suspect",
                       json_string("a processor died while it ran, perhaps of it"),
                       json_string("the quarantine process of `heddle run` tries it alone"));
    if (strncmp(reason, "op ", 3) == 0)
        return why_say(file, "halted", "unknown_op",
                       json_sprintf("no processor that has seen it knows the %s", reason),
                       json_string("a processor that knows it; `heddle cancel ID` does without"));
    json_t *answer =
        why_say(file, "halted", "halted",
                json_sprintf("it has used up its attempts and halts its lane: %s",
                             json_text(error, "message")),
                json_sprintf("an operator: `heddle dead retry %s` or `heddle dead drop %s`",
                             file->id, file->id));
    return why_with(why_with(answer, "error", file->row, "error"), "since_ms", file->row,
                    "halted_ms");
}

/* The lane is ready: who could take it, and who comes before it. */
json_t *why_ready(const struct case_file *file)
{
    int busy = 0, workers = 0, serving = 0, quiet = 0;
    const json_t *processor, *worker;
    size_t i, n;

    json_array_foreach(file->processors, i, processor)
    {
        const char *state = json_text(processor, "state");
        if (json_is_true(json_object_get(processor, "quarantine")) || strcmp(state, "late") == 0)
            continue;
        quiet += strcmp(state, "quiet") == 0;
        serving += strcmp(state, "quiet") != 0;
        json_array_foreach(json_object_get(processor, "workers"), n, worker)
        {
            workers++;
            busy += strcmp(json_text(worker, "state"), "busy") == 0;
        }
    }
    if (serving == 0)
        return why_say(
            file, "queued", "unserved",
            quiet ? json_sprintf("all %d processors are quiet or stopping", quiet)
                  : json_sprintf("no processor serves partition %.0f",
                                 json_number(file->queue, "partition")),
            json_string(quiet ? "CONT to a processor, or another `heddle run`" : "`heddle run`"));
    json_t *answer =
        why_say(file, "queued", "turn",
                json_sprintf("%.0f lanes come before its lane; %d of %d workers are busy",
                             json_number(file->lane, "before"), busy, workers),
                json_string("its turn, by what the users before it have had of the workers' time"));
    why_with(answer, "before", file->lane, "before");
    return why_with_number(why_with_number(answer, "busy", busy), "workers", workers);
}
