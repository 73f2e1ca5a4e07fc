/* Cancelling what a link waits for, from other threads; see pg.h.
 *
 * A cancel request names a backend, not a statement. So the owner, back from an exchange that may
 * be cancelled, waits for a request that is on its way: what it sends next is never hit. A COMMIT
 * is never part of such an exchange. */
#include "link/pg_internal.h"

#include "base/log.h"

void pg_cancel_init(struct pg_cancel_state *state)
{
    mutex_init(&state->mutex);
    condition_init(&state->sent);
}

void pg_cancel_done(struct pg_cancel_state *state)
{
    condition_done(&state->sent);
    mutex_done(&state->mutex);
}

bool pg_cancel(struct pg_link *link, bool (*is_meant)(void *argument), void *argument)
{
    struct pg_cancel_state *state = &link->cancel;
    char problem[256];

    mutex_lock(&state->mutex);
    PGcancel *request = state->is_open && !state->is_sending ? state->request : NULL;
    if (request)
        state->is_sending = true;
    mutex_unlock(&state->mutex);
    if (!request)
        return false;

    bool is_sent = is_meant(argument);
    if (is_sent && !PQcancel(request, problem, sizeof problem))
        heddle_log(HEDDLE_LOG_WARNING, "cancel_failed", "text=%s", LOG_TEXT(problem));
    mutex_lock(&state->mutex);
    state->is_sending = false;
    condition_signal(&state->sent);
    mutex_unlock(&state->mutex);
    return is_sent;
}

void pg_cancel_arm(struct pg_link *link)
{
    PGcancel *request = PQgetCancel(link->conn);

    mutex_lock(&link->cancel.mutex);
    link->cancel.request = request;
    mutex_unlock(&link->cancel.mutex);
}

void pg_cancel_disarm(struct pg_link *link)
{
    pg_cancel_shut(link);
    mutex_lock(&link->cancel.mutex);
    PGcancel *request = link->cancel.request;
    link->cancel.request = NULL;
    mutex_unlock(&link->cancel.mutex);
    PQfreeCancel(request);
}

void pg_cancel_open(struct pg_link *link)
{
    mutex_lock(&link->cancel.mutex);
    link->cancel.is_open = true;
    mutex_unlock(&link->cancel.mutex);
}

void pg_cancel_shut(struct pg_link *link)
{
    struct pg_cancel_state *state = &link->cancel;

    mutex_lock(&state->mutex);
    state->is_open = false;
    while (state->is_sending)
        condition_wait(&state->sent, &state->mutex);
    mutex_unlock(&state->mutex);
}
