/* Durable submission inside an application's transaction, and the relay's sleep. Nothing polls.
 *
 * A sleeping relay holds the lock "asleep" exclusively. A submitter tries it shared, until its
 * transaction ends: obtained means that the relay is awake and stays so until after the commit,
 * refused means NOTIFY with the commit. */
#define BIT(x) (1 << ((x) - 1))
#define NUMBERS (2 * SUBMISSIONS + FAULTS)

byte tail_lock;                 /* of the lane's tail: the submitter that holds it */
byte number;                    /* the global sequence; a rollback leaves a gap */
byte tail;                      /* as committed */
byte prev[NUMBERS + 1];         /* the number before it, by number */
byte outbox;                    /* committed and not relayed, by number */
byte relayed;                   /* the number that went last */
bool is_asleep;                 /* the lock, exclusively */
byte awake_holders;             /* the lock, shared */
bool is_notified;               /* the relay's session has something to read */
byte faults = FAULTS;
hidden byte the_lane_is_out_of_order, a_wake_up_is_lost, it_gets_there, next;

#ifdef NO_TAIL_LOCK
#define MAY_TAKE_NUMBER true    /* MUTANT */
#else
#define MAY_TAKE_NUMBER (tail_lock == 0)
#endif
#ifdef ASLEEP_IS_A_FLAG
#define MAY_SLEEP true          /* MUTANT: read by submitters, not held */
#else
#define MAY_SLEEP (awake_holders == 0)
#endif

inline unlock(me) {
    tail_lock = (tail_lock == me -> 0 : tail_lock);
    awake_holders = awake_holders - holds_awake
}

proctype Submitter(byte me) {
    byte submitted = 0, mine = 0;
    bool holds_awake = false;
    do
    :: submitted < SUBMISSIONS ->
        d_step { MAY_TAKE_NUMBER ->
            tail_lock = me; number++; mine = number; prev[mine] = tail };
        if
        :: d_step { !is_asleep -> awake_holders++; holds_awake = true }
        :: is_asleep
        fi;
        if
        :: d_step { outbox = outbox | BIT(mine); tail = mine };     /* commit: all see it, */
           d_step { unlock(me); submitted++ };                      /* then its locks end, */
           d_step { is_notified = is_notified || !holds_awake }     /* then NOTIFY is heard */
        :: d_step { faults > 0 -> faults--; unlock(me) }            /* rollback */
        fi;
        d_step { holds_awake = false; mine = 0 }
    :: else -> break
    od
}

#define CRASH d_step { faults > 0 -> faults--; is_asleep = false }; goto start

proctype Relay() {
start:
    is_notified = false;        /* a new session: listens, then scans */
scan:
    do
    :: d_step { outbox != 0 ->
        next = 1; do :: (outbox & BIT(next)) == 0 -> next++ :: else -> break od;
        assert(prev[next] == relayed || the_lane_is_out_of_order);
        relayed = next; outbox = outbox & ~BIT(next) }
    :: outbox == 0 -> break
    :: CRASH
    od;
    if
    :: d_step { MAY_SLEEP -> is_asleep = true }
    :: !MAY_SLEEP -> goto scan
    :: CRASH
    fi;
    if
#ifndef NO_LAST_SCAN            /* MUTANT */
    :: d_step { outbox != 0 -> is_asleep = false }; goto scan
    :: outbox == 0
#else
    :: skip
#endif
    :: CRASH
    fi;
    if
    :: d_step { is_notified -> is_notified = false; is_asleep = false }; goto scan
    :: CRASH
    fi
}

/* When nothing moves any more. */
proctype End() { timeout -> assert(outbox == 0 || a_wake_up_is_lost) }

#ifdef WITNESS
/* Shows that the model gets somewhere: the check looks for this to fail. */
proctype Witness() { (WITNESS) -> assert(false || it_gets_there) }
#endif

init {
    atomic {
#ifndef IS_LIVE
        run End();
#endif
        run Relay();
        run Submitter(1); run Submitter(2);
#ifdef WITNESS
        run Witness();
#endif
    }
}
