/* See controls.h. */
#include "ledger/controls.h"

#include "heddle/uow.h"
#include "link/pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct heddle_statement pause_it = {"heddle_pause",
                                                 "select heddle.pause($1, $2, $3, $4, $5, $6)", 6};
static const struct heddle_statement resume_it = {"heddle_resume",
                                                  "select heddle.resume($1, $2, $3, $4)", 4};
static const struct heddle_statement list_paused = {
    "heddle_list_paused", "select row_to_json(p) from heddle.paused p order by since", 0};
static const struct heddle_statement limit_it = {
    "heddle_limit",
    "select heddle.set_limit(user_id => $1, op => $2, everything => $3, users => $4, rate => $5,"
    " burst => $6, concurrency => $7, set_by => $8)",
    8};
static const struct heddle_statement unlimit_it = {
    "heddle_unlimit",
    "select heddle.remove_limit(user_id => $1, op => $2, everything => $3, users => $4, set_by => "
    "$5)",
    5};
static const struct heddle_statement list_limits = {
    "heddle_list_limits", "select row_to_json(l) from heddle.limits l order by since", 0};
static const struct heddle_statement cap_it = {
    "heddle_cap",
    "select heddle.set_cap(user_id => $1, op => $2, everything => $3, users => $4, bulk => $5,"
    " most => $6, set_by => $7)",
    7};
static const struct heddle_statement uncap_it = {
    "heddle_uncap",
    "select heddle.remove_cap(user_id => $1, op => $2, everything => $3, users => $4, bulk => $5,"
    " set_by => $6)",
    6};
static const struct heddle_statement list_caps = {
    "heddle_list_caps", "select row_to_json(c) from heddle.caps c order by since", 0};
static const struct heddle_statement note_used = {
    "heddle_note_used",
    "insert into heddle.fills (key, used)"
    " select key, $2 from heddle.controls where kind = 'cap' and key = $1 and value is not null"
    " on conflict (key) do update set used = excluded.used",
    2};
static const struct heddle_statement has_shared = {
    "heddle_has_shared", "select exists (select from heddle.controls where total is not null)", 0};
static const struct heddle_statement next_epoch = {"heddle_next_epoch",
                                                   "select nextval('heddle.shares_epoch')", 0};
static const struct heddle_statement list_shared = {
    "heddle_list_shared",
    "select kind, key, total, case kind when 'cap' then coalesce(f.used, -1) else 0 end"
    " from heddle.controls left join heddle.fills f using (key) where total is not null",
    0};
static const struct heddle_statement weigh = {"heddle_weigh",
                                              "select heddle.set_weight($1, $2, $3, $4)", 4};
static const struct heddle_statement set_plan = {"heddle_set_plan",
                                                 "select heddle.set_plan($1, $2, $3)", 3};
static const struct heddle_statement list_weights = {
    "heddle_list_weights", "select row_to_json(w) from heddle.weights w order by what, name", 0};
static const struct heddle_statement newest = {
    "heddle_controls_newest", "select coalesce(max(version), 0) from heddle.controls", 0};
static const struct heddle_statement since = {
    "heddle_controls_since",
    "select version, kind, key, coalesce(value::text, '') from heddle.controls where version > $1"
    " order by version limit $2",
    2};

static heddle_status set(struct pg_link *link, const struct heddle_statement *statement,
                         const char *const *params, const char *absent, struct heddle_error *err);
static heddle_status list(struct pg_link *link, const struct heddle_statement *statement,
                          controls_found_function *found, void *argument, struct heddle_error *err);

static const char *truth(bool value)
{
    return value ? "t" : "f";
}

heddle_status controls_pause(struct pg_link *link, const struct control_pause *pause,
                             struct heddle_error *err)
{
    const char *const params[] = {
        pause->target.user,    pause->target.op, truth(pause->target.is_all),
        truth(pause->refuses), pause->reason,    pause->by};

    return pg_query(link, &pause_it, params, NULL, err);
}

heddle_status controls_resume(struct pg_link *link, const struct control_target *target,
                              const char *by, struct heddle_error *err)
{
    const char *const params[] = {target->user, target->op, truth(target->is_all), by};

    return set(link, &resume_it, params, "it is not paused", err);
}

heddle_status controls_limit(struct pg_link *link, const struct control_limit *limit,
                             struct heddle_error *err)
{
    const char *const params[] = {
        limit->target.user, limit->target.op, truth(limit->target.is_all), truth(limit->is_users),
        limit->rate,        limit->burst,     limit->concurrency,          limit->by};

    return pg_query(link, &limit_it, params, NULL, err);
}

heddle_status controls_unlimit(struct pg_link *link, const struct control_limit *limit,
                               struct heddle_error *err)
{
    const char *const params[] = {limit->target.user, limit->target.op, truth(limit->target.is_all),
                                  truth(limit->is_users), limit->by};

    return set(link, &unlimit_it, params, "it has no limit", err);
}

heddle_status controls_weigh(struct pg_link *link, const struct control_weight *weight,
                             struct heddle_error *err)
{
    const char *const params[] = {weight->user, weight->plan, weight->weight, weight->by};

    return set(link, &weigh, params, "it has no weight of its own", err);
}

heddle_status controls_set_plan(struct pg_link *link, const char *user, const char *plan,
                                const char *by, struct heddle_error *err)
{
    const char *const params[] = {user, plan, by};

    return set(link, &set_plan, params, "it is on no plan", err);
}

heddle_status controls_cap(struct pg_link *link, const struct control_cap *cap,
                           struct heddle_error *err)
{
    const char *const params[] = {cap->target.user,
                                  cap->target.op,
                                  truth(cap->target.is_all),
                                  truth(cap->is_users),
                                  truth(cap->is_bulk),
                                  cap->most,
                                  cap->by};

