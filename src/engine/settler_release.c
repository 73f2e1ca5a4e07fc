/* Claims that are given back: see settler.h. */
#include "engine/runqueue.h"
#include "engine/settler.h"

void settler_release(struct settler *settler, struct claim *claim)
{
    settler_take(settler, &(struct settlement){.claim = claim, .disposition = LANE_RELEASE});
}

void settler_release_unbegun(struct settler *settler, struct runqueue *queue)
{
    struct claim_list rest;

    runqueue_empty(queue, &rest);
    settler_release_all(settler, &rest);
}

void settler_release_all(struct settler *settler, struct claim_list *claims)
{
    for (struct claim *claim; (claim = claim_list_pop(claims));)
        settler_release(settler, claim);
}
