"""Faults of several kinds in one round, in the order that the seed says; some at the same time."""
from __future__ import annotations

import random
import threading
from typing import ClassVar

from faults import Fault, Flush, FullMemory, Injection, PostgresRestart, RedisKill, Stop, Terminate, Vanish
from faults_network import Cut, CutRole, Delay, Failover, HalfClose, Hold
from faults_operator import Limit, Pause
from world import Plan, World


class Mixed(Fault):
    """Faults that let Redis keep its data: kills, stops, restarts, links."""
    name = "mixed"
    plan = Plan(wires=True, processors=3, patience_ms=1000)
    short, full, per_round, gap_s = 6, 400, 40, 0.6
    within_s = 8.0
    ticks = True
    kinds: ClassVar[tuple[type[Fault], ...]] = (
        Vanish, Stop, Terminate, PostgresRestart, RedisKill, FullMemory, Cut, CutRole, HalfClose, Hold, Delay,
        Pause, Limit)

    def __init__(self) -> None:
        self.parts = [kind() for kind in self.kinds]

    def set_up(self, world: World) -> None:
        for part in self.parts:
            part.set_up(world)

    def inject(self, world: World, rng: random.Random) -> Injection:
        first = rng.choice(self.parts)
        if rng.random() < 0.6:
            return first.inject(world, rng)
        # Processes and sessions may die while anything else happens; servers one at a time.
        second = rng.choice([part for part in self.parts if isinstance(part, (Vanish, Terminate, CutRole, Pause, Limit))])
        other = threading.Thread(target=self._try, args=(second, world, random.Random(rng.random())))
        other.start()
        injection = first.inject(world, rng)
        other.join()
        injection.count += 1
        return injection

    def heal(self, world: World) -> None:
        for part in self.parts:
            part.heal(world)

    def close(self) -> None:
        for part in self.parts:
            part.close()

    @staticmethod
    def _try(part: Fault, world: World, rng: random.Random) -> None:
        try:
            part.inject(world, rng)
        except Exception:
            # The server that it needs may be away just now.
            pass


class MixedLosses(Mixed):
    """The same, and Redis loses data: failovers, FLUSHALL."""
    name = "mixed-losses"
    loses_redis = True
    kinds = (Vanish, Stop, Terminate, PostgresRestart, Cut, CutRole, Hold, Flush, Failover, Pause, Limit)


ALL = (Mixed, MixedLosses)
