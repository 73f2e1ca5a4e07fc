/* See handover.h. */
#include "engine/handover.h"

#include "base/fault.h"
#include "queue/strands.h"

void hand_over(const struct fetcher_options *options, const struct fetcher_parts *parts,
               struct claim_list *claims, uint64_t seq)
{
    struct claim_list entries;
    struct claim *claim;

    claim_list_init(&entries);
    while ((claim = claim_list_pop(claims))) {
        strands_split(claim, options->user_concurrency, &entries);
        holdings_add(parts->holdings, claim);
    }
    holdings_answered(parts->holdings, seq);
    if (entries.first)
        fault_point("claims_known");
    runqueue_push(parts->queue, &entries);
}
