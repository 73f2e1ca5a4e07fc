"""What is checked, within which bounds, and how spin is run."""
import re
import resource
import shlex
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

FOLDER = Path(__file__).parent
DEPTH_MAX = 200_000
# By whether it is large.
SECONDS_MAX = {False: 300, True: 7200}
MEGABYTES_MAX = {False: 1_000, True: 8_000}


@dataclass(frozen=True)
class Run:
    says: str
    model: str
    bounds: str                 # -D for spin, without the -D
    breaks: str | None = None   # the promise that a mutant breaks; None: nothing may be found
    is_live: bool = False       # looks for cycles in which nothing ever ends, under weak fairness
    is_large: bool = False      # for the record, not in the default suite


@dataclass(frozen=True)
class Found:
    broken: str | None          # the assertion that failed, or what else was wrong
    states: int
    depth: int
    seconds: float              # of CPU, compiling included
    megabytes: int


def lane(operations: int, faults: int, failovers: int, workers: int = 2) -> str:
    return f"OPERATIONS={operations} FAULTS={faults} FAILOVERS={failovers} WORKERS={workers}"


def ends(operations: int, faults: int, failovers: int, workers: int = 2) -> str:
    return "ENDS " + lane(operations, faults, failovers, workers)


def submission(submissions: int, faults: int) -> str:
    return f"SUBMISSIONS={submissions} FAULTS={faults}"


def shares(total: int, rounds: int, faults: int) -> str:
    return f"TOTAL={total} ROUNDS={rounds} FAULTS={faults}"


def strands(operations: int, threads: int, faults: int, workers: int = 2) -> str:
    return f"OPERATIONS={operations} THREADS={threads} FAULTS={faults} WORKERS={workers}"


CYCLE = "non-progress cycle"

HOLD = [
    Run("three operations, a fault and a failover", "direct", lane(3, 1, 1)),
    Run("three operations and two faults", "direct", lane(3, 2, 0)),
    Run("two operations, two faults and a failover", "direct", lane(2, 2, 1)),
    Run("two operations, a fault and a failover", "durable", lane(2, 1, 1)),
    Run("two operations and a failover, by the head alone", "durable",
        "HEAD_ALONE " + lane(2, 0, 1)),
    Run("two operations and two faults", "durable", lane(2, 2, 0)),
    Run("three operations and a fault", "durable", lane(3, 1, 0)),
    Run("three operations and a failover", "durable", lane(3, 0, 1)),
    Run("all ends: two operations, a fault and a failover", "durable", ends(2, 1, 1)),
    Run("all ends: two operations and two faults", "durable", ends(2, 2, 0)),
    Run("all ends: three operations and a fault", "durable", ends(3, 1, 0)),
    Run("all ends: an operation and three faults", "durable", ends(1, 3, 0)),
    Run("all ends: an operation, two faults and a failover", "durable", ends(1, 2, 1)),
    Run("all ends: a direct operation, then a durable one, a fault and a failover", "durable",
        "DIRECT=1 " + ends(2, 1, 1)),
    Run("all ends: a durable operation, then a direct one, a fault and a failover", "durable",
        "DIRECT=2 " + ends(2, 1, 1)),
    Run("all ends: two direct operations, a fault and a failover", "durable",
        "DIRECT=3 " + ends(2, 1, 1)),
    Run("all ends: the operator looks at Redis, nobody compares halts, and nothing is lost",
        "durable", "HALTS_NOT_COMPARED SLOW_OPERATOR " + ends(2, 1, 0)),
    Run("two submitters of two operations and two faults", "submission", submission(2, 2)),
    Run("two balancers, three rounds and a fault", "shares", shares(2, 3, 1)),
    Run("four operations of two threads and a fault", "strands", strands(4, 2, 1)),
    Run("three operations of two threads and two faults", "strands", strands(3, 2, 2)),
    Run("three workers and three threads", "strands", strands(3, 3, 0, 3)),
]

