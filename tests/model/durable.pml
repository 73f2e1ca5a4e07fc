/* Durable mode: Postgres says what has been submitted and what has ended; Redis is a copy that may
 * be lost.
 *
 * An operation enters its lane by a number from a global sequence, and knows the number before it.
 * Its unit of work ends the journal's row and moves the lane's head from that number to its own, or
 * fails: heddle.enter. A new lane's first operation has nothing before it, and finds no head.
 *
 * With HEAD_ALONE the journal's row is not asked, so a new lane begins behind a number of its own.
 *
 * With ENDS what fails may also be charged, parked or halt its lane, operators retry and cancel,
 * and the operations in DIRECT, by the order of submission, are submitted to Redis.
 *
 * Places in the lane are told apart, not operations: one that comes back from parking has a second
 * place, with the same id. */
#ifdef GAP_IS_RETRIED
#define NO_RECONCILER           /* MUTANT: who tries again does not ask for a rebuild */
#endif
#ifndef DIRECT
#define DIRECT 0
#endif
#define PLACES (OPERATIONS + 1) /* one operation may be parked, once */

byte entered;                   /* places 1..entered have been given */
byte seq[PLACES + 1], prev[PLACES + 1]; /* their numbers, and those before them */
byte number;                    /* the global sequence */
bool has_rows;                  /* the lane's rows exist */
byte head, tail;                /* no head: 0 */
byte direct;                    /* have no number */
byte known;                     /* of these the ledger has a row */
byte outbox;                    /* to be relayed */
byte ended;                     /* the ledger's row says so, or it is off to its second place */
byte dead;                      /* without effect */
byte cancelled;                 /* shall end without effect when its turn comes */
byte halted;                    /* halts its lane until an operator decides */
byte parked;                    /* is away */
byte twins;                     /* both places of the operation that was parked */
byte told;                      /* the user was told that it ended without effect */
byte lost;                      /* Redis lost it, and it had no number: late, or never */
hidden byte first, last, now_at;

#define ENTERED (BIT(entered + 1) - 1)
#define UNFINISHED (ENTERED & ~ended)
#define JOURNALED (UNFINISHED & ~direct)
#define MISSING (JOURNALED & ~SAME_ID(redis.lane))
#define ADRIFT (known & UNFINISHED & ~SAME_ID(redis.lane) & ~outbox)
#define SAME_ID(set) ((set) | (((set) & twins) != 0 -> twins : 0))
/* Redis knows an operation by its id; where its place is the ledger's row says. */
#define CURRENT(set) (((set) & twins) != 0 -> ((set) & ~twins) | REST(twins) : (set))
#define WITHOUT_EFFECT dead
#define IS_RECORDED(ops) ((ended & CURRENT(ops)) == CURRENT(ops))
#define GOES_ON(ops) ((cancelled & SAME_ID(ops)) == 0)
#define CAN_PARK(ops) (GOES_ON(ops) && twins == 0 && parked == 0)
#define MUST_WAIT(me) false
#define CAN_MISORDER (IS_BUNDLE(redis.lane) && (LOWEST(redis.lane) & direct) == 0)

#ifdef WITNESS
byte was_retried, was_away;     /* by an operator; in a failover */
#define NOTE(what) what
#else
#define NOTE(what) skip
#endif

inline on_failover() {
    lost = lost | (direct & ~SAME_ID(replica.lane) & ~ended);
    NOTE(was_away = was_away | parked)
}

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
#ifdef ID_ONLY
#define IS_GAP(ops) false       /* MUTANT: as in direct mode */
#else
#define IS_GAP(ops) ((direct & (ops)) == 0 && \
    (prev[first] != head || (first != last && prev[last] != seq[first])))
#endif
/* Decisions other than to end it are made about an operation as it was found. */
#define IS_CANCELLED(ops, kind) (kind != BURY && !GOES_ON(ops))
#ifdef DECIDED_OVER_HALT
#define IS_HALTED(ops, kind) (kind == EXECUTE && (halted & (ops)) != 0) /* MUTANT */
#else
#define IS_HALTED(ops, kind) ((halted & (ops)) != 0)
#endif
inline judge(ops, kind) {
    now_at = CURRENT(ops); find_places(now_at);
    if :: IS_OVER(now_at) -> verdict = DUPLICATE /* or parked */
       :: !IS_OVER(now_at) && kind == PARK && twins != 0 -> verdict = AGAIN /* out of bounds */
       :: else ->
          if :: IS_CANCELLED(now_at, kind) -> verdict = FAILED
             :: else ->
                if :: IS_HALTED(now_at, kind) -> verdict = HALTED
                   :: else -> verdict = (IS_GAP(now_at) && kind < HALT -> GAP : OPEN)
                fi
          fi
    fi
}

