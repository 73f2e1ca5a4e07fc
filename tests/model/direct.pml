/* Direct mode: Redis says what is queued, the ledger says what has ended, by operation id.
 *
 * Redis may lose what it accepted, in a failover to a lagging replica. Then that is lost, or takes
 * effect late where a worker had it in hand; nothing is repeated, and the rest keeps its order. */
byte submitted;                 /* was in the lane at some time */
byte ledger;                    /* has a row */
byte dead;                      /* its row says so */
byte effects;                   /* has taken effect */
byte told;                      /* the user was told that it ended without effect */
byte lost;                      /* Redis lost it before it had ended */

#define SAME_ID(set) (set)
#define WITHOUT_EFFECT dead
#define IS_RECORDED(unit) ((ledger & (unit)) == (unit))

/* An insert waits for another of the same id that has not committed yet. */
#define OVERLAPS(me, k) \
    ((k) != (me) && link[k].phase == OPEN && (link[k].unit & link[me].unit) != 0)
#define MUST_WAIT(me) (OVERLAPS(me, 1) || OVERLAPS(me, 2) || OVERLAPS(me, 3))

inline on_failover() { lost = lost | (submitted & ~replica.lane & ~ledger) }

#include "lane.pml"

/* The ledger's rows are inserted first; a duplicate fails the transaction. */
inline judge(ops, kind) {
#ifdef SOFT_DUPLICATE
    verdict = OPEN              /* MUTANT: on conflict do nothing. The effects are on the wire */
#else
    verdict = ((ledger & ops) == 0 -> OPEN : DUPLICATE)
#endif
}

inline take_effect(ops) {
    assert((effects & ops) == 0 || an_effect_happens_twice);
    assert((told & ops) == 0 || an_effect_follows_a_told_end);
    assert((BELOW(ops) & ~(effects | dead | lost)) == 0 || an_effect_is_out_of_order);
    assert((BELOW(REST(ops)) & ~(ops | effects | dead | lost)) == 0 || REST(ops) == 0 ||
           an_effect_is_out_of_order);
    effects = effects | ops;
#ifndef LEDGER_AFTER            /* MUTANT: the worker writes the row in a transaction of its own */
    ledger = ledger | ops
#endif
}

inline decide(ops, kind) {
    ledger = ledger | ops;
    dead = dead | (ops & ~effects)
}

#include "worker.pml"

/* heddle_submit, idempotent while Redis knows the id. Where the reply is lost: again. */
proctype Client() {
    byte next = 1;
    do
    :: d_step { next <= OPERATIONS ->
        submitted = submitted | BIT(next); redis.lane = redis.lane | BIT(next); next++ }
    :: d_step { next <= OPERATIONS && faults > 0 -> faults--;
        submitted = submitted | BIT(next); redis.lane = redis.lane | BIT(next) }
    :: next > OPERATIONS -> break
    od
}

/* When nothing moves any more. */
proctype End() {
    timeout ->
    assert(redis.lane == 0 && redis.claim == 0 || a_lane_is_stuck);
    assert((effects | dead | lost) == BIT(OPERATIONS + 1) - 1 || an_operation_is_lost)
}

init {
    atomic {
#ifndef IS_LIVE
        run End();
#endif
        run Client(); run Redis();
        run Backend(1); run Backend(2); run Backend(3);
        run Worker(1); run Worker(2);
#if WORKERS > 2
        run Worker(3);
#endif
#ifdef WITNESS
        run Witness();
#endif
    }
}