END = [
    Run("two operations and a fault", "direct", lane(2, 1, 0), is_live=True),
    Run("an operation, a fault and a failover", "direct", lane(1, 1, 1), is_live=True),
    Run("two operations and a fault", "durable", lane(2, 1, 0), is_live=True),
    Run("two operations and a failover", "durable", lane(2, 0, 1), is_live=True),
    Run("all ends: two operations and a fault", "durable", ends(2, 1, 0), is_live=True),
    Run("all ends: an operation, a fault and a failover", "durable", ends(1, 1, 1), is_live=True),
    Run("all ends: a durable operation, then a direct one, a fault", "durable",
        "DIRECT=2 " + ends(2, 1, 0), is_live=True),
    Run("two submitters of an operation and a fault", "submission", submission(1, 1), is_live=True),
    Run("three operations of two threads", "strands", strands(3, 2, 0), is_live=True),
]

LARGE = [replace(run, is_large=True) for run in (
    Run("three operations, two faults and a failover", "direct", lane(3, 2, 1)),
    Run("three operations, a fault and two failovers", "direct", lane(3, 1, 2)),
    Run("four operations, a fault and a failover", "direct", lane(4, 1, 1)),
    Run("three workers, three operations, a fault and a failover", "direct", lane(3, 1, 1, 3)),
    Run("two operations, a fault and two failovers", "durable", lane(2, 1, 2)),
    Run("two operations, three faults", "durable", lane(2, 3, 0)),
    Run("three workers, two operations, a fault and a failover", "durable", lane(2, 1, 1, 3)),
    Run("two operations, a fault and a failover, by the head alone", "durable",
        "HEAD_ALONE " + lane(2, 1, 1)),
    Run("all ends: two operations, two faults and a failover", "durable", ends(2, 2, 1)),
    Run("all ends: a direct operation, then a durable one, and two faults", "durable",
        "DIRECT=1 " + ends(2, 2, 0)),
    Run("all ends: two operations, three faults", "durable", ends(2, 3, 0)),
    Run("all ends: an operation, three faults and a failover", "durable", ends(1, 3, 1)),
    Run("all ends: a direct operation, then two durable ones, a fault and a failover", "durable",
        "DIRECT=1 " + ends(3, 1, 1)),
    Run("all ends: three workers, two operations, a fault and a failover", "durable",
        ends(2, 1, 1, 3)),
    Run("two submitters of three operations and two faults", "submission", submission(3, 2)),
    Run("two balancers of three, four rounds and two faults", "shares", shares(3, 4, 2)),
    Run("three workers, four operations of three threads and a fault", "strands", strands(4, 3, 1, 3)),
    Run("two operations, a fault and a failover", "direct", lane(2, 1, 1), is_live=True),
    Run("two operations, a fault and a failover", "durable", lane(2, 1, 1), is_live=True),
    Run("all ends: two operations, a fault and a failover", "durable", ends(2, 1, 1), is_live=True),
    Run("all ends: an operation and two faults", "durable", ends(1, 2, 0), is_live=True),
    Run("two submitters of two operations, a fault", "submission", submission(2, 1), is_live=True),
)]

