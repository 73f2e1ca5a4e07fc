/* One class of a lane whose user may have several operations at once, by processors of which each has
 * its own mind of how many: units of work in Postgres, where Redis may have handed out anything to
 * anybody. With n = 1 a unit of work has the lane alone and moves its head, as in durable.pml. With
 * more it is one of a strand: it shares the lane, has its thread and one of n places alone, sees for
 * itself that nothing of its thread comes first, and leaves word (a head of zero) that nobody keeps the
 * head. Numbers stand for operations; one that was rolled back leaves a gap. */
#define NOBODY 9
#define BIT(x) (1 << ((x) - 1))
#define LOWEST(set) ((set) & -(set))
#define NUMBERS (OPERATIONS + FAULTS)
#define THREAD(x) (((x) - 1) % THREADS)
#define PLACE(x, n) (THREAD(x) % (n))
/* Every THREADSth number is of the same thread. */
#if THREADS == 1
#define ALL_OF_FIRST 255
#elif THREADS == 2
#define ALL_OF_FIRST 85
#else
#define ALL_OF_FIRST 73
#endif
#define OF_THREAD(x) (ALL_OF_FIRST << THREAD(x))

byte number;                    /* the global sequence */
byte entered, ended;            /* committed */
byte prev[NUMBERS + 1];
bool has_tail, has_head;        /* rows, as committed; tail_lock, head_lock: who has locked them */
byte tail, head, tail_lock, head_lock;
/* Advisory locks. */
byte alone, sharing;            /* the lane's: who has it alone, and how many share it */
byte threads, places;           /* that are taken */
byte setter;                    /* who sees to it that nobody keeps the head */
byte inside[4];                 /* units of work, by n */
byte faults = FAULTS;
hidden byte an_effect_happens_twice, an_effect_is_out_of_order, units_of_work_overlap,
    more_run_than_may, a_lane_is_stuck, it_gets_there;

#define UNFINISHED (entered & ~ended)
#define BEFORE(x) (UNFINISHED & (BIT(x) - 1))
#define BEHIND(x) (UNFINISHED & ~(BIT(x) | (BIT(x) - 1)))
/* What has to come first. */
#define FIRSTS(x, n) (BEFORE(x) & ((n) == 1 -> 255 : OF_THREAD(x)))

#ifdef LANE_NOT_SHARED
#define IS_SHARED 0             /* MUTANT */
#define IS_ALONE 0
#else
#define IS_SHARED sharing
#define IS_ALONE alone
#endif
#ifdef THREAD_NOT_TAKEN
#define IS_THREAD_TAKEN(x) false /* MUTANT: threads have places */
#else
#define IS_THREAD_TAKEN(x) ((threads & (1 << THREAD(x))) != 0)
#endif
#ifdef PLACE_NOT_TAKEN
#define IS_PLACE_TAKEN(x, n) false /* MUTANT */
#else
#define IS_PLACE_TAKEN(x, n) ((places & (1 << PLACE(x, n))) != 0)
#endif
#define MAY_ENTER(x, n) ((n) == 1 -> alone == 0 && IS_SHARED == 0 \
    : IS_ALONE == 0 && !IS_THREAD_TAKEN(x) && !IS_PLACE_TAKEN(x, n))

inline enter() {
    if :: n == 1 -> alone = me
       :: else -> sharing++;
          threads = threads | (1 << THREAD(unit)); places = places | (1 << PLACE(unit, n))
    fi;
    /* Two of one thread, or one that is alone and another. */
    assert(((running & OF_THREAD(unit)) == 0 && (n > 1 || running == 0) && inside[1] == 0) ||
           units_of_work_overlap);
    running = running | BIT(unit);
    inside[n]++;
    assert(inside[1] + inside[2] + inside[3] <=
           (inside[3] > 0 -> 3 : (inside[2] > 0 -> 2 : 1)) || more_run_than_may)
}
byte running;

/* Its locks end with the transaction. */
inline leave() {
    if :: n == 1 -> alone = 0
       :: else -> sharing--;
          threads = threads & ~(1 << THREAD(unit)); places = places & ~(1 << PLACE(unit, n))
    fi;
    head_lock = (head_lock == me -> 0 : head_lock);
    setter = (setter == me -> 0 : setter);
    running = running & ~BIT(unit); inside[n]--;
    unit = 0; n = 0; new_head = 0; writes_head = false
}

/* What Redis hands out: in its order or (a fault) not. */
#define IS_RIGHT(x, n) ((UNFINISHED & BIT(x)) != 0 && FIRSTS(x, n) == 0)
#define PICK(x, some) :: d_step { IS_RIGHT(x, some) -> unit = x; n = some } \
    :: d_step { (entered & BIT(x)) != 0 && !IS_RIGHT(x, some) && faults > 0 -> \
        faults--; unit = x; n = some }
#if THREADS > 2
#define PICKS(x) PICK(x, 1) PICK(x, 2) PICK(x, 3)
#else
#define PICKS(x) PICK(x, 1) PICK(x, 2)
#endif

