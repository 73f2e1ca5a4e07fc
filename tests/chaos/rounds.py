"""A round: a world, a load, a fault injected again and again, and the verdict in the end."""
from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace

from checker import Effect, Verdict, judge, read_effects
from derived import start_ticking, stop_ticking
from faults import Fault, Injection
from generator import Generator, Load
from submissions import ACKNOWLEDGED, Submission
from world import World

RATE = 40                # operations a second
DRAIN_SECONDS = 45
GIVE_UP_SECONDS = 600


@dataclass
class Outcome:
    fault: str
    seed: str
    injected: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    recoveries: list[float] = field(default_factory=list)   # s, from the end of the fault
    since_fault: list[float] = field(default_factory=list)  # s, from its beginning
    problems: list[str] = field(default_factory=list)
    logs: str = ""
    target_s: float | None = None

    def findings(self) -> list[str]:
        return self.problems + self.verdict.findings()


def run_round(fault: Fault, seed: str, injections: int) -> Outcome:
    """Plays the round that belongs to the seed."""
    rng = random.Random(f"{seed}:{fault.name}")
    seconds = injections * (fault.gap_s + fault.lasts_s) + 2
    load = replace(fault.load, seconds=seconds, operations=max(int(RATE * seconds), 60))
    outcome = Outcome(fault.name, seed, target_s=fault.target_s)
    with World(fault.plan) as world:
        try:
            fault.set_up(world)
            world.start_processors()
            _play(world, fault, rng, injections, load, outcome)
        finally:
            fault.close()
    return outcome


def _play(world: World, fault: Fault, rng: random.Random, injections: int, load: Load,
          outcome: Outcome) -> None:
    generator = Generator(f"{outcome.seed}:{fault.name}", load, world.redis_connection,
                          world.postgres_connection)
    if fault.ticks:
        ticks_from = start_ticking(world.sql)
    generator.start()
    try:
        happened = _inject_all(world, fault, rng, injections, generator)
    except BaseException:
        generator.stop()
        raise
    finally:
        fault.heal(world)
    generator.join(load.seconds + GIVE_UP_SECONDS)
    outcome.injected = sum(injection.count for injection in happened)
    outcome.problems += fault.findings()
    ticks = stop_ticking(world.sql, ticks_from) if fault.ticks else []
    _judge(outcome, world, fault, generator.submissions, ticks, happened)


def _inject_all(world: World, fault: Fault, rng: random.Random, injections: int,
                generator: Generator) -> list[Injection]:
    happened: list[Injection] = []
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while len(happened) < injections and time.monotonic() < give_up:
        until = time.monotonic() + fault.gap_s * rng.uniform(0.4, 1.6)
        while (left := until - time.monotonic()) > 0:
            world.keep_alive()
            time.sleep(min(left, 0.05))
        happened.append(fault.inject(world, rng))
    generator.may_end()
    while generator.is_active() and time.monotonic() < give_up:
        world.keep_alive()
        time.sleep(0.05)
    return happened


def _judge(outcome: Outcome, world: World, fault: Fault, submissions: list[Submission],
           ticks: list[Submission], happened: list[Injection]) -> None:
    is_drained = world.wait_drained(DRAIN_SECONDS)
    if not is_drained:
        outcome.problems.append(f"not drained within {DRAIN_SECONDS} s; Redis has {world.queued()}:"
                                f" {world.cli('check').stdout}")
    effects = read_effects(world.sql)
    outcome.verdict = judge(submissions + ticks, effects, world.sql,
                            losses_of(happened) if fault.loses_redis else None, fault.has_time,
                            fault.plan.user_concurrency)
    if is_drained:
        outcome.problems += world.stop_processors()
    if fault.has_time:
        measure(outcome, happened, submissions, effects)
    outcome.problems += late(outcome.recoveries, fault.within_s)
    if outcome.findings():
        outcome.logs = world.logs()


def losses_of(happened: list[Injection]) -> list[tuple[float, float]]:
    return [(injection.at, injection.over_at) for injection in happened if injection.loses_redis]


def late(recoveries: list[float], within_s: float) -> list[str]:
    """Half of the lanes took too long, or one stood still. A machine that is busy otherwise may make
    some of them late; how many is in the figures."""
    found = [f"a lane took {seconds:.1f} s to go on" for seconds in recoveries if seconds > 3 * within_s + 3]
    if recoveries and statistics.median(recoveries) > within_s:
        found.append(f"half of the lanes took more than {within_s} s to go on")
    return found


def measure(outcome: Outcome, happened: list[Injection], submissions: list[Submission],
            effects: list[Effect]) -> None:
    """For each lane that had something to do when a fault struck: when did it go on? Where another
    fault strikes the lane before that, the wait is the other's."""
    done_at = {effect.id: effect.left for effect in effects}
    lefts = defaultdict(list)
    for effect in effects:
        lefts[effect.lane].append(effect.left)
    for number, injection in enumerate(happened):
        pending = {s.lane for s in submissions if s.told == ACKNOWLEDGED and s.sent_at < injection.at
                   and done_at.get(s.id, 0) > injection.at}
        for lane in pending if injection.lanes is None else pending & injection.lanes:
            first = min((left for left in lefts[lane] if left > injection.at), default=None)
            later = (other for other in happened[number + 1:] if other.lanes is None or lane in other.lanes)
            if first is None or first > next((other.at for other in later), float("inf")):
                continue
            outcome.since_fault.append(first - injection.at)
            outcome.recoveries.append(max(first - max(injection.over_at, injection.at), 0.0))