MUTANTS = [
    Run("the ledger's row comes after the effects, in another transaction", "direct",
        "LEDGER_AFTER " + lane(1, 1, 0), "an_effect_happens_twice"),
    Run("a duplicate does not fail the pipelined transaction", "direct",
        "SOFT_DUPLICATE " + lane(1, 1, 0), "an_effect_happens_twice"),
    Run("a settlement is by count instead of by id", "direct",
        "SETTLE_BY_COUNT " + lane(2, 2, 0), "an_operation_is_lost"),
    Run("a claim token is used again", "direct",
        "REUSED_TOKEN " + lane(1, 1, 0), "a_lane_is_freed_by_a_stranger"),
    Run("no unit of work takes the lane's lock", "direct",
        "NO_LANE_LOCK " + lane(2, 0, 1), "units_of_work_overlap"),
    Run("an operation is settled before its commit", "direct",
        "SETTLE_BEFORE_COMMIT " + lane(1, 1, 0), "an_operation_is_lost"),
    Run("a dead letter is written to Redis before the ledger", "direct",
        "DECIDE_IN_REDIS_FIRST " + lane(1, 2, 0), "an_effect_follows_a_told_end"),
    Run("a living processor keeps claims that it does not know of", "direct",
        "FORGOTTEN_CLAIM " + lane(1, 0, 1), "a_lane_is_stuck"),
    Run("the ledger is keyed by id alone", "durable",
        "ID_ONLY " + lane(2, 0, 1), "an_effect_is_out_of_order"),
    Run("a lane's numbers restart at one", "durable",
        "HEAD_ALONE RESTART_AT_ONE " + lane(2, 1, 0), "an_effect_happens_twice"),
    Run("a new lane's first operation follows zero, and the row is not asked", "durable",
        "HEAD_ALONE FIRST_FOLLOWS_ZERO " + lane(2, 1, 0), "an_effect_happens_twice"),
    Run("nobody compares Redis with the journal", "durable",
        "NO_RECONCILER " + lane(1, 0, 1), "an_operation_is_lost"),
    Run("no unit of work takes the lane's lock", "durable",
        "NO_LANE_LOCK " + lane(1, 1, 0), "units_of_work_overlap"),
    Run("a dead letter is written to Redis before the ledger", "durable",
        "DECIDE_IN_REDIS_FIRST " + lane(1, 2, 0), "an_effect_follows_a_told_end"),
    Run("a gap is tried again instead of rebuilt", "durable",
        "GAP_IS_RETRIED " + lane(2, 0, 1), CYCLE, is_live=True),
    Run("a direct operation is parked in Redis before the ledger", "durable",
        "PARK_IN_REDIS_FIRST DIRECT=1 " + ends(1, 2, 0), "an_operation_is_lost"),
    Run("an operation that is parked keeps its place", "durable",
        "PARKED_KEEPS_PLACE " + ends(2, 1, 0), CYCLE, is_live=True),
    Run("an operation comes back from parking without a new place", "durable",
        "UNPARKED_KEEPS_PLACE " + ends(2, 1, 0), CYCLE, is_live=True),
    Run("a cancellation does not take the operation's row lock", "durable",
        "CANCEL_UNLOCKED " + ends(1, 1, 0), "an_effect_follows_a_told_end"),
    Run("a cancellation of a direct operation does not wait for its row", "durable",
        "CANCEL_UNLOCKED DIRECT=1 " + ends(1, 1, 0), "an_effect_follows_a_told_end"),
    Run("a cancelled operation gives its place up", "durable",
        "CANCELLED_LEAVES " + ends(2, 1, 0), CYCLE, is_live=True),
    Run("a failed attempt is charged without the lane's lock", "durable",
        "CHARGE_UNLOCKED " + ends(1, 2, 0), "a_decision_is_undone"),
    Run("a late decision is made over a halt", "durable",
        "DECIDED_OVER_HALT " + ends(1, 3, 0), "a_halted_lane_goes_on"),
    Run("nobody compares Redis' halted lanes with the ledger; operators are fast", "durable",
        "HALTS_NOT_COMPARED " + ends(1, 1, 0), "a_lane_is_stuck"),
    Run("nobody compares Redis' halted lanes with the ledger; Redis fails over", "durable",
        "HALTS_NOT_COMPARED SLOW_OPERATOR " + ends(1, 1, 1), "a_lane_is_stuck"),
    Run("nor does Redis look again at a lane that the relay speaks of", "durable",
        "LOOK_FORGOTTEN HALTS_NOT_COMPARED SLOW_OPERATOR " + ends(1, 1, 0), "a_lane_is_stuck"),
    Run("nor does the operator's retry go through the outbox", "durable",
        "NO_NUDGE HALTS_NOT_COMPARED SLOW_OPERATOR " + ends(1, 1, 0), "a_lane_is_stuck"),
    Run("nobody brings back a direct operation that was tried and that Redis has lost", "durable",
        "NOT_READMITTED DIRECT=1 " + ends(1, 1, 1), "an_operation_is_lost"),
    Run("the relay falls asleep between a submitter's look and its commit", "submission",
        "ASLEEP_IS_A_FLAG " + submission(1, 0), "a_wake_up_is_lost"),
    Run("the relay does not scan once more before it sleeps", "submission",
        "NO_LAST_SCAN " + submission(1, 0), "a_wake_up_is_lost"),
    Run("a number is taken without the lock of the lane's tail", "submission",
        "NO_TAIL_LOCK " + submission(1, 0), "the_lane_is_out_of_order"),
    Run("a partition listens to a round that is not the newest", "shares",
        "NO_EPOCH " + shares(2, 2, 0), "the_limit_is_exceeded"),
    Run("a partition hears of a round by its first change", "shares",
        "ASKS_WITHOUT_A_WORD " + shares(2, 2, 0), "the_limit_is_exceeded"),
    Run("shares are raised before others are lowered", "shares",
        "RAISES_FIRST " + shares(2, 1, 0), "the_limit_is_exceeded"),
    Run("what is in use beyond a lowered share counts as free", "shares",
        "USE_IS_FORGOTTEN " + shares(2, 2, 0), "the_limit_is_exceeded"),
    Run("a strand does not share the lane", "strands", "LANE_NOT_SHARED " + strands(2, 2, 0),
        "units_of_work_overlap"),
    Run("a strand has its place and not its thread", "strands",
        "THREAD_NOT_TAKEN " + strands(4, 3, 1, 3), "units_of_work_overlap"),
    Run("a strand has no place", "strands", "PLACE_NOT_TAKEN " + strands(3, 3, 0, 3),
        "more_run_than_may"),
    Run("a strand does not ask what comes first", "strands", "THREAD_NOT_ASKED " + strands(2, 1, 1),
        "an_effect_is_out_of_order"),
    Run("strands move the head", "strands", "STRANDS_MOVE_THE_HEAD " + strands(3, 2, 1),
        "an_effect_is_out_of_order"),
    Run("who has the lane alone believes the head that strands have left", "strands",
        "HEAD_ALONE " + strands(2, 2, 0), "a_lane_is_stuck"),
    Run("lanes are forgotten by what was seen before they were locked", "strands",
        "FORGETS_UNSEEN " + strands(3, 2, 1), "a_lane_is_stuck"),
    Run("nobody looks at lanes whose head has stayed behind", "strands",
        "NEVER_LOOKS " + strands(3, 2, 1), "a_lane_is_stuck"),
]