inline end_places(ops) {
    find_places(ops); ended = ended | (ops);
    head = ((direct & (ops)) == 0 -> seq[last] : head)
}

/* Which other ones come first: durable ones keep their order, direct ones theirs. */
#define OTHERS(ops) (((direct & (ops)) != 0 -> direct : ~direct) & ~(ended | lost))
inline take_effect(ops) {
    now_at = CURRENT(ops);
    assert((ended & now_at) == 0 || an_effect_happens_twice);
    assert((told & SAME_ID(now_at)) == 0 || an_effect_follows_a_told_end);
    assert((BELOW(now_at) & OTHERS(now_at)) == 0 || an_effect_is_out_of_order);
    assert(REST(now_at) == 0 || (BELOW(REST(now_at)) & ~(ended | now_at)) == 0 ||
           an_effect_is_out_of_order);
    assert((halted & now_at) == 0 || a_halted_lane_goes_on);
    end_places(now_at)
}

inline decide(ops, kind) {      /* moves the head like success, where the place is given up */
    now_at = CURRENT(ops); known = known | (direct & now_at);
    assert((ended & now_at) == 0 || a_decision_is_undone);
    assert((halted & now_at) == 0 || a_halted_lane_goes_on);
    if :: kind == BURY -> end_places(now_at); dead = dead | now_at
       :: kind == PARK ->
#ifdef PARKED_KEEPS_PLACE
          ended = ended | now_at; /* MUTANT */
#else
          end_places(now_at);
#endif
          parked = now_at
       :: kind == HALT -> halted = halted | now_at
       :: else                  /* CHARGE */
    fi
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

/* Idempotent while Redis knows the id. The journal speaks again of what is queued only where
 * something was decided about it: its lane is looked at again. */
inline push(ops) {
    if :: (redis.lane & SAME_ID(ops)) == 0 -> redis.lane = redis.lane | (ops)
#ifndef LOOK_FORGOTTEN          /* MUTANT */
       :: else -> redis.halted = false
#else
       :: else
#endif
    fi
}

/* Inserts what is missing, each in its place. */
inline rebuild(ops) {
    redis.lane = redis.lane & ~(((ops) & REST(twins)) != 0 -> twins : 0);
    redis.lane = redis.lane | ((ops) & ~((redis.lane & twins) != 0 -> twins : 0));
    redis.broken = false
}

proctype Submitter() {
    byte submitted = 0;
    do
    :: d_step { submitted < OPERATIONS && (DIRECT & BIT(submitted + 1)) == 0 ->
        submitted++; enter_lane() }
#if DIRECT
    :: d_step { submitted < OPERATIONS && (DIRECT & BIT(submitted + 1)) != 0 ->
        submitted++; entered++;
        direct = direct | BIT(entered); redis.lane = redis.lane | BIT(entered) }
#endif
    :: d_step { has_rows && head == tail -> has_rows = false; head = 0; tail = 0 } /* idle */
    od
}

#ifdef ENDS
#ifdef CANCEL_UNLOCKED
#define IS_HELD(ops) false      /* MUTANT */
#else
#define HOLDS(k, ops) (link[k].phase == OPEN && (SAME_ID(link[k].unit) & (ops)) != 0)
#define IS_HELD(ops) (HOLDS(1, ops) || HOLDS(2, ops) || HOLDS(3, ops)) /* its row is locked */
#endif

/* A mark: the operation keeps its place, or comes back from parking, and ends in its turn. */
inline cancel_now() {
    told = told | now_at; halted = halted & ~now_at;
#ifdef CANCELLED_LEAVES
    ended = ended | now_at; dead = dead | now_at /* MUTANT */
#else
    cancelled = cancelled | now_at; known = known | (direct & now_at);
    outbox = outbox | (now_at & ~parked)
#endif
}

#ifdef SLOW_OPERATOR
#define MAY_RETRY (halted != 0 && !IS_HELD(halted) && redis.halted)
#else
#define MAY_RETRY (halted != 0 && !IS_HELD(halted))
#endif
#define CANCELLABLE ((UNFINISHED | parked) & ~SAME_ID(cancelled))
#define MAY_CANCEL(ops) (faults > 0 && (ops) != 0 && !IS_HELD(ops))

/* Who cancels costs a fault, to keep the bounds small; but what halts a lane is decided about. */
proctype Operator() {
    do
    :: d_step { MAY_RETRY -> NOTE(was_retried = was_retried | halted);
#ifndef NO_NUDGE                /* MUTANT */
        outbox = outbox | halted;
#endif
        halted = 0 }
    :: d_step { MAY_RETRY -> now_at = halted; cancel_now() }
    :: d_step { MAY_CANCEL(LOWEST(CANCELLABLE)) ->
        faults--; now_at = LOWEST(CANCELLABLE); cancel_now() }
    :: d_step { MAY_CANCEL(LOWEST(REST(CANCELLABLE))) ->
        faults--; now_at = LOWEST(REST(CANCELLABLE)); cancel_now() }
#if DIRECT                      /* one of which the ledger has no row ends at once */
    :: d_step { MAY_CANCEL(LOWEST(direct & UNFINISHED & ~known)) -> faults--;
        now_at = LOWEST(direct & UNFINISHED & ~known);
        told = told | now_at; ended = ended | now_at; dead = dead | now_at }
#endif
    od
}
#endif

/* When it sleeps: see submission.pml. Another relay, or one that dies before it could delete, acts
 * on what it read long ago. */
#define IS_TO_BE_RELAYED(ops) ((ended & CURRENT(ops)) == 0 || (parked & (ops)) != 0)
proctype Relay() {
    byte found = 0;
    do
#ifdef ENDS
    :: d_step { parked != 0 ->
        twins = parked | BIT(entered + 1); parked = 0;
#ifdef UNPARKED_KEEPS_PLACE     /* MUTANT */
        find_places(LOWEST(twins)); entered++;
        seq[entered] = seq[first]; prev[entered] = prev[first]; outbox = outbox | BIT(entered)
#else
        enter_lane()
#endif
       }
#endif
    :: d_step { outbox != 0 ->
        if :: IS_TO_BE_RELAYED(LOWEST(outbox)) -> push(LOWEST(outbox)) :: else fi;
        outbox = REST(outbox) }
    :: d_step { found == 0 && outbox != 0 && faults > 0 -> faults--; found = LOWEST(outbox) }
    :: d_step { found != 0 -> push(found); found = 0 }
    od
}

/* Has Redis insert what the journal has and it misses, hear again of direct operations that the
 * ledger knows and it misses, and look again at a lane that is halted there and not in the ledger.
 * A slow one acts on what it read before. */
proctype Reconciler() {
    byte found = 0;
    do
    :: d_step { MISSING != 0 || redis.broken -> rebuild(JOURNALED) }
    :: d_step { found == 0 && JOURNALED != 0 && faults > 0 -> faults--; found = JOURNALED }
    :: d_step { found != 0 -> rebuild(found); found = 0 }
#if DIRECT && !defined(NOT_READMITTED) /* MUTANT */
    :: d_step { ADRIFT != 0 -> outbox = outbox | ADRIFT }
#endif
#ifndef HALTS_NOT_COMPARED      /* MUTANT */
    :: d_step { redis.halted && halted == 0 -> redis.halted = false }
#endif
    :: d_step { redis.halted && faults > 0 -> faults--; redis.halted = false }
    od
}

/* When nothing moves any more. */
proctype End() {
    timeout ->
    assert(!redis.halted || a_lane_is_stuck);
    assert(((ended | (lost & ~known)) == ENTERED && entered >= OPERATIONS) || an_operation_is_lost);
    assert(parked == 0 || an_operation_is_lost);
    assert((redis.lane == 0 && redis.claim == 0 && outbox == 0 && !has_rows && halted == 0) ||
           a_lane_is_stuck)
}

init {
    atomic {
#ifndef IS_LIVE
        run End();
#endif
        run Submitter(); run Relay(); run Redis();
#ifdef ENDS
        run Operator();
#endif
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
