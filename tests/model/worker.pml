/* The worker and its units of work, in one lane. Included by the protocols, which say what stands
 * in a unit's way (`judge`), what its commit writes (`take_effect`, `decide`) and what a look-up
 * finds (`IS_RECORDED`).
 *
 * A worker hears its answer in the step that makes it: a worker that dies, or loses the link, after
 * the commit and before the answer is the same as one that did so before the commit. */

inline conclude(who) {
    worker[who].todo = worker[who].todo & ~worker[who].unit;
    worker[who].ended = worker[who].ended | worker[who].unit;
    worker[who].unit = 0; worker[who].state = READY
}

/* What a worker does about an outcome. */
inline hear(outcome) {
    C.link = 0;
    if :: outcome == COMMITTED ->
#ifdef LEDGER_AFTER
          C.state = RECORDING   /* MUTANT: see direct.pml */
#else
          conclude(client)
#endif
       :: outcome == AGAIN -> C.state = RETRYING
       :: outcome > AGAIN && IS_BUNDLE(C.unit) -> C.is_single = true; C.unit = 0; C.state = READY
       :: outcome == DUPLICATE && !IS_BUNDLE(C.unit) -> conclude(client)
#ifndef GAP_IS_RETRIED          /* MUTANT */
       :: outcome == GAP && !IS_BUNDLE(C.unit) -> C.state = REBUILDING
#else
       :: outcome == GAP && !IS_BUNDLE(C.unit) -> C.state = RETRYING
#endif
       :: outcome == HALTED && !IS_BUNDLE(C.unit) -> C.state = HALTING
       :: outcome == FAILED && !IS_BUNDLE(C.unit) ->
#ifdef DECIDE_IN_REDIS_FIRST
          told = told | C.unit; settle(client, C.unit); /* MUTANT */
#endif
          C.state = DECIDING
    fi
}

inline clear_link(at) {
    link[at].phase = FREE; link[at].purpose = EXECUTE; link[at].unit = 0; link[at].client = 0
}
inline answer(me, outcome) {
    client = L.client; clear_link(me);
    if :: client != 0 -> hear(outcome) :: else fi
}

#ifdef CHARGE_UNLOCKED
#define LOCKS(me) (L.purpose != CHARGE) /* MUTANT */
#else
#define LOCKS(me) true
#endif
inline end_unit(me, outcome) {
    inside = inside - LOCKS(me);
    answer(me, outcome)
}

/* The server's side of a link. */
proctype Backend(byte me) {
    do
    /* Begin: the lane's lock, then the fence. */
    :: d_step { L.phase == SENT && !MUST_WAIT(me) ->
        verdict = AGAIN;
        if :: IS_LOCKED && LOCKS(me) :: else -> judge(L.unit, L.purpose) fi;
        if :: verdict == OPEN -> L.phase = OPEN; inside = inside + LOCKS(me);
              assert(inside <= 1 || units_of_work_overlap)
           :: else -> answer(me, verdict)
        fi }
    /* Commit. */
    :: d_step { L.phase == OPEN ->
        if :: L.purpose == EXECUTE -> take_effect(L.unit)
           :: else -> decide(L.unit, L.purpose)
        fi;
        verdict = (L.purpose == HALT -> HALTED : (L.purpose == CHARGE -> AGAIN : COMMITTED));
        end_unit(me, verdict) }
    /* The rest of it, or all of it, was lost with its client. */
    :: d_step { L.phase == OPEN && L.client == 0 -> end_unit(me, AGAIN) }
    :: d_step { L.phase == SENT && L.client == 0 -> clear_link(me) }
    /* A timeout, a terminated backend, … */
    :: d_step { L.phase == OPEN && L.client != 0 && faults > 0 ->
        faults--; end_unit(me, AGAIN) }
    /* The handler fails for good. */
    :: d_step { L.phase == OPEN && L.client != 0 && faults > 0 && L.purpose == EXECUTE ->
        faults--; end_unit(me, FAILED) }
    od
}

