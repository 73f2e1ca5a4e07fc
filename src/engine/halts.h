/* Compares the lanes that Redis halts with what the ledger has decided about them. A decision goes
 * through the outbox too, and is heard of at once; but the settlement that halts the lane may come
 * after it, and a failover of Redis may halt the lane again. */
#ifndef ENGINE_HALTS_H
#define ENGINE_HALTS_H

#include "heddle/error.h"

struct reconciler;

/* One pass over all partitions, with the reconciler's links: lanes about whose first operation it
 * is decided go on. */
heddle_status halts_compare(struct reconciler *reconciler,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
