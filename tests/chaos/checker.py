"""Judges a round by what was told, what took effect, what the ledger says and what Redis still has.

    acknowledged   exactly once
    refused        never
    merged         never itself, but for what the one does that has its unique key: see derived.py
    unknown        at most once; for a durable one: as often as the journal has it
    in a lane      in the order of submission, class by class; one at a time, or so many at once as
                   user_concurrency says, in the order of each thread
    all of them    ended in the ledger; or direct, lost by a Redis that lost data, and never repeated
"""
from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from derived import judge_batches, judge_unique, with_derived
from submissions import ACKNOWLEDGED, MERGED, REFUSED, Submission

SHOWN_MAX = 10
ENDED = ("done", "failed")


@dataclass
class Effect:
    place: int
    lane: str
    id: str
    n: int
    attempt: int
    pid: int
    entered: float
    left: float
    tx: int


@dataclass
class Verdict:
    operations: int = 0
    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0
    forgiven: int = 0      # direct ones that a Redis took along that lost its data
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def findings(self) -> list[str]:
        return [f"{name}: {text}" for name in ("lost", "repeated", "disordered", "others")
                for text in getattr(self, name)]

    def report(self) -> str:
        found = self.findings()
        more = [f"… and {len(found) - SHOWN_MAX} more"] if len(found) > SHOWN_MAX else []
        return "\n".join(found[:SHOWN_MAX] + more)


def read_effects(sql) -> list[Effect]:
    rows = sql("select place, lane, id::text, n, attempt, pid, extract(epoch from entered)::float8,"
               " extract(epoch from coalesce(left_at, entered))::float8, tx from chaos.effects order by place")
    return [Effect(*row) for row in rows]


Losses = list[tuple[float, float]]


def judge(submissions: list[Submission], effects: list[Effect], sql, losses: Losses | None = None,
          has_time: bool = True, at_once: int = 1) -> Verdict:
    """`losses`: from when to when Redis lost data, each time; None where it never does."""
    redis_lost_data = losses is not None
    times = Counter(effect.id for effect in effects)
    ledger = {id: (state, seq, finished_at) for id, state, seq, finished_at in sql(
        "select id::text, state::text, seq, extract(epoch from finished_at)::float8 from heddle.operations")}
    submissions = with_derived(submissions, times, sql)
    told = Counter(submission.told for submission in submissions)
    verdict = Verdict(len(submissions), told[ACKNOWLEDGED] + told[MERGED], told[REFUSED])
    verdict.unknown = len(submissions) - verdict.acknowledged - verdict.refused
    verdict.others += judge_unique(submissions, effects, ledger, redis_lost_data, has_time)
    verdict.others += judge_batches(submissions, effects, redis_lost_data)
    known = {submission.id for submission in submissions}
    for submission in submissions:
        _judge_one(verdict, submission, times[submission.id], ledger, redis_lost_data)
    for stranger in (set(times) | set(ledger)) - known:
        verdict.others.append(f"nobody submitted {stranger}")
    _judge_counters(verdict, effects, sql)
    by_id = {submission.id: submission for submission in submissions}
    lanes = defaultdict(list)
    for effect in effects:
        lanes[effect.lane].append(effect)
    for lane, ran in lanes.items():
        _judge_order(verdict, lane, ran, by_id, ledger, losses or [], at_once > 1)
        if has_time:
            _judge_overlap(verdict, lane, ran, by_id, at_once)
    _judge_left_overs(verdict, sql)
    return verdict


