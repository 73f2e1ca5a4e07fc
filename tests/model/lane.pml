/* The queue: what Redis holds of one lane, and what can happen to it. Included by the protocols.
 *
 * A set of operations is a byte, operation x its bit x - 1; the lower of two was submitted first.
 * Redis functions are atomic, so each is one step here. */
#define BIT(x) (1 << ((x) - 1))
#define LOWEST(set) ((set) & -(set))
#define BELOW(set) (LOWEST(set) - 1)
#define REST(set) ((set) & ((set) - 1)) /* without its first */
#define FIRST_TWO(set) (LOWEST(set) | LOWEST(REST(set)))

#define NOBODY (WORKERS + 1)    /* a claim that no worker knows of */
#ifdef FORGOTTEN_CLAIM
#define UNHEARD (WORKERS + 2)   /* MUTANT: its processor lives and beats, so its lease never ends */
#else
#define UNHEARD NOBODY
#endif

/* A claim is the number of the worker whose token it carries. A token is unique: when a worker
 * forgets it, the claim is nobody's wherever it is still written down. */
typedef Queue {
    byte lane, claim;
    bool broken,                /* waits for a rebuild */
        halted                  /* waits for an operator */
}
Queue redis, replica, nothing;
bool is_lagging;                /* the replica has what Redis held at some time before */
byte faults = FAULTS, failovers = FAILOVERS;

inline copy(to, from) {
    to.lane = from.lane; to.claim = from.claim; to.broken = from.broken; to.halted = from.halted
}

/* What is promised. Each is named in the assertion that would break. */
hidden byte an_effect_happens_twice, an_effect_is_out_of_order, units_of_work_overlap,
    an_effect_follows_a_told_end, a_lane_is_freed_by_a_stranger, an_operation_is_lost,
    a_lane_is_stuck, a_halted_lane_goes_on, a_decision_is_undone, it_gets_there;

/* The worker forgets its token; its claim may come back with an old replica. */
inline forget_claim(me, returning) {
    if :: redis.claim == me -> redis.claim = NOBODY :: else fi;
    if :: is_lagging && replica.claim == me -> replica.claim = returning :: else fi
}

/* heddle_settle: by id, for the claim with this token; a repeated or late one does nothing. */
#ifdef REUSED_TOKEN
#define IS_HOLDER(me) (redis.claim != 0) /* MUTANT: every claim has the same token */
#else
#define IS_HOLDER(me) (redis.claim == me)
#endif
hidden byte counted;
inline settle(me, ops) {
    if :: IS_HOLDER(me) ->
        assert(redis.claim == me || a_lane_is_freed_by_a_stranger);
        told = told | (WITHOUT_EFFECT & SAME_ID(ops));
#ifdef SETTLE_BY_COUNT
        counted = ops;          /* MUTANT: as many as have ended, from the lane's head */
        do
        :: counted != 0 -> counted = REST(counted); redis.lane = REST(redis.lane)
        :: else -> break
        od
#else
        redis.lane = redis.lane & ~SAME_ID(ops)
#endif
       :: else
    fi
}

proctype Redis() {
    do
    /* The lease of a dead processor ends; a living one gives back what it does not know of. */
    :: d_step { redis.claim == NOBODY -> redis.claim = 0 }
    /* The lease of a living one ends: a zombie. */
    :: d_step { redis.claim != 0 && redis.claim < NOBODY && faults > 0 ->
        faults--; redis.claim = 0 }
    /* From here on the replica lags: where nothing was before, its failover is a FLUSHALL. */
    :: d_step { failovers > 0 && !is_lagging ->
        is_lagging = true; copy(replica, redis) }
    :: d_step { is_lagging ->
        on_failover();
        is_lagging = false; failovers--;
        copy(redis, replica); copy(replica, nothing) }
    /* Or no failover comes any more. */
    :: d_step { failovers > 0 && !is_lagging -> failovers = 0 }
    od
}

/* Workers, and their links to Postgres. A pipelined transaction is on the wire as a whole: what
 * becomes of its client does not stop it. */
#define LINKS 3

/* A link, and what comes of the unit of work on it. */
#define FREE 0
#define SENT 1
#define OPEN 2
#define COMMITTED 3
#define AGAIN 4                 /* try again: lane is locked, timeout, terminated */
#define DUPLICATE 5
#define GAP 6
#define FAILED 7                /* for good */
#define HALTED 8                /* waits for an operator */

/* A worker. */
#define IDLE 0
#define READY 1
#define WAITING 2
#define ASKING 3
#define DECIDING 4
#define RECORDING 5
#define RETRYING 6
#define REBUILDING 7
#define HALTING 8

/* The purpose of a unit of work. */
#define EXECUTE 0
#define BURY 1                  /* dead-letter */
#define PARK 2                  /* set aside, to come back at the lane's end */
#define HALT 3                  /* for an operator */
#define CHARGE 4                /* one attempt failed, more are left */

typedef Link_state {
    byte phase, unit, purpose;
    byte client                 /* the worker that waits; 0: it is gone */
}
typedef Worker_state {
    byte state;
    byte todo, ended;           /* of its claim: still to do; ended, but not settled */
    byte unit, link;            /* the unit of work under way */
    bool is_single              /* a bundle did not commit: one by one */
}
Link_state link[LINKS + 1];
Worker_state worker[WORKERS + 1];
byte inside;                    /* units of work in the lane: its advisory lock is held */
hidden byte verdict, client;

#define L link[me]
#define W worker[me]
#define C worker[client]
#define HAS_LINK (link[1].phase == FREE || link[2].phase == FREE || link[3].phase == FREE)
#define IS_BUNDLE(ops) (REST(ops) != 0)

#ifdef NO_LANE_LOCK
#define IS_LOCKED false         /* MUTANT */
#else
#define IS_LOCKED (inside > 0)
#endif

#ifdef WITNESS
/* Shows that the model gets somewhere: the check looks for this to fail. */
proctype Witness() { (WITNESS) -> assert(false || it_gets_there) }
#endif
