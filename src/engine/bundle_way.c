/* How operations are to be executed: alone, or in which kind of bundle. Runs on any thread; see
 * bundle.h. */
#include "engine/bundle_internal.h"

#include "engine/handlers.h"

/* Who takes longer than this share of the latency bound goes alone. */
enum { SLOW_SHARE = 4 };

enum claim_way bundle_way(void *argument, const struct claim *claim)
{
    const struct runner_shared *shared = argument;

    if (claim->done >= claim->operation_count)
        return WAY_ALONE;
    const struct heddle_handler *handler =
        handlers_hold(shared->handlers, claim->operations[claim->done].operation.op);
    const enum claim_way way = bundle_way_by(shared, handler, claim, claim->done);
    handlers_release(shared->handlers, handler);
    return way;
}

enum claim_way bundle_way_by(const struct runner_shared *shared,
                             const struct heddle_handler *handler, const struct claim *claim,
                             size_t index)
{
    const struct claimed_operation *claimed = &claim->operations[index];

    if (shared->options->bundle_max <= 1 || claim->places > 0 || index < claim->alone_until ||
        claimed->operation.attempt > 1 || claimed->is_poisoned ||
        claimed_cancel_cause(claimed) != CANCEL_NONE || claimed_has_expired(claimed))
        return WAY_ALONE;
    if (!handler || (handler->flags & HEDDLE_HANDLER_NEVER_BUNDLE) ||
        handlers_cost_us(shared->handlers, handler) > shared->options->bundle_us / SLOW_SHARE)
        return WAY_ALONE;
    if (handler->flags & HEDDLE_HANDLER_NO_EFFECTS)
        return claimed->is_journaled || !handlers_is_row_less(handler, &claimed->operation)
                   ? WAY_ALONE
                   : WAY_PURE;
    if (handler->prepare)
        return WAY_ALONE;
    return index < claim->careful_until ? WAY_CAREFUL : WAY_BUNDLE;
}