inline send(me, ops, kind) {
    W.link = (link[1].phase == FREE -> 1 : (link[2].phase == FREE -> 2 : 3));
    W.unit = ops; W.state = WAITING;
    link[W.link].phase = SENT; link[W.link].unit = W.unit; link[W.link].purpose = kind;
    link[W.link].client = me
}
inline execute(me, ops) {
#ifdef SETTLE_BEFORE_COMMIT
    settle(me, ops);            /* MUTANT */
#endif
    send(me, ops, EXECUTE)
}
inline hang_up(me) { link[W.link].client = 0; W.link = 0 } /* the transaction goes on without us */

inline forget(me) {
    W.state = IDLE; W.todo = 0; W.ended = 0; W.unit = 0; W.is_single = false
}

#define CAN_CLAIM (W.state == IDLE && redis.lane != 0 && redis.claim == 0 && \
    !redis.broken && !redis.halted)
#define CAN_EXECUTE ((W.state == READY || W.state == RETRYING) && W.todo != 0 && HAS_LINK)

proctype Worker(byte me) {
    do
    /* heddle_claim: up to two operations. Its reply may be lost. */
    :: d_step { CAN_CLAIM -> redis.claim = me; W.todo = FIRST_TWO(redis.lane); W.state = READY }
    :: d_step { CAN_CLAIM && faults > 0 -> faults--; redis.claim = UNHEARD }
#ifdef CAN_MISORDER
    :: d_step { CAN_CLAIM && CAN_MISORDER && faults > 0 ->  /* in the wrong order */
        faults--; redis.claim = me; W.todo = REST(redis.lane); W.state = READY }
#endif

    /* The next unit of work: one operation, or a bundle of two. */
    :: d_step { CAN_EXECUTE -> execute(me, LOWEST(W.todo)) }
#ifndef ENDS                    /* a bundle that meets any of them goes on one by one */
    :: d_step { CAN_EXECUTE && IS_BUNDLE(W.todo) && !W.is_single -> execute(me, W.todo) }
#endif

    /* A decision is a unit of work like any other. */
    :: d_step { W.state == DECIDING && HAS_LINK -> send(me, W.unit, BURY) }
#ifdef ENDS
    :: d_step { W.state == DECIDING && HAS_LINK && CAN_PARK(W.unit) ->
#ifdef PARK_IN_REDIS_FIRST
        settle(me, W.unit);     /* MUTANT */
#endif
        send(me, W.unit, PARK) }
    :: d_step { W.state == DECIDING && HAS_LINK && GOES_ON(W.unit) -> send(me, W.unit, HALT) }
    :: d_step { W.state == DECIDING && HAS_LINK && GOES_ON(W.unit) -> send(me, W.unit, CHARGE) }
#endif

    /* Link lost, during COMMIT or before: only the ledger can tell, under the lane's lock. */
    :: d_step { W.state == WAITING && faults > 0 -> faults--; hang_up(me); W.state = ASKING }
    :: d_step { W.state == ASKING && !IS_LOCKED ->
        if :: IS_RECORDED(W.unit) -> conclude(me)
           :: else -> W.unit = 0; W.state = READY
        fi }
#ifdef LEDGER_AFTER
    :: d_step { W.state == RECORDING -> ledger = ledger | W.unit; conclude(me) }
#endif

    /* heddle_settle: what has ended; the lane is kept or released. Its reply is lost: again. */
    :: d_step { W.state == READY && W.todo != 0 && W.ended != 0 ->
        settle(me, W.ended); W.ended = 0 }
    :: d_step { W.state == READY && W.ended != 0 && faults > 0 -> faults--; settle(me, W.ended) }
    :: d_step { (W.state == READY && W.todo == 0) || W.state >= RETRYING ->
        settle(me, W.ended);
        if :: IS_HOLDER(me) ->
              redis.broken = (W.state == REBUILDING); redis.halted = (W.state == HALTING);
              redis.claim = 0
           :: else
        fi;
        forget_claim(me, UNHEARD); forget(me) }

    /* Crash. A new process remembers nothing. */
    :: d_step { W.state != IDLE && faults > 0 ->
        faults--; hang_up(me); forget_claim(me, NOBODY); forget(me) }
    od
}
