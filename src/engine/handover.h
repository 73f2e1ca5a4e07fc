/* Claims on their way from Redis to the workers. Confined to the fetcher. */
#ifndef ENGINE_HANDOVER_H
#define ENGINE_HANDOVER_H

#include "engine/fetcher.h"

/* Takes the claims that the request `seq` was answered with. They are known as ours first, and then
 * seen by workers: whole, or strand by strand. */
void hand_over(const struct fetcher_options *options, const struct fetcher_parts *parts,
               struct claim_list *claims, uint64_t seq);

#endif
