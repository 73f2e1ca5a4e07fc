"""SIGKILL at every named point of the engine: `fault_point("NAME")` in its source."""
from __future__ import annotations

import random
import re
import time
from pathlib import Path

from harness import Processor

from faults import Fault, Injection
from generator import Load
from world import Plan, World

ENGINE = Path(__file__).resolve().parents[2] / "src" / "engine"
POINTS = sorted({name for path in ENGINE.glob("*.c")
                 for name in re.findall(r'\bfault_point\("(\w+)"\)', path.read_text())})
PASSES_MAX = 4
WAIT_SECONDS = 2
TRIES_MAX = 6
# Where one comes by only after another has died: at these, so that there is something to look up.
BEFORE = {"recalled": "effects_ended"}


class Point(Fault):
    """SIGKILL at each named point of runner, settler, relay, fetcher, beat in turn."""
    name = "points"
    load = Load(refuse=0.2, again=0.3)
    plan = Plan(user_idle_ms=300)
    short, full, per_round, gap_s = len(POINTS), 40 * len(POINTS), 2 * len(POINTS), 0.05
    lasts_s = 0.7
    within_s = 8.0  # a lane may meet several that die, and not every death is noted

    def set_up(self, world: World) -> None:
        self.turn = 0
        self.tries = self.started = 0
        self.unreached: list[str] = []
        self.rng = random.Random(len(POINTS))

    def inject(self, world: World, rng: random.Random) -> Injection:
        """Waits until a processor dies at the point whose turn it is."""
        self.tries, count, lanes = 0, 0, set()
        world.environment_of_next = self._next
        at = patience_from = time.time()
        if not any(_point_of(p) == self._point() for p in world.processors):
            lanes |= self._replace_oldest(world)
        while self.tries <= TRIES_MAX:
            for processor in [p for p in world.processors if p.process.poll() is not None]:
                at, count = time.time(), count + 1
                lanes |= world.held_lanes(processor)
                if _point_of(processor) == self._point():
                    self.turn += 1
                    world.keep_alive()
                    return Injection(at, at, lanes, count)
                world.keep_alive()
            if time.time() > patience_from + WAIT_SECONDS:
                # Perhaps only the leader comes by it, and another processor leads.
                self.tries, patience_from = self.tries + 1, time.time()
                lanes |= self._replace_oldest(world)
            time.sleep(0.01)
        self.unreached.append(self._point())
        self.turn += 1
        return Injection(at, at, lanes, count)

    def heal(self, world: World) -> None:
        """From here on processors live; those with a point ahead are replaced."""
        world.environment_of_next = dict
        for processor in world.alive():
            processor.kill()
        world.keep_alive()

    def findings(self) -> list[str]:
        return [f"no processor came by the point {point}" for point in self.unreached]

    def _point(self) -> str:
        return POINTS[self.turn % len(POINTS)]

    def _next(self) -> dict[str, str]:
        passes = 1 if self.tries else self.rng.randint(1, PASSES_MAX)
        self.started += 1
        is_before = self.tries and self.started % 2
        point = BEFORE.get(self._point(), self._point()) if is_before else self._point()
        return {"CHAOS_POINT": f"{point}:{passes}"}

    @staticmethod
    def _replace_oldest(world: World) -> set[str]:
        victim = world.processors[0]
        victim.kill()
        lanes = world.held_lanes(victim)
        world.keep_alive()
        return lanes


def _point_of(processor: Processor) -> str:
    return processor.environment.get("CHAOS_POINT", "").partition(":")[0]


ALL = (Point,)
