/* The worker and its units of work, in one lane. Included by the protocols, which say what stands
 * in a unit's way (`judge`), what its commit writes (`take_effect`, `decide`) and what a look-up
 * finds (`IS_RECORDED`).
 *
 * A pipelined transaction is on the wire as a whole: what becomes of its client does not stop it.
 * So each link to Postgres is a process of its own, and a worker that dies leaves it running. */
inline clear_link(at) {
    link[at].phase = FREE; link[at].purpose = EXECUTE; link[at].unit = 0; link[at].is_lost = false
}
inline answer(me, outcome) { if :: L.is_lost -> clear_link(me) :: else -> L.phase = outcome fi }

/* The server's side of a link. */
proctype Backend(byte me) {
    do
    :: d_step { L.phase == SENT && !MUST_WAIT(me) ->     /* begin: the lane's lock, then the fence */
        verdict = AGAIN;
        if :: IS_LOCKED
           :: else -> judge(L.unit, L.purpose)
        fi;
        if :: verdict == OPEN -> L.phase = OPEN; inside++;
              assert(inside == 1 || units_of_work_overlap)
           :: else -> answer(me, verdict)
        fi }
    :: d_step { L.phase == OPEN ->                       /* commit */
        if :: L.purpose == EXECUTE -> take_effect(L.unit)
           :: else -> decide(L.unit, L.purpose)
        fi;
        inside--; answer(me, COMMITTED) }
    :: d_step { L.phase == OPEN && L.is_lost -> inside--; clear_link(me) } /* the rest never came */
    :: d_step { L.phase == SENT && L.is_lost -> clear_link(me) }
    :: d_step { L.phase == OPEN && !L.is_lost && faults > 0 ->     /* timeout, terminated, … */
        faults--; inside--; L.phase = AGAIN }
    :: d_step { L.phase == OPEN && !L.is_lost && faults > 0 && L.purpose == EXECUTE ->
        faults--; inside--; L.phase = FAILED }           /* fails for good */
    od
}

inline send(me, ops, kind) {
    if :: link[1].phase == FREE -> W.link = 1
       :: link[1].phase != FREE && link[2].phase == FREE -> W.link = 2
       :: else -> W.link = 3
    fi;
    W.unit = ops; W.state = WAITING;
    link[W.link].phase = SENT; link[W.link].unit = W.unit; link[W.link].purpose = kind
}
inline hang_up(me) {            /* the transaction goes on without us */
    if :: W.link == 0
       :: W.link != 0 && (ANSWER == SENT || ANSWER == OPEN) -> link[W.link].is_lost = true
       :: else -> clear_link(W.link)
    fi;
    W.link = 0
}
inline hear(me, next_state) { clear_link(W.link); W.link = 0; W.state = next_state }
inline conclude(me) {
    W.todo = W.todo & ~W.unit; W.ended = W.ended | W.unit; W.unit = 0; W.state = READY
}
inline forget(me) {
    W.state = IDLE; W.todo = 0; W.ended = 0; W.unit = 0; W.is_single = false
}

inline settle_early(me, ops) {
#ifdef SETTLE_BEFORE_COMMIT
    settle(me, ops);     /* MUTANT */
#endif
    skip
}
inline decide_early(me) {
#ifdef DECIDE_IN_REDIS_FIRST    /* MUTANT */
    told = told | W.unit; settle(me, W.unit);
#endif
    skip
}

#define CAN_CLAIM (W.state == IDLE && redis.lane != 0 && redis.claim == 0 && !redis.broken)
#define IS_BUNDLE(ops) (REST(ops) != 0)

proctype Worker(byte me) {
    do
    /* heddle_claim: up to two operations. Its reply may be lost. */
    :: d_step { CAN_CLAIM -> redis.claim = me; W.todo = FIRST_TWO(redis.lane); W.state = READY }
    :: d_step { CAN_CLAIM && faults > 0 -> faults--; redis.claim = UNHEARD }

    /* The next unit of work: one operation, or a bundle of two. */
    :: d_step { W.state == READY && W.todo != 0 && HAS_LINK ->
        settle_early(me, LOWEST(W.todo)); send(me, LOWEST(W.todo), EXECUTE) }
    :: d_step { W.state == READY && IS_BUNDLE(W.todo) && !W.is_single && HAS_LINK ->
        settle_early(me, W.todo); send(me, W.todo, EXECUTE) }

    /* What came of it. */
    :: d_step { W.state == WAITING && ANSWER == COMMITTED ->
        hear(me, READY);
#ifdef LEDGER_AFTER
        W.state = RECORDING     /* MUTANT: see direct.pml */
#else
        conclude(me)
#endif
        }
    :: d_step { W.state == WAITING && ANSWER == AGAIN -> hear(me, READY) }      /* in place */
    :: d_step { W.state == WAITING && ANSWER == AGAIN -> hear(me, LEAVING) }    /* or later */
    :: d_step { W.state == WAITING && ANSWER > AGAIN && IS_BUNDLE(W.unit) ->
        hear(me, READY); W.is_single = true }
    :: d_step { W.state == WAITING && ANSWER == DUPLICATE && !IS_BUNDLE(W.unit) ->
        hear(me, READY); conclude(me) }
    :: d_step { W.state == WAITING && ANSWER == GAP && !IS_BUNDLE(W.unit) -> hear(me, REBUILDING) }
    :: d_step { W.state == WAITING && ANSWER == FAILED && !IS_BUNDLE(W.unit) ->
        hear(me, DECIDING); decide_early(me) }

    /* Connection lost, during COMMIT or before: only the ledger can tell, under the lane's lock. */
    :: d_step { W.state == WAITING && faults > 0 -> faults--; hang_up(me); W.state = ASKING }
    :: d_step { W.state == ASKING && !IS_LOCKED ->
        if :: IS_RECORDED(W.unit) -> conclude(me)
           :: else -> W.unit = 0; W.state = READY
        fi }

    /* A decision is a unit of work like any other. */
    :: d_step { W.state == DECIDING && HAS_LINK -> send(me, W.unit, BURY) }
    :: d_step { W.state == DECIDING && HAS_LINK && CAN_PARK(W.unit) -> send(me, W.unit, PARK) }
#ifdef LEDGER_AFTER
    :: d_step { W.state == RECORDING -> ledger = ledger | W.unit; conclude(me) }
#endif

    /* Settle what has ended, keep or release the lane. Where the reply is lost: again. */
    :: d_step { W.state == READY && W.todo != 0 && W.ended != 0 -> settle(me, W.ended); W.ended = 0 }
    :: d_step { W.state == READY && W.ended != 0 && faults > 0 -> faults--; settle(me, W.ended) }
    :: d_step { (W.state == READY && W.todo == 0) || W.state >= LEAVING ->
        settle(me, W.ended);
        if :: IS_HOLDER(me) -> redis.broken = (W.state == REBUILDING); redis.claim = 0 :: else fi;
        forget_claim(me, UNHEARD); forget(me) }

    /* Crash. A new process remembers nothing. */
    :: d_step { W.state != IDLE && faults > 0 -> faults--; hang_up(me); forget_claim(me, NOBODY); forget(me) }
    od
}