def _judge_one(verdict: Verdict, submission: Submission, times: int, ledger: dict,
               redis_lost_data: bool) -> None:
    state, seq, _ = ledger.get(submission.id, (None, None, None))
    wanted = 1 if submission.has_effect else 0
    if times > 1:
        verdict.repeated.append(f"{submission}: {times} times")
    elif submission.told in (REFUSED, MERGED):
        if times or state:
            verdict.others.append(f"{submission}: took effect {times} times, is {state}")
    elif state is None:
        if times:
            verdict.others.append(f"{submission}: took effect, the ledger does not know it")
        elif submission.told != ACKNOWLEDGED:
            pass
        elif redis_lost_data and not submission.is_durable:
            verdict.forgiven += 1
        else:
            verdict.lost.append(f"{submission}: the ledger does not know it")
    elif state == "cancelled" and submission.replaces:
        if times:
            verdict.others.append(f"{submission}: cancelled, and took effect")
    elif state not in ENDED:
        verdict.lost.append(f"{submission}: is {state}")
    elif (state == "done") != bool(wanted) or times != wanted:
        verdict.others.append(f"{submission}: is {state}, took effect {times} times, not {wanted}")
    elif (seq is not None) != submission.is_durable:
        verdict.others.append(f"{submission}: its number is {seq}")


def _judge_counters(verdict: Verdict, effects: list[Effect], sql) -> None:
    counted = Counter(effect.lane for effect in effects)
    for lane, count in sql("select lane, count from chaos.counters"):
        if counted.pop(lane, 0) != count:
            verdict.others.append(f"lane {lane}: its counter says {count}")
    for lane in counted:
        verdict.others.append(f"lane {lane}: has no counter")


def _judge_order(verdict: Verdict, lane: str, ran: list[Effect], by_id: dict[str, Submission],
                 ledger: dict, losses: Losses, by_thread: bool) -> None:
    """Durable operations of a class keep their order, direct ones theirs: but for those that Redis
    lost and a processor had in hand, which may be late. A delayed one has its place, and its number,
    from when it is due."""
    classes = defaultdict(list)
    for effect in ran:
        if effect.id in by_id:
            submission = by_id[effect.id]
            classes[submission.is_durable, submission.priority, by_thread and submission.thread].append(submission)
    for (is_durable, priority, _), submissions in classes.items():
        _judge_lane(verdict, [s for s in submissions if s.delay_ms is None], [] if is_durable else losses)
        numbers = [ledger[s.id][1] for s in submissions if s.id in ledger and ledger[s.id][1] is not None]
        if numbers != sorted(numbers):
            verdict.disordered.append(f"lane {lane}, {priority}: journal numbers {numbers}")


def _judge_overlap(verdict: Verdict, lane: str, ran: list[Effect], by_id: dict[str, Submission],
                   at_once: int) -> None:
    under_way: list[Effect] = []
    for effect in sorted(ran, key=lambda effect: effect.entered):
        under_way = [other for other in under_way if effect.entered < other.left and effect.tx != other.tx]
        for other in under_way:
            if len(under_way) >= at_once or _thread_of(effect, by_id) == _thread_of(other, by_id):
                verdict.others.append(f"lane {lane}: {other.id} and {effect.id} overlap")
        under_way.append(effect)


def _thread_of(effect: Effect, by_id: dict[str, Submission]) -> str:
    return by_id[effect.id].thread if effect.id in by_id else ""


def _judge_lane(verdict: Verdict, ran: list[Submission], losses: Losses) -> None:
    """Nothing may run after something that was submitted when it had been acknowledged already."""
    for place, first in enumerate(ran):
        late = next((s for s in ran[place + 1:] if s.told_at < first.sent_at and not any(
            s.told_at <= over_at and first.told_at >= at for at, over_at in losses)), None)
        if late:
            verdict.disordered.append(f"{late} ran after {first}")


def _judge_left_overs(verdict: Verdict, sql) -> None:
    for what, query in {
        "rows of the outbox": "select count(*) from heddle.outbox",
        "tails of idle lanes": "select count(*) from heddle.lane_tails",
        "heads of idle lanes": "select count(*) from heddle.lane_heads",
        "running rows": "select count(*) from heddle.operations where finished_at is null",
    }.items():
        left = sql(query)[0][0]
        if left:
            verdict.others.append(f"left behind: {left} {what}")
