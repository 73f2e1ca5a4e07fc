/* Durable mode: Postgres says what has been submitted and what has ended; Redis is a copy that may
 * be lost.
 *
 * An operation enters its lane by a number from a global sequence, and knows the number before it.
 * Its unit of work ends the journal's row and moves the lane's head from that number to its own, or
 * fails: heddle.enter. A new lane's first operation has nothing before it, and finds no head.
 *
 * With HEAD_ALONE the journal's row is not asked, so a new lane begins behind a number of its own.
 *
 * Places in the lane are told apart, not operations: one that comes back from parking has a second
 * place, with the same id. */
#ifdef GAP_IS_RETRIED
#define NO_RECONCILER           /* MUTANT: who tries again does not ask for a rebuild */
#endif
#define PLACES (OPERATIONS + 1) /* one operation may be parked, once */

byte entered;                   /* places 1..entered have been given */
byte seq[PLACES + 1], prev[PLACES + 1]; /* their numbers, and those before them */
byte number;                    /* the global sequence */
bool has_rows;                  /* the lane's rows exist */
byte head, tail;                /* no head: 0 */
byte outbox;                    /* to be relayed */
byte ended;                     /* the journal's row says so */
byte dead;                      /* without effect */
byte cancelled;                 /* shall end without effect when its turn comes */
byte parked;                    /* is away */
byte twins;                     /* both places of the operation that was parked */
byte told;                      /* the user was told that it ended without effect */
hidden byte first, last;

#define ENTERED (BIT(entered + 1) - 1)
#define UNFINISHED (ENTERED & ~ended)
#define MISSING (UNFINISHED & ~redis.lane)
#define SAME_ID(set) ((set) | (((set) & twins) != 0 -> twins : 0))
#define WITHOUT_EFFECT dead
#define IS_RECORDED(ops) ((ended & (ops)) == (ops))
#define CAN_PARK(ops) (twins == 0 && parked == 0 && (cancelled & (ops)) == 0)
#define MUST_WAIT(me) false
#define TRUSTS_NO_ORDER         /* of what Redis hands out */

inline on_failover() { skip }

#include "lane.pml"

/* The places of a unit of work, the only one or two consecutive ones. */
inline find_places(ops) {
    first = 1; do :: (BIT(first) & ops) == 0 -> first++ :: else -> break od;
    last = PLACES; do :: (BIT(last) & ops) == 0 -> last-- :: else -> break od
}

#ifdef HEAD_ALONE
#define IS_OVER(ops) (!has_rows || seq[first] <= head)
#else
#define IS_OVER(ops) ((ended & (ops)) != 0)
#endif
inline judge(ops, kind) {
    find_places(ops);
#ifdef ID_ONLY
    if :: (ended & ops) != 0 -> verdict = DUPLICATE      /* MUTANT: as in direct mode */
       :: else -> verdict = (kind == EXECUTE && (cancelled & ops) != 0 -> FAILED : OPEN)
    fi
#else
    if :: IS_OVER(ops) -> verdict = DUPLICATE
       :: else ->
          if :: prev[first] != head || (first != last && prev[last] != seq[first]) -> verdict = GAP
             :: else -> verdict = (kind == EXECUTE && (cancelled & ops) != 0 -> FAILED : OPEN)
          fi
    fi
#endif
}

inline take_effect(ops) {
    assert((ended & ops) == 0 || an_effect_happens_twice);
    assert((told & ops) == 0 || an_effect_follows_a_told_end);
    assert((BELOW(ops) & ~ended) == 0 || an_effect_is_out_of_order);
    assert(REST(ops) == 0 || (BELOW(REST(ops)) & ~(ended | ops)) == 0 || an_effect_is_out_of_order);
    find_places(ops); ended = ended | ops; head = seq[last]
}

inline decide(ops, kind) {      /* moves the head like success */
    find_places(ops); ended = ended | ops; head = seq[last];
    if :: kind == PARK -> parked = ops :: else -> dead = dead | ops fi
}

/* Takes a number, under the lock of the lane's tail, which is held until the commit: so all of it
 * is one step. */
inline enter_lane() {
    entered++;
    if :: !has_rows ->
        has_rows = true;
#if defined(HEAD_ALONE) && !defined(RESTART_AT_ONE) && !defined(FIRST_FOLLOWS_ZERO)
        number++; head = number;
#else
        head = 0;               /* with HEAD_ALONE: MUTANT */
#endif
        tail = head
       :: else
    fi;
#ifdef RESTART_AT_ONE
    number = tail;              /* MUTANT: each lane counts for itself */
#endif
    number++;
    seq[entered] = number; prev[entered] = tail; tail = number;
    outbox = outbox | BIT(entered)
}

#include "worker.pml"

/* Idempotent while Redis knows the id. */
inline push(ops) { redis.lane = redis.lane | ((redis.lane & SAME_ID(ops)) == 0 -> ops : 0) }

/* Inserts what is missing, each in its place. */
inline rebuild(ops) {
    redis.lane = redis.lane | ((ops) & ~((redis.lane & twins) != 0 -> twins : 0));
    redis.broken = false
}

/* A mark, made under the lane's lock: the operation keeps its place, and ends when its turn comes.
 * Costs a fault, to keep the bounds small. */
#define CANCELLABLE (UNFINISHED & ~cancelled)
#ifdef CANCEL_UNLOCKED
#define MAY_CANCEL (faults > 0) /* MUTANT */
#else
#define MAY_CANCEL (faults > 0 && !IS_LOCKED)
#endif
inline cancel(ops) { faults--; cancelled = cancelled | (ops); told = told | cancelled }

proctype Submitter() {
    byte submitted = 0;
    do
    :: d_step { submitted < OPERATIONS -> submitted++; enter_lane() }
    :: d_step { parked != 0 -> twins = parked | BIT(entered + 1); parked = 0; enter_lane() }
    :: d_step { has_rows && head == tail -> has_rows = false; head = 0; tail = 0 } /* idle */
    :: d_step { MAY_CANCEL && CANCELLABLE != 0 -> cancel(LOWEST(CANCELLABLE)) }
    :: d_step { MAY_CANCEL && REST(CANCELLABLE) != 0 -> cancel(LOWEST(REST(CANCELLABLE))) }
    od
}

/* One at a time for a lane. When it sleeps: see submission.pml. */
proctype Relay() {
    do
    :: d_step { outbox != 0 -> push(LOWEST(outbox)); outbox = REST(outbox) }
    :: d_step { outbox != 0 && faults > 0 -> faults--; push(LOWEST(outbox)) } /* crash between */
    od
}

/* Has Redis insert what the journal has and it misses. A slow one acts on what it read before. */
proctype Reconciler() {
    byte found = 0;
    do
    :: d_step { MISSING != 0 || redis.broken -> rebuild(UNFINISHED) }
    :: d_step { found == 0 && UNFINISHED != 0 && faults > 0 -> faults--; found = UNFINISHED }
    :: d_step { found != 0 -> rebuild(found); found = 0 }
    od
}

/* When nothing moves any more. */
proctype End() {
    timeout ->
    assert((ended == ENTERED && entered >= OPERATIONS) || an_operation_is_lost);
    assert((redis.lane == 0 && redis.claim == 0 && outbox == 0 && !has_rows) || a_lane_is_stuck)
}

init {
    atomic {
#ifndef IS_LIVE
        run End();
#endif
        run Submitter(); run Relay(); run Redis();
#ifndef NO_RECONCILER           /* MUTANT */
        run Reconciler();
#endif
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
