"""What operators do while it runs: they hold work up, and let it go on. No fault, but it must not
become one beside others."""
from __future__ import annotations

import random
import time

from faults import Fault, Injection
from world import World

OPS = ("chaos_work", "chaos_set", "chaos_step")


class Pause(Fault):
    """A user, an op or everything is paused for a moment."""
    name = "pause"
    short, full = 5, 100
    gap_s, lasts_s = 0.5, 0.4

    def inject(self, world: World, rng: random.Random) -> Injection:
        lanes = [lane for lane, in world.sql(
            "select distinct user_id from heddle.operations where finished_at is null")] or ["lane-0-0"]
        target = rng.choice([("user_id", rng.choice(sorted(lanes))), ("op", rng.choice(OPS)), ("everything", True)])
        world.sql(f"select heddle.pause({target[0]} => %s)", target[1])
        time.sleep(rng.uniform(0, 2 * self.lasts_s))
        at = time.time()
        world.sql(f"select heddle.resume({target[0]} => %s)", target[1])
        return Injection(at, time.time(), {target[1]} if target[0] == "user_id" else None)

    def heal(self, world: World) -> None:
        world.sql("select heddle.resume(everything => true)")
        for op in OPS:
            world.sql("select heddle.resume(op => %s)", op)
        for name, in world.sql("select name from heddle.paused where what = 'user'"):
            world.sql("select heddle.resume(user_id => %s)", name)


ALL = (Pause,)
