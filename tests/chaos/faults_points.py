"""SIGKILL at every named point of the engine: `fault_point("NAME")` in its source."""
from __future__ import annotations

import random
import re
import time
from pathlib import Path

from harness import Processor

from faults import Fault, Injection
from world import World

ENGINE = Path(__file__).resolve().parents[2] / "src" / "engine"
POINTS = sorted({name for path in ENGINE.glob("*.c")
                 for name in re.findall(r'\bfault_point\("(\w+)"\)', path.read_text())})
PASSES_MAX = 4
WAIT_SECONDS = 2


class Point(Fault):
    """SIGKILL at each named point of runner, settler, relay, fetcher, beat in turn."""
    name = "points"
    short, full, per_round, gap_s = len(POINTS), 40 * len(POINTS), max(2 * len(POINTS), 1), 0.05
    lasts_s = 0.7
    within_s = 8.0  # a lane may meet several that die, and not every death is noted

    def set_up(self, world: World) -> None:
        self.turn = 0
        self.rng = random.Random(len(POINTS))
        world.environment_of_next = self._next

    def inject(self, world: World, rng: random.Random) -> Injection:
        """Waits for a processor to come by its point; one that does not is given another."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            for processor in world.processors:
                if processor.process.poll() is not None:
                    return self._bury(world, processor, 1)
            time.sleep(0.01)
        victim = world.processors[0]
        victim.kill()
        return self._bury(world, victim, 0)

    def _next(self) -> dict[str, str]:
        point = POINTS[self.turn % len(POINTS)]
        self.turn += 1
        return {"CHAOS_POINT": f"{point}:{self.rng.randint(1, PASSES_MAX)}"}

    @staticmethod
    def _bury(world: World, processor: Processor, count: int) -> Injection:
        at, lanes = time.time(), world.held_lanes(processor)
        world.keep_alive()
        return Injection(at, at, lanes, count)

    def heal(self, world: World) -> None:
        """From here on processors live; those with a point ahead are replaced."""
        world.environment_of_next = dict
        for processor in world.alive():
            processor.kill()
        world.keep_alive()


ALL = (Point,) if POINTS else ()