def witness(says: str, model: str, bounds: str, condition: str) -> Run:
    return Run(says, model, f"WITNESS=({condition}) {bounds}", "it_gets_there")


# A model in which nothing can happen has no error either.
WITNESSES = [
    witness("a zombie and the holder of its lane are at work at once", "direct", lane(1, 1, 0),
            "worker[1].state==WAITING&&worker[2].state==WAITING&&redis.claim==2"),
    witness("a bundle is open in Postgres", "direct", lane(2, 0, 0),
            "link[1].phase==OPEN&&IS_BUNDLE(link[1].unit)"),
    witness("what Redis lost takes effect late", "direct", lane(1, 0, 1), "(effects&lost)!=0"),
    witness("a repeated submission queues an operation that has ended", "direct", lane(1, 1, 0),
            "(redis.lane&ledger)!=0&&redis.claim==0&&worker[1].state==IDLE&&worker[2].state==IDLE"),
    witness("a lane waits for a rebuild", "durable", lane(2, 0, 1), "redis.broken"),
    witness("a zombie's transaction arrives after its lane's rows went", "durable", lane(2, 1, 0),
            "(link[1].unit&ended)!=0&&link[1].phase==SENT&&entered==2&&!has_rows"),
    witness("an operation that was parked takes effect after one that came later", "durable",
            ends(2, 1, 0), "ended==7&&twins==5&&dead==0&&seq[2]<seq[3]"),
    witness("an operation that was parked when Redis failed over takes effect", "durable",
            ends(1, 1, 1), "(was_away&twins)!=0&&ended==ENTERED&&dead==0"),
    witness("Redis has what is parked, in its old place, after a failover", "durable",
            ends(2, 1, 1), "parked!=0&&(redis.lane&parked)!=0&&was_away!=0"),
    witness("a direct operation comes back from parking and takes effect", "durable",
            "DIRECT=1 " + ends(1, 1, 0), "twins!=0&&ended==ENTERED&&dead==0"),
    witness("a lane passes over a cancelled operation", "durable", ends(2, 1, 0),
            "(cancelled&dead&1)!=0&&(ended&~dead&2)!=0"),
    witness("a parked operation is cancelled and ends when it is back", "durable", ends(1, 2, 0),
            "(cancelled&dead)==0&&cancelled!=0&&twins!=0&&(dead&REST(twins))!=0"),
    witness("a halted lane goes on, and what halted it takes effect", "durable", ends(2, 1, 0),
            "(was_retried&ended&~dead)!=0&&(ended&2)!=0"),
    witness("a lane is halted in Redis, its operator has decided, and nobody tells", "durable",
            ends(1, 1, 0), "redis.halted&&halted==0&&outbox==0&&redis.claim==0"),
    witness("a late charge meets a halt", "durable", ends(1, 3, 0),
            "link[1].phase==SENT&&link[1].purpose==CHARGE&&(halted&link[1].unit)!=0"),
    witness("a direct operation overtakes a durable one that Redis has lost", "durable",
            "DIRECT=2 " + ends(2, 0, 1), "(ended&2)!=0&&(ended&1)==0"),
    witness("the relay sleeps while a submitter has not committed", "submission", submission(1, 0),
            "is_asleep&&tail_lock!=0"),
    witness("two threads at once, out of the order of their numbers", "strands", strands(2, 2, 0),
            "running==1&&ended==2"),
    witness("three threads at once", "strands", strands(3, 3, 0, 3), "inside[3]==3"),
    witness("a lane is forgotten, and there is more", "strands", strands(2, 2, 0),
            "ended==1&&!has_tail&&!has_head"),
    witness("all of a limit has gone to another partition", "shares", shares(2, 1, 0), "used[1]==TOTAL"),
]

