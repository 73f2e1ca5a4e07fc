/* What holds for the whole fleet (slots of an op, a rate's burst) is divided among partitions, and
 * whoever balances moves shares: it asks all of them, lowers some, and once these have answered raises
 * others by what is free. Its round has a number; a partition listens to no older one than the newest
 * that has asked it. There may be several at once: a leader that was thought dead goes on. */
#define PARTITIONS 2

byte share[PARTITIONS];         /* how much may be in use here */
byte used[PARTITIONS];
byte epoch[PARTITIONS];         /* the newest round that has asked */
byte rounds;                    /* the sequence of rounds */
byte faults = FAULTS;
hidden byte the_limit_is_exceeded, it_gets_there;

#ifdef NO_EPOCH
#define IS_OVERTAKEN(p) false   /* MUTANT */
#else
#define IS_OVERTAKEN(p) (epoch[p] > mine)
#endif
#ifdef USE_IS_FORGOTTEN
#define TAKEN(p) seen[p]        /* MUTANT: what is in use beyond a share that was lowered */
#else
#define TAKEN(p) (seen[p] > seen_used[p] -> seen[p] : seen_used[p])
#endif

proctype Partition(byte p) {
    do
    :: d_step { used[p] < share[p] ->
        used[p]++;
        assert(used[0] + used[1] <= TOTAL || the_limit_is_exceeded) }
    :: d_step { used[p] > 0 -> used[p]-- }
    od
}

/* A call to a partition takes effect, or finds that it comes too late. */
inline look(p) { seen[p] = share[p]; seen_used[p] = used[p] }

proctype Balancer() {
    byte mine, p, left, seen[PARTITIONS], seen_used[PARTITIONS], wanted[PARTITIONS];
start:
    skip;
    d_step { rounds < ROUNDS -> rounds++; mine = rounds; p = 0 };
    do
    :: p < PARTITIONS && IS_OVERTAKEN(p) -> goto over
    :: d_step { p < PARTITIONS && !IS_OVERTAKEN(p) ->
#ifndef ASKS_WITHOUT_A_WORD     /* MUTANT: a partition hears of a round by its first change */
        epoch[p] = mine;
#endif
        look(p); p++ }
    :: p == PARTITIONS -> break
    :: d_step { faults > 0 -> faults-- }; goto over
    od;
    if                          /* by demand: any way may be right */
    :: d_step { wanted[0] = TOTAL; wanted[1] = 0 }
    :: d_step { wanted[0] = 0; wanted[1] = TOTAL }
    :: d_step { wanted[0] = TOTAL / 2; wanted[1] = TOTAL - TOTAL / 2 }
    fi;
#ifdef RAISES_FIRST
    goto raise;                 /* MUTANT */
#endif
    p = 0;
    do
    :: p < PARTITIONS && wanted[p] >= seen[p] -> p++
    :: p < PARTITIONS && wanted[p] < seen[p] && IS_OVERTAKEN(p) -> goto over
    :: d_step { p < PARTITIONS && wanted[p] < seen[p] && !IS_OVERTAKEN(p) ->
        epoch[p] = mine; share[p] = wanted[p]; look(p); p++ }
    :: p == PARTITIONS -> break
    :: d_step { faults > 0 -> faults-- }; goto over
    od;
raise:
    skip;
    d_step {
        p = 0;
#ifdef RAISES_FIRST
        left = TOTAL;
#else
        left = (TAKEN(0) + TAKEN(1) < TOTAL -> TOTAL - TAKEN(0) - TAKEN(1) : 0)
#endif
    };
    do
    :: p < PARTITIONS && wanted[p] <= seen[p] -> p++
    :: p < PARTITIONS && wanted[p] > seen[p] && IS_OVERTAKEN(p) -> goto over
    :: d_step { p < PARTITIONS && wanted[p] > seen[p] && !IS_OVERTAKEN(p) ->
        /* What is in use beyond the share is taken already. */
        if
        :: wanted[p] > TAKEN(p) + left -> wanted[p] = TAKEN(p) + left
        :: else
        fi;
        if
        :: wanted[p] > TAKEN(p) -> left = left - (wanted[p] - TAKEN(p))
        :: else
        fi;
        epoch[p] = mine; share[p] = wanted[p]; p++ }
    :: p == PARTITIONS -> break
    :: d_step { faults > 0 -> faults-- }; goto over
    od;
over:
    skip;
    d_step { mine = 0; p = 0; left = 0; seen[0] = 0; seen[1] = 0; seen_used[0] = 0; seen_used[1] = 0;
        wanted[0] = 0; wanted[1] = 0 };
    goto start
}

#ifdef WITNESS
proctype Witness() { (WITNESS) -> assert(false || it_gets_there) }
#endif

init {
    atomic {
#ifdef WITNESS
        run Witness();
#endif
        share[0] = TOTAL;
        run Partition(0); run Partition(1);
        run Balancer(); run Balancer()
    }
}