    return pg_query(link, &cap_it, params, NULL, err);
}

heddle_status controls_uncap(struct pg_link *link, const struct control_cap *cap,
                             struct heddle_error *err)
{
    const char *const params[] = {cap->target.user,          cap->target.op,
                                  truth(cap->target.is_all), truth(cap->is_users),
                                  truth(cap->is_bulk),       cap->by};

    return set(link, &uncap_it, params, "it has no cap", err);
}

heddle_status controls_list_paused(struct pg_link *link, controls_found_function *found,
                                   void *argument, struct heddle_error *err)
{
    return list(link, &list_paused, found, argument, err);
}

heddle_status controls_list_limits(struct pg_link *link, controls_found_function *found,
                                   void *argument, struct heddle_error *err)
{
    return list(link, &list_limits, found, argument, err);
}

heddle_status controls_list_caps(struct pg_link *link, controls_found_function *found,
                                 void *argument, struct heddle_error *err)
{
    return list(link, &list_caps, found, argument, err);
}

heddle_status controls_list_weights(struct pg_link *link, controls_found_function *found,
                                    void *argument, struct heddle_error *err)
{
    return list(link, &list_weights, found, argument, err);
}

heddle_status controls_newest(struct pg_link *link, int64_t *version, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, &newest, NULL, &rows, err);
    if (status == HEDDLE_OK)
        *version = strtoll(heddle_rows_text(rows, 0, 0), NULL, 10);
    return status;
}

heddle_status controls_since(struct pg_link *link, int64_t version, size_t most,
                             struct arena *arena, struct control **controls, size_t *count,
                             struct heddle_error *err)
{
    char version_text[24], limit[24];
    const char *const params[] = {version_text, limit};
    AUTO_ROWS rows = NULL;

    snprintf(version_text, sizeof version_text, "%" PRId64, version);
    snprintf(limit, sizeof limit, "%zu", most);
    heddle_status status = pg_query(link, &since, params, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    *count = (size_t)heddle_rows_count(rows);
    *controls = arena_alloc(arena, (*count + 1) * sizeof **controls);
    for (size_t i = 0; i < *count; i++) {
        const char *texts[3];
        for (int column = 1; column <= 3; column++) {
            const char *text = heddle_rows_text(rows, (int)i, column);
            texts[column - 1] = arena_copy_text(arena, text, strlen(text)).data;
        }
        (*controls)[i] = (struct control){strtoll(heddle_rows_text(rows, (int)i, 0), NULL, 10),
                                          texts[0], texts[1], texts[2]};
    }
    return HEDDLE_OK;
}

/* The number comes before the limits are read: whoever has a larger one has read later. */
heddle_status controls_shared(struct pg_link *link, struct arena *arena, int64_t *epoch,
                              const struct shared_limit **limits, size_t *count,
                              struct heddle_error *err)
{
    AUTO_ROWS is_any = NULL;
    AUTO_ROWS number = NULL;
    AUTO_ROWS rows = NULL;

    *count = 0;
    heddle_status status = pg_query(link, &has_shared, NULL, &is_any, err);
    if (status != HEDDLE_OK || *heddle_rows_text(is_any, 0, 0) == 'f')
        return status;
    status = pg_query(link, &next_epoch, NULL, &number, err);
    if (status == HEDDLE_OK)
        status = pg_query(link, &list_shared, NULL, &rows, err);
    if (status != HEDDLE_OK)
        return status;
    *epoch = strtoll(heddle_rows_text(number, 0, 0), NULL, 10);
    *count = (size_t)heddle_rows_count(rows);
    struct shared_limit *found = arena_alloc(arena, (*count + 1) * sizeof *found);
    for (size_t i = 0; i < *count; i++) {
        const char *kind = heddle_rows_text(rows, (int)i, 0),
                   *key = heddle_rows_text(rows, (int)i, 1);
        found[i] = (struct shared_limit){arena_copy_text(arena, kind, strlen(kind)).data,
                                         arena_copy_text(arena, key, strlen(key)).data,
                                         strtoll(heddle_rows_text(rows, (int)i, 2), NULL, 10),
                                         strtoll(heddle_rows_text(rows, (int)i, 3), NULL, 10)};
    }
    *limits = found;
    return HEDDLE_OK;
}

heddle_status controls_note_used(struct pg_link *link, const struct shared_limit *cap, int64_t used,
                                 struct heddle_error *err)
{
    char number[24];
    const char *const params[] = {cap->key, number};

    if (used == cap->used)
        return HEDDLE_OK;
    snprintf(number, sizeof number, "%" PRId64, used);
    return pg_query(link, &note_used, params, NULL, err);
}

/* `absent`: why nothing was there to take back. */
static heddle_status set(struct pg_link *link, const struct heddle_statement *statement,
                         const char *const *params, const char *absent, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, statement, params, &rows, err);
    if (status == HEDDLE_OK && *heddle_rows_text(rows, 0, 0) == 'f')
        return heddle_refuse(err, HEDDLE_KIND_NOT_FOUND, "%s", absent);
    return status;
}

static heddle_status list(struct pg_link *link, const struct heddle_statement *statement,
                          controls_found_function *found, void *argument, struct heddle_error *err)
{
    AUTO_ROWS rows = NULL;

    heddle_status status = pg_query(link, statement, NULL, &rows, err);
    for (int i = 0; status == HEDDLE_OK && i < heddle_rows_count(rows); i++)
        found(argument, heddle_rows_text(rows, i, 0));
    return status;
}