ALL = HOLD + END + MUTANTS + WITNESSES + LARGE


def check(run: Run) -> Found:
    """Runs spin; raises where it could not do all of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory(prefix="heddle-model-") as folder:
        # spin hands these to a shell.
        defines = [f"-D{shlex.quote(word)}" for word in run.bounds.split()]
        if run.is_live:
            defines.append("-DIS_LIVE")
        _call(folder, run, "spin", "-a", *defines, str(FOLDER / f"{run.model}.pml"))
        kind = ["-DNP", "-DNFAIR=4"] if run.is_live else ["-DSAFETY", "-DNOFAIR"]
        # What the compiler would take longer for than the check.
        optimize = "-O2" if run.is_large else "-O0" if run.breaks or run.is_live else "-O1"
        limit = f"-DMEMLIM={MEGABYTES_MAX[run.is_large]}"
        _call(folder, run, "gcc", optimize, "-w", "-DCOLLAPSE", limit, *kind, "-o", "pan", "pan.c")
        flags = ["-l", "-f"] if run.is_live else []
        # Of the table of states, which is cleared first.
        size = 24 if run.is_large else 18 if run.breaks or run.is_live else 21
        output = _call(folder, run, "./pan", "-E", f"-m{DEPTH_MAX}", f"-w{size}", *flags)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Found(
        broken=_broken(run, output),
        states=int(float(_number(r"^\s*(\S+) states, stored", output))),
        depth=int(_number(r"depth reached (\d+)", output)),
        seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        megabytes=int(float(_number(r"^\s*(\S+)\s+total actual memory usage", output))))


def _call(folder: str, run: Run, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=SECONDS_MAX[run.is_large])
    if done.returncode != 0 or "Error:" in done.stdout:
        raise RuntimeError(f"{command[0]} failed for {run.model}, {run.bounds}"
                           f" (status {done.returncode}):\n{done.stdout}")
    return done.stdout


def _broken(run: Run, output: str) -> str | None:
    failed = re.search(r"^pan:\d+: (.*?) \(at depth", output, re.M)
    if failed:
        named = re.search(r"\|\|(\w+)\)?$", failed.group(1))
        return named.group(1) if named else failed.group(1)
    if "errors: 0" not in output or re.search(r"too small|out of memory|not completed", output):
        raise RuntimeError(f"{run.model}, {run.bounds}: not all was searched:\n{output}")
    return None


def _number(pattern: str, output: str) -> str:
    return re.search(pattern, output, re.M).group(1)