/* heddle.enter, statement by statement, then the effects. */
proctype Worker(byte me) {
    byte unit = 0, n = 0, new_head = 0;
    bool writes_head = false;
start:
    if PICKS(1) PICKS(2) PICKS(3) PICKS(4) PICKS(5) fi;
    if                          /* its locks, not waiting for anybody */
    :: d_step { MAY_ENTER(unit, n) -> enter() }
    :: d_step { !MAY_ENTER(unit, n) -> unit = 0; n = 0 }; goto start
    fi;
    if                          /* the journal's row */
    :: d_step { (ended & BIT(unit)) != 0 -> leave() }; goto start
    :: (ended & BIT(unit)) == 0
    fi;
    if                          /* the head's row */
    :: n == 1 ->
        if
        :: d_step { head_lock == 0 && (prev[unit] == 0 -> !has_head : has_head && head == prev[unit]) ->
            head_lock = me; new_head = unit; writes_head = true }; goto apply
        :: head_lock == 0 && !(prev[unit] == 0 -> !has_head : has_head && head == prev[unit])
        fi
    :: n > 1 && (!has_head || head != 0) && setter == 0 ->
        if
        :: d_step { setter == 0 -> setter = me };
           d_step { head_lock == 0 -> head_lock = me; writes_head = true;
#ifdef STRANDS_MOVE_THE_HEAD
               new_head = unit  /* MUTANT */
#else
               new_head = 0
#endif
           }
        :: setter != 0
        fi
    :: n > 1 && (has_head && head == 0 || setter != 0)
    fi;
    if                          /* what comes first */
#ifdef HEAD_ALONE
    :: n == 1 -> assert(FIRSTS(unit, n) != 0 || a_lane_is_stuck); /* MUTANT */
       d_step { leave() }; goto start
#else
    :: d_step { n == 1 && FIRSTS(unit, n) == 0 && head_lock == 0 ->
        head_lock = me; writes_head = true;
        new_head = (BEHIND(unit) != 0 -> unit : tail) }
#endif
#ifdef THREAD_NOT_ASKED
    :: n > 1                    /* MUTANT */
#else
    :: n > 1 && FIRSTS(unit, n) == 0
#endif
#if !defined(HEAD_ALONE) || !defined(THREAD_NOT_ASKED)
    :: d_step { FIRSTS(unit, n) != 0 -> leave() }; goto start
#endif
    fi;
apply:
    if
    :: d_step {                 /* COMMIT */
        assert((ended & BIT(unit)) == 0 || an_effect_happens_twice);
        assert(FIRSTS(unit, n) == 0 || an_effect_is_out_of_order);
        ended = ended | BIT(unit);
        if :: writes_head -> has_head = true; head = new_head :: else fi;
        leave() }
    :: d_step { faults > 0 -> faults--; leave() }
    fi;
    goto start
}

/* The tail's row is locked until the end of the transaction. */
proctype Submitter() {
    byte submitted = 0;
    do
    :: submitted < OPERATIONS ->
        d_step { tail_lock == 0 ->
            tail_lock = 1; number++; prev[number] = (has_tail -> tail : 0) };
        if
        :: d_step { entered = entered | BIT(number); tail = number; has_tail = true; tail_lock = 0;
            submitted++ }
        :: d_step { faults > 0 -> faults--; tail_lock = 0 }
        fi
    :: else -> break
    od
}

/* heddle.forget_idle_lanes. What it finds when it has the rows' locks is the newest of these rows, but
 * whether anything was unfinished it saw before. A lane whose head has stayed behind is looked at now
 * and then. */
#ifdef NEVER_LOOKS
#define IS_LEFT (head == 0)     /* MUTANT */
#else
#define IS_LEFT true
#endif
#define IS_IDLE(is_all_ended) (has_tail && has_head && (head == tail || (IS_LEFT && (is_all_ended))))
proctype Forgetter() {
    bool has_locks = false;
    do
    :: IS_IDLE(UNFINISHED == 0) ->
        d_step {
            if :: tail_lock == 0 && head_lock == 0 && IS_IDLE(true) ->
                has_locks = true; tail_lock = NOBODY; head_lock = NOBODY
               :: else
            fi };
        d_step {
            if :: !has_locks
#ifdef FORGETS_UNSEEN
               :: has_locks ->  /* MUTANT */
#else
               :: has_locks && UNFINISHED != 0 -> tail_lock = 0; head_lock = 0
               :: has_locks && UNFINISHED == 0 ->
#endif
                has_tail = false; has_head = false; tail = 0; head = 0; tail_lock = 0; head_lock = 0
            fi;
            has_locks = false }
    od
}

/* When nothing moves any more. */
proctype End() {
    timeout -> assert((UNFINISHED == 0 && !has_tail && !has_head) || a_lane_is_stuck)
}

#ifdef WITNESS
proctype Witness() { (WITNESS) -> assert(false || it_gets_there) }
#endif

init {
    atomic {
#ifndef IS_LIVE
        run End();
#endif
        run Submitter(); run Forgetter();
        run Worker(1); run Worker(2);
#if WORKERS > 2
        run Worker(3);
#endif
#ifdef WITNESS
        run Witness();
#endif
    }
}
